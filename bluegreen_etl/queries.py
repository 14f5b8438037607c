"""Named blocks of SQL out of the package bluegreen_etl.sql.

A file holds blocks that begin with a line `-- name: block_name`; a block may hold `{identifier}` places, filled
with psycopg's composables, and `%(value)s` parameters, filled when it is run.
"""

import importlib.resources
import re
from functools import cache

from psycopg import sql

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


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
