"""Write the offending rows of checks into tables, one table for each check."""

import itertools
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from psycopg import sql
from psycopg.rows import scalar_row

from bluegreen_etl import catalog, db, errors, names, queries, sqlstates
from bluegreen_etl.checks.read_only import Column

LOCK_WAIT = "5s"


class Store:
    """The tables in one schema, written on a connection of their own: that of a check may write nothing."""

    def __init__(self, connection: db.Connection, schema: str) -> None:
        self._connection = connection
        self._schema = schema
        self._guard = threading.Lock()

    def keep(self, check: str, columns: Sequence[Column], rows: Iterable[Sequence[str | None]]) -> str:
        """Write rows, each value as text, into the check's table; return the table's name."""
        place = sql.Identifier(self._schema, names.failures_table(check))
        with self._table(place) as own:
            own.execute(sql.SQL("CREATE TABLE {} ({})").format(place, _definitions(own, columns)))
            with own.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(place)) as into:
                for row in rows:
                    into.write_row(row)
        return names.quoted(self._schema, names.failures_table(check))

    def forget(self, check: str) -> None:
        """Drop the check's table if an earlier run has left one."""
        with self._table(sql.Identifier(self._schema, names.failures_table(check))):
            pass

    @contextmanager
    def _table(self, place: sql.Identifier) -> Iterator[db.Connection]:
        """Begin a transaction, and drop the table in it."""
        with self._guard, sqlstates.translated(), self._connection.transaction():
            self._connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(LOCK_WAIT)))
            self._connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(place))
            yield self._connection


@contextmanager
def opened(server: db.Server, schema: str) -> Iterator[Store]:
    """Open the schema; create it if it does not exist.

    Raises:
        Refused: a schema of this name exists that bluegreen has not created.
    """
    with server.connect(f"failures {schema}") as connection:
        if catalog.failures_schema(connection, schema) is None:
            if catalog.schema_oid(connection, schema) is not None:
                raise errors.NameTaken(
                    f"schema {names.quoted(schema)} already exists, and bluegreen did not create it",
                    hint="Rename or drop that schema, or leave --store-failures out.",
                )
            with connection.transaction():
                db.run_script(connection, queries.get("checks.make_failures_schema", schema=sql.Identifier(schema)))
        yield Store(connection, schema)


def _definitions(connection: db.Connection, columns: Sequence[Column]) -> sql.Composed:
    """Return the definitions of columns that take a result, with distinct names.

    The project's own types become text: a table that used them would depend on the release's schema.
    """
    values = {"types": [each.kind for each in columns], "modifiers": [each.modifier for each in columns]}
    with connection.cursor(row_factory=scalar_row) as cursor:
        types = cursor.execute(queries.get("checks.types_to_store"), values).fetchall()
    found = _distinct([each.name for each in columns])
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
