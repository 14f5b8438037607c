"""Refuse a cut-over that would lose objects, changes of live's definition, or rows written to live."""

from collections.abc import Iterable, Sequence

from psycopg import sql

from bluegreen_etl import activity, catalog, db, errors, ledger, model, names, queries
from bluegreen_etl.catalog import Object
from bluegreen_etl.cutover import definition
from bluegreen_etl.model import Release

_SHOWN = 10
_WAIT = 5.0  # seconds that a promote waits for sessions that hold a relation of live exclusively


def only_in(first: Iterable[Object], second: Iterable[Object]) -> list[Object]:
    """Return the objects of the first schema that the second lacks; a missing table stands for its parts."""
    there = set(second)
    lost = [item for item in first if item not in there]
    gone = {item.name for item in lost if item.table is None}
    return [item for item in lost if item.table not in gone]


def sides(connection: db.Connection, incoming: Release, live_oid: int) -> tuple[list[Object], list[Object]]:
    """Return the objects of live, and those of the release once it is live, without carried tables."""
    carried = set(ledger.carried_tables(connection, incoming))
    live, own = (
        [
            item
            for item in catalog.objects(connection, oid)
            if item.table not in carried and not (item.table is None and item.name in carried)
        ]
        for oid in (live_oid, incoming.oid)
    )
    keys = ledger.carried_keys(connection, incoming)
    return live, [*own, *(Object(kind="constraint", table=key.table, name=key.definition) for key in keys)]


def refuse_losses(connection: db.Connection, incoming: Release, outgoing: Release) -> None:
    """Refuse a release that lacks objects of live.

    Raises:
        WouldLose: names the objects.
    """
    live, own = sides(connection, incoming, outgoing.oid)
    lost = only_in(live, own)
    # A release without a schema lacks everything: the swap reports that conflict.
    if lost and catalog.schema_name(connection, incoming.schema_oid or 0) is not None:
        more = f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
        raise errors.WouldLose(
            f"release {incoming.number} of {incoming.live_schema} lacks what live has: "
            f"{', '.join(map(str, lost[:_SHOWN]))}{more}",
            hint="Compare with `bluegreen diff`; promote without these objects with `--allow-drop`.",
        )


def remember_definition(connection: db.Connection, release: Release, *, carried: Sequence[str]) -> None:
    """Record what live is made of when a load begins, without the tables that stay live."""
    oid, left_out = _compared(connection, release, carried)
    query = definition.digests(connection, oid, left_out=left_out)
    with definition.deparsing(connection, release.live_schema, wait=db.OUTSIDE_WAIT):
        connection.execute(queries.get("definition.remember", id=sql.Literal(release.id), digests=query))


def refuse_changes(connection: db.Connection, release: Release, *, carried: Sequence[str]) -> None:
    """Refuse to lose changes of live's definition; `carried` tables stay live, and so do their changes.

    Raises:
        LiveChanged: live was changed since the load began; names the objects.
        LockNotObtained: a session holds a relation of live exclusively.
    """
    changed = find_changes(connection, release, carried=carried)
    if changed:
        more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        raise errors.LiveChanged(
            f"{names.quoted(release.live_schema)} was changed since the load of release {release.number} began: "
            f"{', '.join(changed[:_SHOWN])}{more}",
            hint="Load again so that the release has the changes, or promote without them with `--force`.",
        )


def find_changes(connection: db.Connection, release: Release, *, carried: Sequence[str]) -> list[str]:
    """Return which parts of live's definition have changed since the load of `release` began.

    Raises:
        LockNotObtained: a session holds a relation of live exclusively.
    """
    oid, left_out = _compared(connection, release, carried)
    query = definition.digests(connection, oid, left_out=left_out)
    with definition.deparsing(connection, release.live_schema, wait=_WAIT):
        statement = queries.get("definition.changed", id=sql.Literal(release.id), digests=query)
        return [str(part) for part in queries.records(connection, definition.Part, statement)]


def _compared(connection: db.Connection, release: Release, carried: Sequence[str]) -> tuple[int, list[int]]:
    oid = release.base_oid or 0
    return oid, catalog.belongings(connection, oid, carried)


class Written(model.Record, frozen=True, kw_only=True):
    """A live table with writes: `rows` inserted, updated or deleted since the load began."""

    table: str
    rows: int


def remember_writes(connection: db.Connection, release: Release) -> None:
    """Record the write counts of live's tables when a load begins."""
    connection.execute(queries.get("cutover.remember_writes"), {"id": release.id, "oid": release.base_oid})


def find_writes(connection: db.Connection, release: Release) -> list[Written]:
    """Return the live tables with writes since the load of `release` began."""
    return queries.records(connection, Written, "cutover.written_since", {"id": release.id})


def refuse_writes(connection: db.Connection, release: Release, *, carried: Sequence[str] = ()) -> None:
    """Refuse to leave written rows behind; rows of `carried` tables stay live.

    Raises:
        Overwritten: rows were written since the load began, or sessions are writing now; names tables and sessions.
    """
    live = names.quoted(release.live_schema)
    hint = "Load again so that the release has the rows, or leave them in the old release with `--discard-writes`."
    written = [item for item in find_writes(connection, release) if item.table not in carried]
    if written:
        listed = ", ".join(f"{item.table} ({item.rows})" for item in written)
        raise errors.Overwritten(
            f"rows of {live} were written since the load of release {release.number} began: {listed}", hint=hint
        )
    writers = activity.sessions(connection, "cutover.open_writers", {"oid": release.base_oid, "carried": list(carried)})
    if writers:
        listed = ", ".join(sorted({str(session.pid) for session in writers}))
        raise errors.Overwritten(f"sessions are writing to {live} now: pid {listed}", hint=hint)
