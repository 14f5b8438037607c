"""Run the text of checks so that it cannot write: one statement, in a read-only transaction of its own.

The extended protocol refuses a second statement, such as a COMMIT in a check's text. What a statement may have changed
with set_config, such as how quotes are read, ends with its transaction and never meets the next statement.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from bluegreen_etl import config, db, queries

_LONGEST = 10_000  # characters of a value that the ledger keeps
# As the server writes a value, which Python cannot hold if it is an infinite date; and NULL only if it is NULL.
_TEXT: LiteralString = "CASE WHEN pg_catalog.num_nulls({0}) = 0 THEN pg_catalog.format('%s', {0}) END"
_CLIPPED: LiteralString = (
    "CASE WHEN pg_catalog.num_nulls({0}) = 0 THEN pg_catalog.left(pg_catalog.format('%s', {0}), {1}) END"
)


class Column:
    """A column of a check's result: its name, the OID of its type, and the type's modifier."""

    def __init__(self, name: str, kind: int, modifier: int) -> None:
        self.name = name
        self.kind = kind
        self.modifier = modifier


class Session:
    """Run single statements for checks, on the snapshot and with the settings that all of them share."""

    def __init__(self, schema: str, settings: config.Checks, *, snapshot: str | None = None) -> None:
        self._schema = schema
        self._settings = settings
        self._begin = (
            queries.get("checks.begin_check", snapshot=sql.Literal(snapshot))
            if snapshot
            else sql.SQL("BEGIN READ ONLY; SET LOCAL lock_timeout = '100ms'")  # do not wait for other sessions
        )

    @contextmanager
    def transaction(self, connection: db.Connection, *, role: bool, limited: bool = True) -> Iterator[None]:
        """Begin a transaction for one statement, and roll it back, so that it holds no lock on live afterwards.

        Args:
            role: run the statement as the role that the settings name for checks.
            limited: end the statement after the time that a check may take.
        """
        milliseconds = round(self._settings.statement_timeout * 1000) if limited else 0
        parts = [
            self._begin,
            queries.get(
                "checks.check_settings", schema=sql.Literal(self._schema), timeout=sql.Literal(f"{milliseconds}ms")
            ),
        ]
        if role and self._settings.role is not None:
            parts.append(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(self._settings.role)))
        try:
            db.run_script(connection, sql.SQL("; ").join(parts))
            yield
        finally:
            if not connection.closed:  # otherwise the error that ended it is being raised
                connection.rollback()

    def columns(self, connection: db.Connection, query: sql.Composed, *, role: bool) -> list[Column]:
        """Return the columns of a check's query."""
        described = _offending_rows(sql.SQL("*"), query, sql.SQL(""), limit=0)
        with self.transaction(connection, role=role):
            result = one_statement(connection, described).pgresult
        assert result is not None
        return [
            Column((result.fname(place) or b"").decode(), result.ftype(place), result.fmod(place))
            for place in range(result.nfields)
        ]


def one_statement(connection: db.Connection, query: sql.Composed) -> psycopg.Cursor[TupleRow]:
    """Run a query by the extended protocol, which refuses more than one statement."""
    return connection.execute(query, binary=True)  # psycopg uses the simple protocol for text without parameters


def rows_as_text(query: sql.Composable, columns: Sequence[Column], limit: int | None, *, clipped: bool) -> sql.Composed:
    """Return a query for at most `limit` rows of a check, each value as the server writes it, or its beginning."""
    names = [sql.Identifier(f"column_{place}") for place in range(len(columns))]
    most = sql.Literal(_LONGEST + 1)
    values = [sql.SQL(_CLIPPED).format(name, most) if clipped else sql.SQL(_TEXT).format(name) for name in names]
    aliases = sql.SQL(" ({})").format(sql.SQL(", ").join(names)) if names else sql.SQL("")
    return _offending_rows(sql.SQL(", ").join(values), query, aliases, limit=limit)


def _offending_rows(
    columns: sql.Composable, query: sql.Composable, aliases: sql.Composable, *, limit: int | None
) -> sql.Composed:
    return queries.get("checks.offending_rows", columns=columns, query=query, aliases=aliases, limit=sql.Literal(limit))


def clip(value: str | None) -> str | None:
    """Return a value as the ledger keeps it."""
    return f"{value[:_LONGEST]}…" if value is not None and len(value) > _LONGEST else value
