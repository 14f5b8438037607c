"""The search paths of functions: those of a release that name live name its shadow until the swap.

A function with `SET search_path = league` would read the old release while the new one is built and checked.
"""

import re

from psycopg import sql

from bluegreen_etl import db, queries
from bluegreen_etl.model import Release


def point_to_shadow(connection: db.Connection, release: Release) -> None:
    """Let the functions of a release find its own tables by the name that its schema has until the swap."""
    body = repointing(connection, release, old=release.live_schema, new=release.shadow_schema)
    connection.execute(sql.SQL("DO {}").format(sql.Literal(body.as_string())))


def names_shadow(connection: db.Connection, release: Release) -> bool:
    """Return whether functions of a release name its shadow, so that the swap has to change them."""
    values = {"oid": release.oid, "pattern": _pattern(connection, release.shadow_schema)}
    return bool(queries.value(connection, bool, queries.get("functions.paths_name"), values))


def repointing(connection: db.Connection, release: Release, *, old: str, new: str) -> sql.Composed:
    """Return the PL/pgSQL block that writes `new` for the schema `old` in the search paths of a release's functions."""
    return queries.get(
        "functions.repoint_paths",
        oid=sql.Literal(release.oid),
        pattern=sql.Literal(_pattern(connection, old)),
        new=sql.Literal(new),
    )


def _pattern(connection: db.Connection, schema: str) -> str:
    """Return the regular expression, as PostgreSQL has them, of the schema as an element of a search path."""
    [(quoted, _)] = connection.execute(queries.get("definition.quoted"), {"old": schema, "new": schema}).fetchall()
    escaped = re.sub(r"([^\w])", r"\\\1", quoted)
    return f"(?<=^|, |,){escaped}(?=$|,)"
