"""Named blocks of SQL from the package bluegreen_etl.sql, and the rows that they return.

A file holds blocks that begin with a line `-- name: block_name`. A block may hold `{identifier}` places, filled
with psycopg's composables, and `%(value)s` parameters, filled when the block is run.
"""

import importlib.resources
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeAlias, TypeVar

import msgspec
import psycopg
from psycopg import rows, sql

from bluegreen_etl import errors

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_Value = TypeVar("_Value")
_OF_THE_LEDGER = ("ledger_queries", "load_progress")  # files whose blocks return what is stored there
Query: TypeAlias = str | sql.Composable  # the name of a block, or SQL
Values: TypeAlias = Mapping[str, object] | None


@cache
def blocks(file: str) -> dict[str, str]:
    """Return the blocks of sql/<file>.sql by name, in the file's order."""
    text = (importlib.resources.files("bluegreen_etl.sql") / f"{file}.sql").read_text(encoding="utf-8")
    _, *parts = _NAME.split(text)
    return {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}


def get(name: str, /, **places: sql.Composable) -> sql.Composed:
    """Return a block with its places filled; `name` is `file.block`, such as `catalog.tables`.

    Raises:
        KeyError: no such block, or a place without a value.
    """
    file, block = name.split(".")
    # The text comes from the package's own files, never from a user.
    return sql.SQL(blocks(file)[block]).format(**places)


def value(
    connection: psycopg.Connection[Any], kind: type[_Value], query: Query, values: Values = None, /
) -> _Value | None:
    """Return the first column of the first row; None if there is no row, or the value is null."""
    with connection.cursor(row_factory=rows.scalar_row) as cursor:
        found = cursor.execute(_block(query), values).fetchone()
        return None if found is None else _converted(found, kind, query)


def column(
    connection: psycopg.Connection[Any], kind: type[_Value], query: Query, values: Values = None, /
) -> list[_Value]:
    """Return the first column of all rows."""
    with connection.cursor(row_factory=rows.scalar_row) as cursor:
        return _converted(cursor.execute(_block(query), values).fetchall(), list[kind], query)  # type: ignore[valid-type]


def records(
    connection: psycopg.Connection[Any], record: type[_Value], query: Query, values: Values = None, /
) -> list[_Value]:
    """Return all rows as records; the query names its columns like the fields of `record`."""
    with connection.cursor(row_factory=rows.dict_row) as cursor:
        return _converted(cursor.execute(_block(query), values).fetchall(), list[record], query)  # type: ignore[valid-type]


def from_ledger(found: object, kind: type[_Value]) -> _Value:
    """Return what the ledger stores as a value of this kind.

    Raises:
        DamagedLedger: it is no such value.
    """
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError as error:
        raise damaged(str(error)) from error


def damaged(reason: str) -> errors.DamagedLedger:
    """Return the error for a ledger that does not hold what the tool has written."""
    return errors.DamagedLedger(
        f"the ledger, the schema bluegreen, is damaged: {reason}",
        hint="Restore the schema `bluegreen` from a backup of the database, or correct the row by hand.",
    )


def _converted(found: object, kind: type[_Value], query: Query) -> _Value:
    """Return rows as records; the catalogs cannot hold anything else, the ledger may have been changed by hand."""
    if isinstance(query, str) and query.split(".")[0] in _OF_THE_LEDGER:
        return from_ledger(found, kind)
    return msgspec.convert(found, kind)


def _block(query: Query) -> sql.Composed:
    return get(query) if isinstance(query, str) else sql.Composed([query])
