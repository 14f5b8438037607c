"""bluegreen: replaces a whole PostgreSQL schema with freshly loaded data; no reader ever sees half of it.

The library is the commands as functions: make a Context from settings, call a command, get a record of what it did.

    resolved = config.resolve({"schema": "league", "dsn": "postgresql://…"})
    context = Context(resolved, watcher)
    released = load_and_promote(context, ["data/"])

Every error is a BluegreenError; any of them but OutcomeUnknown means that live did not change.
"""

from bluegreen_etl import config, errors
from bluegreen_etl.errors import BluegreenError
from bluegreen_etl.model import Watcher
from bluegreen_etl.workflow import (
    Context,
    check,
    diff,
    history,
    load,
    load_and_promote,
    promote,
    protect,
    prune,
    rollback,
    status,
)

__all__ = [
    "BluegreenError",
    "Context",
    "Watcher",
    "check",
    "config",
    "diff",
    "errors",
    "history",
    "load",
    "load_and_promote",
    "promote",
    "protect",
    "prune",
    "rollback",
    "status",
]
