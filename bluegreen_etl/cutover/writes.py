"""Finds rows that were written to live tables since the load began: they are not in the new release.

The server counts what every table is told to insert, update and delete, rolled back or not. A session reports its
counts when its transaction ends, at most ten seconds late when it writes in quick succession; one that is still
writing is seen by its lock. So the last ten seconds' writes may be missed, and some of the ten seconds before the load
be taken for later ones.
"""

from collections.abc import Sequence

from bluegreen_etl import db, errors, ledger, model, names, queries
from bluegreen_etl.model import Release


class Written(model.Record, frozen=True, kw_only=True):
    """A table of live that was written to: `rows` inserted, updated and deleted since the load began."""

    table: str
    rows: int


def remember(connection: db.Connection, release: Release) -> None:
    """Note the counts of live's tables at the beginning of a load."""
    connection.execute(queries.get("remember_writes"), {"id": release.id, "oid": release.base_oid})


def find(connection: db.Connection, release: Release) -> list[Written]:
    """Return the live tables that were written to since the load of `release` began."""
    rows = connection.execute(queries.get("written_since"), {"id": release.id}).fetchall()
    return [Written(table=row[0], rows=row[1]) for row in rows]


def refuse(connection: db.Connection, release: Release, *, carried: Sequence[str] = ()) -> None:
    """Refuse to leave written rows behind; those of `carried` tables stay live.

    Raises:
        Refused: rows were written since the load began, or somebody is writing now; names tables and sessions.
    """
    live = names.quoted(release.live_schema)
    hint = "Load again, so that the release has them, or give --discard-writes to leave them in the old release."
    written = [item for item in find(connection, release) if item.table not in carried]
    if written:
        listed = ", ".join(f"{item.table} ({item.rows})" for item in written)
        raise errors.Overwritten(
            f"rows of {live} were written since the load of release {release.number} began: {listed}", hint=hint
        )
    rows = connection.execute(
        queries.get("open_writers"), {"oid": release.base_oid, "carried": list(carried)}
    ).fetchall()
    if rows:
        listed = ", ".join(sorted({str(session.pid) for session in ledger.sessions(rows)}))
        raise errors.Overwritten(f"sessions are writing to {live} now: pid {listed}", hint=hint)
