"""What a schema is made of: digests over whole catalog rows, as queries that the server itself puts together."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from bluegreen_etl import activity, db, errors, model, names, queries

# How a name is escaped in the text of a row, of an array and of an expression; each may be inside another.
_ESCAPES: tuple[Callable[[str], str], ...] = (
    lambda text: text.replace("\\", "\\\\").replace('"', '""'),
    lambda text: text.replace("\\", "\\\\").replace('"', '\\"'),
    lambda text: text.replace("'", "''"),
)
_LEVELS = 3


class Part(model.Record, frozen=True, kw_only=True):
    """An object of a schema, or a group of its attributes, that has a digest of its own: `columns of` `teams`."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def digests(
    connection: db.Connection, oid: int, *, left_out: Iterable[int] = (), renamed: tuple[str, str] | None = None
) -> sql.SQL:
    """Return the query for kind, oid, name and digest of each part of a schema; run it inside `deparsing`.

    Digests hold names instead of OIDs and numbers of columns, so those of a copy are the same.

    Args:
        left_out: OIDs of relations that do not count.
        renamed: the schema's name, and the name to write for it.
    """
    return _query(connection, oid, left_out, quick=False, renamed=renamed)


def inspection(connection: db.Connection, oid: int) -> sql.Composed:
    """Return the query for one value of a live schema and of what depends on it from outside; run it by `inspect`.

    The value holds OIDs of other schemas' objects, so compare it within minutes only. The query locks no relation.
    """
    outside = queries.get("cutover.dependents_inspected", oid=sql.Literal(oid))
    return queries.get("definition.inspection", inside=_query(connection, oid, (), quick=True), outside=outside)


def _query(
    connection: db.Connection,
    oid: int,
    left_out: Iterable[int],
    *,
    quick: bool,
    renamed: tuple[str, str] | None = None,
) -> sql.SQL:
    statement = queries.get(
        "definition.digests",
        oid=sql.Literal(oid),
        left_out=sql.Literal(list(left_out)),
        quick=sql.Literal(quick),
        renaming=sql.Literal(_renaming(connection, *renamed) if renamed else "@"),
    )
    # The server has quoted its own names.
    return sql.SQL(queries.value(connection, str, statement) or "")


def _renaming(connection: db.Connection, old: str, new: str) -> str:
    """Return the expression that writes one schema's name for another's in the text @, however it is escaped there."""
    [quoted] = connection.execute(queries.get("definition.quoted"), {"old": old, "new": new}).fetchall()
    pairs = dict.fromkeys([(quoted[0], quoted[1]), (old, new)])
    for _ in range(_LEVELS):
        pairs |= {(escape(a), escape(b)): None for a, b in pairs for escape in _ESCAPES}
    expression = "@"
    for before, after in pairs:
        literals = (sql.Literal(text).as_string(connection) for text in (before, after))
        expression = f"replace({expression}, {', '.join(literals)})"
    return expression


@contextmanager
def deparsing(connection: db.Connection, schema: str, *, wait: float) -> Iterator[None]:
    """Open a transaction in which the server writes definitions with all names qualified.

    The server locks what a view reads as a reader does, for `wait` seconds at most.

    Raises:
        LockNotObtained: a session holds a relation exclusively.
    """
    try:
        with connection.transaction():
            values = {"wait": f"{round(wait * 1000)}ms"}
            connection.execute(queries.get("definition.settings"), values)
            yield
    except psycopg.errors.LockNotAvailable as error:
        holders = activity.sessions(connection, "cutover.exclusive_holders", {"schema": schema})
        raise errors.LockNotObtained(
            f"could not read the definition of {names.quoted(schema)} within {wait:g} s; "
            f"blocked by: {model.sessions_shown(holders)}",
            hint="Live is unchanged. Run the command again when its tables are free.",
        ) from error


def inspect(connection: db.Connection, query: sql.Composed) -> str:
    """Return the value of an `inspection`."""
    with connection.transaction():
        connection.execute(queries.get("definition.settings"), {"wait": "0"})
        return queries.value(connection, str, query) or ""
