"""Find which replicas lack the live release, and wait for them."""

import time
from collections.abc import Sequence

from bluegreen_etl import db, ledger, replicas
from bluegreen_etl.releases.context import Context
from bluegreen_etl.replicas import Replica
from bluegreen_etl.wording import counted

_LOOK_EVERY = 0.1  # seconds


def find_replicas(context: Context, connection: db.Connection) -> tuple[Replica, ...]:
    """Return the replicas, each with whether it has replayed the newest cut-over of the live schema."""
    cutovers = ledger.cutovers(connection, context.schema)
    return tuple(replicas.find(connection, cutovers[-1].lsn)) if cutovers else ()


def wait_for_replicas(context: Context, connection: db.Connection, seconds: float) -> tuple[Replica, ...]:
    """Wait at most `seconds` until all replicas have replayed the newest cut-over; return the replicas."""
    deadline = time.monotonic() + seconds
    found = find_replicas(context, connection)
    if select_behind(found):
        context.watcher.stage(f"wait for {counted(len(select_behind(found)), 'replica')}")
    while select_behind(found) and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY)
        found = find_replicas(context, connection)
    return found


def select_behind(found: Sequence[Replica]) -> list[Replica]:
    """Return the replicas that are known to lack the newest cut-over."""
    return [replica for replica in found if replica.has_release is False]
