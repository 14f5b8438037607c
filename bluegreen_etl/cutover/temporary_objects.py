"""Wait for temporary objects of other sessions that depend on live: no other session can change them."""

import re
import time
from collections.abc import Callable, Iterable, Sequence

from bluegreen_etl import activity, catalog, db, errors, model
from bluegreen_etl.catalog import Dependent

_SCHEMA = re.compile(r"\bpg_temp_(\d+)\.")  # no user can create such a schema
_PAUSE = 0.2


def without(dependents: Iterable[Dependent]) -> list[Dependent]:
    """Return the dependents that are no temporary objects."""
    return [dependent for dependent in dependents if not _SCHEMA.search(dependent.identity)]


def wait(connection: db.Connection, live_oid: int, *, max_wait: float, say: Callable[[str], None]) -> None:
    """Wait until no session has a temporary object that depends on live.

    Raises:
        LockNotObtained: there still is one after `max_wait` seconds; names objects and sessions.
    """
    begun, reported = time.monotonic(), False
    while found := _find(connection, live_oid):
        if not reported:
            say(f"waiting for temporary objects of other sessions: {_shown(connection, found)}")
            reported = True
        if time.monotonic() - begun > max_wait:
            raise errors.LockNotObtained(
                f"temporary objects of other sessions depend on live; still there after {max_wait:g} s: "
                f"{_shown(connection, found)}",
                hint="Live is unchanged. Run it again when these sessions have ended or dropped them, "
                "or raise `--max-wait`.",
            )
        time.sleep(_PAUSE)


def _find(connection: db.Connection, live_oid: int) -> list[Dependent]:
    return [each for each in catalog.outside_dependents(connection, live_oid) if _SCHEMA.search(each.identity)]


def _shown(connection: db.Connection, found: Sequence[Dependent]) -> str:
    """Return the names of temporary objects, and the sessions that they belong to if the server says so."""
    numbers = sorted({int(match[1]) for each in found for match in _SCHEMA.finditer(each.identity)})
    sessions = activity.sessions(connection, "cutover.sessions_of_temporary_schemas", {"numbers": numbers})
    listed = catalog.listed(found)
    return f"{listed}; {model.sessions_shown(sessions)}" if sessions else listed
