"""bluegreen: replaces a whole PostgreSQL schema with freshly loaded data; no reader ever sees half of it.

A release filled from Python, checked and promoted when the block ends, discarded when it raises:

    with bluegreen_etl.release(dsn, schema="league") as release:
        release.copy("players", rows)
        release.connection.execute("UPDATE players SET …")

A release that many processes fill is a SharedRelease: opened by one, filled in parts, finished by one.

The commands are functions too: make a Context from settings, call a command, get a record of what it did.

    resolved = config.resolve({"schema": "league", "dsn": "postgresql://…"})
    context = Context(resolved, watcher)
    released = load_and_promote(context, ["data/"])

Every error is a BluegreenError; any of them but OutcomeUnknown means that live did not change, or is again what it was
(ChecksFailed of promote.verify, whose message says so if it is not).
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bluegreen_etl import config, errors
    from bluegreen_etl.errors import BluegreenError
    from bluegreen_etl.model import Watcher
    from bluegreen_etl.workflow import (
        Context,
        SharedRelease,
        abort,
        backup,
        check,
        copy_part,
        diff,
        doctor,
        finish,
        finish_and_promote,
        history,
        init,
        load,
        load_and_promote,
        open_shared,
        promote,
        protect,
        prune,
        release,
        restore,
        restore_and_promote,
        rollback,
        run,
        run_and_promote,
        status,
    )
    from bluegreen_etl.workflow.filling import OpenRelease

__all__ = [
    "BluegreenError",
    "Context",
    "OpenRelease",
    "SharedRelease",
    "Watcher",
    "abort",
    "backup",
    "check",
    "config",
    "copy_part",
    "diff",
    "doctor",
    "errors",
    "finish",
    "finish_and_promote",
    "history",
    "init",
    "load",
    "load_and_promote",
    "open_shared",
    "promote",
    "protect",
    "prune",
    "release",
    "restore",
    "restore_and_promote",
    "rollback",
    "run",
    "run_and_promote",
    "status",
]

# Worker processes import parts of this package and need neither the driver nor most of the rest: where a name is not
# in the workflow, it is here.
_ELSEWHERE = {
    "OpenRelease": "workflow.filling",
    "BluegreenError": "errors",
    "Watcher": "model",
    "config": "",
    "errors": "",
}


def __getattr__(name: str) -> object:
    """Import what is asked for when it is (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    place = _ELSEWHERE.get(name, "workflow")
    return getattr(import_module(f"{__name__}.{place}"), name) if place else import_module(f"{__name__}.{name}")
