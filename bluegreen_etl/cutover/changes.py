"""Finds what was changed in live's definition since the load began: grants, views, indexes, comments and the rest.

The release was cloned from live, or given live's privileges, when its load began; what came later it does not have.
"""

from psycopg import sql

from bluegreen_etl import db, errors, names, queries
from bluegreen_etl.model import Release

_SHOWN = 10


def remember(connection: db.Connection, release: Release) -> None:
    """Note what live is made of at the beginning of a load."""
    connection.execute(queries.get("remember_definition", **_places(release)))


def refuse(connection: db.Connection, release: Release) -> None:
    """Refuse to forget what was changed in live.

    Raises:
        Conflict: something was; names it.
    """
    changed = [row[0] for row in connection.execute(queries.get("changed_definition", **_places(release)))]
    if changed:
        more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        raise errors.Conflict(
            f"{names.quoted(release.live_schema)} was changed since the load of release {release.number} began: "
            f"{', '.join(changed[:_SHOWN])}{more}",
            hint="Load again, so that the release has it, or give --force to go without.",
        )


def _places(release: Release) -> dict[str, sql.Composable]:
    return {
        "id": sql.Literal(release.id),
        "definition": queries.get("definition", oid=sql.Literal(release.base_oid)),
    }
