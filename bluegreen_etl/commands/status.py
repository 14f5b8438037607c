"""Status: what is live, ready, kept and left over; changes nothing."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from bluegreen_etl import catalog, citus, db, errors, ledger, load_stats, model, names
from bluegreen_etl.errors.unexpected import guarded
from bluegreen_etl.model import Release, Status
from bluegreen_etl.releases import lookup, replica_lag
from bluegreen_etl.releases.context import Context
from bluegreen_etl.replicas import Replica


class Condition(model.Record, frozen=True, kw_only=True):
    """A release as it is now.

    Attributes:
        schema: the present name of its schema.
        rows: its rows; of a release that is open for parts, the rows copied so far.
        rejected: rows of its files that were left out.
        dead: whether it is stale: its process is gone.
        open_until: when it becomes stale if no process finishes it.
    """

    number: int
    status: Status
    schema: str | None
    rows: int | None
    rejected: int | None
    created_at: datetime
    created_by: str
    ready_at: datetime | None
    promoted_at: datetime | None
    dead: bool
    failure: str | None
    open_until: datetime | None
    parts: int | None


class State(model.Record, frozen=True, kw_only=True):
    """What `status` shows of one live schema.

    Attributes:
        drifted: whether live is another schema than the ledger records.
        unvalidated: foreign keys that a cut-over has re-created and that are not validated yet.
        doubts: nodes of Citus that differ from the coordinator.
    """

    schema: str
    database: str
    server: str
    connection: str
    environment: str | None
    environment_origin: str | None = None
    protected: bool
    live: int | None
    drifted: bool
    unvalidated: tuple[str, ...] = ()
    replicas: tuple[Replica, ...] = ()
    doubts: tuple[str, ...] = ()
    releases: tuple[Condition, ...]


@guarded
def status(context: Context, *, wait_replicas: float | None = None) -> State:
    """Return which releases are live, ready, kept and left over.

    Args:
        wait_replicas: wait at most so many seconds until all replicas have the live release.

    Raises:
        ReplicasBehind: a replica lacks the live release then; the state is in `results`.
    """
    with context.server.connect(f"status {context.schema}", to_read=True) as connection:
        releases = lookup.known_releases(connection, context.schema)
        if releases and wait_replicas is not None:
            replica_lag.wait_for_replicas(context, connection, wait_replicas)
        found = find_state(context, connection, releases)
    lacking = replica_lag.select_behind(found.replicas)
    if wait_replicas is not None and lacking:
        raise errors.ReplicasBehind(
            f"{len(lacking)} of {len(found.replicas)} replicas lack release {found.live} after {wait_replicas:g} s: "
            f"{'; '.join(map(str, lacking))}",
            hint="Find out what they replay or wait for, then run `bluegreen status` again.",
            results=found,
        )
    return found


def find_state(context: Context, connection: db.Connection, releases: Sequence[Release]) -> State:
    """Return the state of the live schema and its releases."""
    oid = catalog.schema_oid(connection, context.schema)
    live = next((release for release in releases if release.status is Status.LIVE), None)
    return State(
        schema=context.schema,
        database=connection.info.dbname,
        server=f"PostgreSQL {connection.info.parameter_status('server_version')}",
        connection=context.resolved.target.origin,
        environment=context.resolved.environment,
        environment_origin=context.resolved.environment_origin,
        protected=context.settings.protected or ledger.is_protected(connection),
        live=live.number if live else None,
        drifted=bool(releases) and (live.schema_oid if live else None) != oid,
        unvalidated=tuple(
            f"{key.name} of {names.quoted(place, key.table)}"
            for place, key in ledger.unvalidated(connection, context.schema)
        ),
        replicas=replica_lag.find_replicas(context, connection) if releases else (),
        doubts=tuple(citus.doubts(connection, context.schema)),
        releases=tuple(_conditions(connection, context.schema, releases)) if releases else (),
    )


def _conditions(connection: db.Connection, schema: str, releases: Sequence[Release]) -> Iterator[Condition]:
    loading_now = db.is_locked(connection, lookup.LOAD_LOCK, schema)
    schemas = catalog.schema_names(connection, [release.schema_oid for release in releases if release.schema_oid])
    counts = load_stats.row_counts(connection, schema)
    for release in releases:
        parts = ledger.parts(connection, release) if release.open_until else None
        rows, rejected = counts.get(release.number, (None, None))
        yield Condition(
            number=release.number,
            status=release.status,
            schema=schemas.get(release.schema_oid) if release.schema_oid else None,
            rows=sum(part.rows for part in parts) if parts else rows,
            rejected=rejected,
            created_at=release.created_at,
            created_by=release.created_by,
            ready_at=release.ready_at,
            promoted_at=release.promoted_at,
            dead=lookup.is_stale(release, loading=loading_now),
            failure=release.failure,
            open_until=release.open_until,
            parts=None if parts is None else len(parts),
        )
