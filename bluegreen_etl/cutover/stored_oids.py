"""Find values of regclass and similar types outside live that hold objects of live: they stay with the old release."""

import psycopg
from psycopg import sql

from bluegreen_etl import db, ledger, queries

_ROWS = 100_000  # of each column that are read
_WAIT = "200ms"  # for a table that another session has locked


def find(connection: db.Connection, schema: str, live_oid: int) -> list[str]:
    """Return the columns outside live that hold objects of live, as SQL names; locked tables are skipped."""
    releases = (
        [release.schema_oid for release in ledger.releases(connection, schema)] if ledger.exists(connection) else []
    )
    values = {"oid": live_oid, "rows": _ROWS, "releases": [oid for oid in releases if oid is not None]}
    rows = connection.execute(queries.get("catalog.oid_columns"), values).fetchall()
    return [name for name, query in rows if _holds(connection, query)]


def _holds(connection: db.Connection, query: str) -> bool:
    try:
        with connection.transaction():
            connection.execute(queries.get("definition.settings"), {"wait": _WAIT})
            # The server has quoted its own names.
            return bool(queries.value(connection, bool, sql.SQL(query)))
    except (psycopg.errors.LockNotAvailable, psycopg.errors.InsufficientPrivilege):
        return False
