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
        return _converted(cursor.execute(_block(query), values).fetchone(), kind | None)  # type: ignore[no-any-return]


def column(
    connection: psycopg.Connection[Any], kind: type[_Value], query: Query, values: Values = None, /
) -> list[_Value]:
    """Return the first column of all rows."""
    with connection.cursor(row_factory=rows.scalar_row) as cursor:
        return _converted(cursor.execute(_block(query), values).fetchall(), list[kind])  # type: ignore[valid-type, no-any-return]


def records(
    connection: psycopg.Connection[Any], record: type[_Value], query: Query, values: Values = None, /
) -> list[_Value]:
    """Return all rows as records; the query names its columns like the fields of `record`."""
    with connection.cursor(row_factory=rows.dict_row) as cursor:
        return _converted(cursor.execute(_block(query), values).fetchall(), list[record])  # type: ignore[valid-type, no-any-return]


def _converted(found: object, kind: Any) -> Any:  # noqa: ANN401 - msgspec checks what mypy cannot
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError as error:
        # Rows of the ledger can be edited by hand; rows of the catalogs are what the query makes them.
        raise errors.Refused(
            f"the ledger is damaged: {error}",
            hint="Restore the schema bluegreen from a backup, or undo the change that was made there by hand.",
        ) from error


def _block(query: Query) -> sql.Composed:
    return get(query) if isinstance(query, str) else sql.Composed([query])
