"""Refuse a cut-over that would lose something: what the release lacks, changes of live, rows written to live."""

from collections.abc import Iterable, Sequence

from psycopg import sql

from bluegreen_etl import catalog, db, errors, ledger, model, names, queries
from bluegreen_etl.catalog import Object
from bluegreen_etl.model import Release

_SHOWN = 10


def only_in(first: Iterable[Object], second: Iterable[Object]) -> list[Object]:
    """Return what the first schema has and the second lacks; of a missing table, only the table itself."""
    there = set(second)
    lost = [item for item in first if item not in there]
    gone = {item.name for item in lost if item.table is None}
    return [item for item in lost if item.table not in gone]


def sides(connection: db.Connection, incoming: Release, live_oid: int) -> tuple[list[Object], list[Object]]:
    """Return the objects of live, and those of the release when it is live, without the carried tables."""
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
        WouldLose: it lacks something; names it.
    """
    live, own = sides(connection, incoming, outgoing.oid)
    lost = only_in(live, own)
    # A release whose schema is gone lacks everything: the swap reports that as a conflict.
    if lost and catalog.schema_name(connection, incoming.oid) is not None:
        more = f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
        raise errors.WouldLose(
            f"release {incoming.number} of {incoming.live_schema} lacks what live has: "
            f"{', '.join(map(str, lost[:_SHOWN]))}{more}",
            hint="Run `bluegreen diff` to see it all; `--allow-drop` promotes without it.",
        )


def remember_definition(connection: db.Connection, release: Release, *, carried: Sequence[str]) -> None:
    """Record the definition of live when a load begins, without the carried tables."""
    connection.execute(queries.get("cutover.remember_definition", **_definition_values(connection, release, carried)))


def refuse_changes(connection: db.Connection, release: Release, *, carried: Sequence[str]) -> None:
    """Refuse to lose changes of live's definition since the load began; `carried` tables stay live.

    Raises:
        LiveChanged: there are some; names them.
    """
    statement = queries.get("cutover.changed_definition", **_definition_values(connection, release, carried))
    changed = [row[0] for row in connection.execute(statement)]
    if changed:
        more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        raise errors.LiveChanged(
            f"{names.quoted(release.live_schema)} was changed since the load of release {release.number} began: "
            f"{', '.join(changed[:_SHOWN])}{more}",
            hint="Load again, so that the release has it, or give `--force` to promote without it.",
        )


def _definition_values(
    connection: db.Connection, release: Release, carried: Sequence[str]
) -> dict[str, sql.Composable]:
    oids = catalog.belongings(connection, release.base_oid, carried) if release.base_oid else []
    return {
        "id": sql.Literal(release.id),
        "definition": queries.get("cutover.definition", oid=sql.Literal(release.base_oid), carried=sql.Literal(oids)),
    }


class Written(model.Record, frozen=True, kw_only=True):
    """A table of live, and how many `rows` were inserted, updated and deleted since the load began."""

    table: str
    rows: int


def remember_writes(connection: db.Connection, release: Release) -> None:
    """Record the write counters of live's tables when a load begins."""
    connection.execute(queries.get("cutover.remember_writes"), {"id": release.id, "oid": release.base_oid})


def find_writes(connection: db.Connection, release: Release) -> list[Written]:
    """Return the live tables that were written to since the load of `release` began."""
    rows = connection.execute(queries.get("cutover.written_since"), {"id": release.id}).fetchall()
    return [Written(table=row[0], rows=row[1]) for row in rows]


def refuse_writes(connection: db.Connection, release: Release, *, carried: Sequence[str] = ()) -> None:
    """Refuse to lose rows written to live since the load began; rows of `carried` tables stay live.

    Raises:
        Overwritten: rows were written, or a session is writing now; names tables and sessions.
    """
    live = names.quoted(release.live_schema)
    hint = "Load again, so that the release has them, or give `--discard-writes` to leave them in the old release."
    written = [item for item in find_writes(connection, release) if item.table not in carried]
    if written:
        listed = ", ".join(f"{item.table} ({item.rows})" for item in written)
        raise errors.Overwritten(
            f"rows of {live} were written since the load of release {release.number} began: {listed}", hint=hint
        )
    rows = connection.execute(
        queries.get("cutover.open_writers"), {"oid": release.base_oid, "carried": list(carried)}
    ).fetchall()
    if rows:
        listed = ", ".join(sorted({str(session.pid) for session in ledger.sessions(rows)}))
        raise errors.Overwritten(f"sessions are writing to {live} now: pid {listed}", hint=hint)
