"""The checks that come with every load."""

from collections.abc import Mapping, Sequence

from psycopg import sql

from bluegreen_etl import catalog, config, db
from bluegreen_etl.checks.check import Check


def no_empty_table(schema: str, tables: Sequence[str]) -> list[Check]:
    """Return the check that finds the tables of `tables` that hold no row."""
    query = sql.SQL("SELECT {} AS empty_table WHERE NOT EXISTS (SELECT FROM {})")
    parts = [query.format(sql.Literal(table), sql.Identifier(schema, table)) for table in tables]
    if not parts:
        return []
    description = "allow it for a table with allow_empty = true in its section"
    return [Check(name="no_empty_table", query=sql.SQL("\nUNION ALL ").join(parts), description=description)]


def empty_tables(connection: db.Connection, oid: int, allowed: Mapping[str, config.TableSettings]) -> list[str]:
    """Return the tables of a schema that may not be empty."""
    names = [table.name for table in catalog.tables(connection, oid)]
    return [name for name in names if not (name in allowed and allowed[name].allow_empty)]
