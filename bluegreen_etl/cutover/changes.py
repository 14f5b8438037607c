"""Finds what was changed in live's definition since the load began: grants, views, indexes, comments and the rest.

The release was cloned from live, or given live's privileges, when its load began; what came later it does not have.
"""

from collections.abc import Sequence

from psycopg import sql

from bluegreen_etl import catalog, db, errors, names, queries
from bluegreen_etl.model import Release

_SHOWN = 10


def remember(connection: db.Connection, release: Release, *, carried: Sequence[str]) -> None:
    """Note what live is made of at the beginning of a load, but for the tables that stay live."""
    connection.execute(queries.get("remember_definition", **_places(connection, release, carried)))


def refuse(connection: db.Connection, release: Release, *, carried: Sequence[str]) -> None:
    """Refuse to forget what was changed in live; what belongs to `carried` tables stays live.

    Raises:
        Conflict: something was; names it.
    """
    statement = queries.get("changed_definition", **_places(connection, release, carried))
    changed = [row[0] for row in connection.execute(statement)]
    if changed:
        more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        raise errors.LiveChanged(
            f"{names.quoted(release.live_schema)} was changed since the load of release {release.number} began: "
            f"{', '.join(changed[:_SHOWN])}{more}",
            hint="Load again, so that the release has it, or give --force to go without.",
        )


def _places(connection: db.Connection, release: Release, carried: Sequence[str]) -> dict[str, sql.Composable]:
    oids = catalog.belongings(connection, release.base_oid or 0, carried)
    return {
        "id": sql.Literal(release.id),
        "definition": queries.get("definition", oid=sql.Literal(release.base_oid), carried=sql.Literal(oids)),
    }
