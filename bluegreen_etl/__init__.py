"""bluegreen: replace a whole PostgreSQL schema with freshly loaded data; no reader ever sees half of it.

Fill a release from Python; it is checked and promoted when the block ends, and discarded if the block raises:

    with bluegreen_etl.release(dsn, schema="league") as release:
        release.copy("players", rows)
        release.connection.execute("UPDATE players SET …")

Many processes can fill a SharedRelease: one opens it, all copy parts, one finishes it.

Each command is also a function: create a Context from settings, call the command, get a record of the result.

    resolved = config.resolve({"schema": "league", "dsn": "postgresql://…"})
    context = Context(resolved, watcher)
    released = load_and_promote(context, ["data/"])

Every error is a BluegreenError. After all of them except OutcomeUnknown, live is unchanged or was rolled back; the
message of ChecksFailed names the live release if a rollback of promote.verify has failed.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bluegreen_etl import config, errors
    from bluegreen_etl.commands.backup import backup
    from bluegreen_etl.commands.check import check
    from bluegreen_etl.commands.diff import diff
    from bluegreen_etl.commands.doctor import doctor
    from bluegreen_etl.commands.history import history
    from bluegreen_etl.commands.init import init
    from bluegreen_etl.commands.load import load
    from bluegreen_etl.commands.promote import load_and_promote, promote
    from bluegreen_etl.commands.protect import protect
    from bluegreen_etl.commands.prune import prune
    from bluegreen_etl.commands.python_release import OpenRelease, release
    from bluegreen_etl.commands.python_shared_release import SharedRelease
    from bluegreen_etl.commands.restore import restore, restore_and_promote
    from bluegreen_etl.commands.rollback import rollback
    from bluegreen_etl.commands.run import run, run_and_promote
    from bluegreen_etl.commands.shared_release import abort, copy_part, finish, finish_and_promote, open_shared
    from bluegreen_etl.commands.status import status
    from bluegreen_etl.errors import BluegreenError
    from bluegreen_etl.model import Watcher
    from bluegreen_etl.releases.context import Context

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

# Worker processes import parts of this package without the driver and most other modules, so each public name is
# imported at its first use. A name that is missing here is a submodule.
_MODULES = {
    "commands.backup": ("backup",),
    "commands.check": ("check",),
    "commands.diff": ("diff",),
    "commands.doctor": ("doctor",),
    "commands.history": ("history",),
    "commands.init": ("init",),
    "commands.load": ("load",),
    "commands.promote": ("load_and_promote", "promote"),
    "commands.protect": ("protect",),
    "commands.prune": ("prune",),
    "commands.python_release": ("OpenRelease", "release"),
    "commands.python_shared_release": ("SharedRelease",),
    "commands.restore": ("restore", "restore_and_promote"),
    "commands.rollback": ("rollback",),
    "commands.run": ("run", "run_and_promote"),
    "commands.shared_release": ("abort", "copy_part", "finish", "finish_and_promote", "open_shared"),
    "commands.status": ("status",),
    "errors": ("BluegreenError",),
    "model": ("Watcher",),
    "releases.context": ("Context",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    """Import a public name at its first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name not in _MODULE_OF:
        return import_module(f"{__name__}.{name}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
