"""Looks whether replicas have what is live, and waits for that."""

import time
from collections.abc import Sequence

from bluegreen_etl import db, ledger, replicas
from bluegreen_etl.releases.context import Context
from bluegreen_etl.replicas import Replica

_LOOK_EVERY = 0.1  # seconds


def look(context: Context, connection: db.Connection) -> tuple[Replica, ...]:
    """Return the replicas, with whether each has the newest cut-over of the live schema."""
    cutovers = ledger.cutovers(connection, context.schema)
    return tuple(replicas.find(connection, cutovers[-1].lsn)) if cutovers else ()


def wait(context: Context, connection: db.Connection, seconds: float) -> tuple[Replica, ...]:
    """Wait until all replicas have it, for so many seconds at most; return how they stand then."""
    deadline = time.monotonic() + seconds
    found = look(context, connection)
    if lacking(found):
        context.watcher.stage(f"wait for {len(lacking(found))} replicas")
    while lacking(found) and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY)
        found = look(context, connection)
    return found


def lacking(found: Sequence[Replica]) -> list[Replica]:
    """Return those that are known to lack it."""
    return [replica for replica in found if replica.has_release is False]
