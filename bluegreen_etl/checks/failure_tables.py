"""Writes the offending rows of checks into tables, a table for each check."""

import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from bluegreen_etl import catalog, db, errors, names, queries, sqlstates

LOCK_WAIT = "5s"


class Store:
    """The tables in one schema. The rows come over the connection of the check, which may write nothing."""

    def __init__(self, connection: db.Connection, schema: str) -> None:
        self._connection = connection
        self._schema = schema
        self._guard = threading.Lock()

    def keep(self, check: str, rows: sql.Composed, source: db.Connection) -> str:
        """Write what a query on another connection gives into the check's table; return the table's name.

        The time-out of a check is over: it has been asked already, and how many rows it has found is not its fault.
        """
        place = sql.Identifier(self._schema, names.failures_table(check))
        with self._table(place) as own:
            source.execute("SET LOCAL statement_timeout = 0")
            columns = _columns(own, source.execute(sql.SQL("SELECT * FROM ({}) AS described LIMIT 0").format(rows)))
            own.execute(sql.SQL("CREATE TABLE {} ({})").format(place, columns))
            reading = sql.SQL("COPY ({}) TO STDOUT").format(rows)
            writing = sql.SQL("COPY {} FROM STDIN").format(place)
            with source.cursor().copy(reading) as out, own.cursor().copy(writing) as into:
                for data in out:
                    into.write(data)
        return names.quoted(self._schema, names.failures_table(check))

    def forget(self, check: str) -> None:
        """Drop the check's table, where an earlier run has left one."""
        with self._table(sql.Identifier(self._schema, names.failures_table(check))):
            pass

    @contextmanager
    def _table(self, place: sql.Identifier) -> Iterator[db.Connection]:
        """Begin a transaction in which the table is gone."""
        with self._guard, sqlstates.translated(), self._connection.transaction():
            self._connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(LOCK_WAIT)))
            self._connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(place))
            yield self._connection


@contextmanager
def opened(server: db.Server, schema: str) -> Iterator[Store]:
    """Open the schema, and make it where it is not there.

    Raises:
        Refused: there is one of this name that is not ours.
    """
    with server.connect(f"failures {schema}") as connection:
        if catalog.failures_schema(connection, schema) is None:
            if catalog.schema_oid(connection, schema) is not None:
                raise errors.NameTaken(
                    f"a schema {names.quoted(schema)} exists already, and bluegreen has not made it",
                    hint="Rename or drop that schema, or leave --store-failures out.",
                )
            with connection.transaction():
                db.run_script(connection, queries.get("checks.make_failures_schema", schema=sql.Identifier(schema)))
        yield Store(connection, schema)


def _columns(connection: db.Connection, cursor: psycopg.Cursor[TupleRow]) -> sql.Composed:
    """Return the definitions of columns that take a result, under names that differ.

    Types of the project's own become text: a table that used them would hold on to the release's schema.
    """
    result = cursor.pgresult
    assert result is not None
    places = range(result.nfields)
    values = {"types": [result.ftype(place) for place in places], "modifiers": [result.fmod(place) for place in places]}
    types = [row[0] for row in connection.execute(queries.get("checks.types_to_store"), values)]
    found = _distinct([column.name for column in cursor.description or ()])
    # format_type's text is SQL.
    return sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in zip(found, types, strict=True)
    )


def _distinct(given: Sequence[str]) -> list[str]:
    found: list[str] = []
    for name in given:
        tries = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
        found.append(next(each for each in tries if each not in found))
    return found
