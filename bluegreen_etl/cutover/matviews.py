"""Dependent materialized views: built from the release before the swap, and exchanged in it.

CREATE OR REPLACE cannot re-point them. A new one is created next to the old one, under a name that begins with
`bluegreen`, and is filled and indexed while nobody waits. The swap gives it the name of the old one. A materialized
view that reads live only through other views is kept, and refreshed after the swap.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Literal

import psycopg
from psycopg import sql

from bluegreen_etl import catalog, db, errors, model, names, queries, search_path
from bluegreen_etl.catalog import Dependent, Relation
from bluegreen_etl.model import Release

MaterializedViews = Literal["rebuild", "refuse"]

# A materialized view contains the rows that its owner may see, so policies apply.
_SETTINGS = {"row_security": "on", "search_path": ""}
_SHOWN = 100  # characters of a statement in a message


class Rebuilt(model.Record, frozen=True, kw_only=True):
    """A materialized view to be re-created, and its statements in the order in which they run.

    Args:
        rule: OID of the old view's rule.
        make: creates the new one; the release must have the live name then.
        fill: fills and indexes it.
        exchange: in the swap, gives it the name of the old one.
        clear: in the swap, drops the old one.
        undo: drops what `make` has created.
    """

    rule: int
    place: Relation
    make: str
    fill: tuple[str, ...]
    exchange: tuple[str, ...]
    clear: tuple[str, ...]
    undo: str


def find(connection: db.Connection, dependents: Sequence[Dependent], wanted: MaterializedViews) -> list[Rebuilt]:
    """Return the materialized views among the dependents; requires an empty search path."""
    rules = [dependent.oid for dependent in dependents if dependent.catalog == "pg_rewrite"]
    if wanted == "refuse" or not rules:
        return []
    return [
        Rebuilt(
            rule=row[0],
            place=Relation(oid=row[1], schema=row[2], name=row[3], kind=row[4], owner=row[5]),
            make=row[6],
            fill=tuple(row[7]),
            exchange=tuple(row[8]),
            clear=tuple(row[9]),
            undo=row[10],
        )
        for row in connection.execute(queries.get("cutover.outside_matviews"), {"rules": rules}).fetchall()
    ]


def grown_on(connection: db.Connection, found: Sequence[Rebuilt]) -> list[Dependent]:
    """Return the dependents of these materialized views, which must be re-created too."""
    return [dependent for each in found for dependent in catalog.dependents_on(connection, each.place.oid)]


def preparation(incoming: Release, outgoing: Release, found: Sequence[Rebuilt]) -> list[str]:
    """Return the statements that create and fill the new ones before the swap, as a script for psql."""
    if not found:
        return []
    return [
        *(f"SET {name} = '{value}'" for name, value in _SETTINGS.items()),
        *("BEGIN", f"SET LOCAL lock_timeout = '{db.LOCK_TIMEOUT}'", *_making(incoming, outgoing, found), "COMMIT"),
        *_filling(found),
        *(f"RESET {name}" for name in _SETTINGS),
    ]


@contextmanager
def built(
    server: db.Server, incoming: Release, outgoing: Release | None, found: Sequence[Rebuilt], say: Callable[[str], None]
) -> Iterator[None]:
    """Create and fill the new ones for the body, which exchanges them; then drop those that were not exchanged.

    Raises:
        CannotFollow: one cannot be created from the release.
    """
    if not found or outgoing is None:
        yield
        return
    with server.connect(f"promote {incoming.live_schema} r{incoming.number}", _SETTINGS) as own:
        try:
            db.retry_on_lock_timeout(own, partial(_run, own, _making(incoming, outgoing, found)))
            _run(own, _filling(found))
            yield
        finally:
            for each in found:
                try:
                    own.execute(sql.SQL(each.undo))
                except psycopg.Error as error:
                    say(f"not dropped: {error.diag.message_primary}; drop it later: {each.undo};")


def _making(incoming: Release, outgoing: Release, found: Sequence[Rebuilt]) -> list[str]:
    """Return the statements of one transaction that creates them, while the release has the live name."""
    rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
    live, away, shadow = map(sql.Identifier, (incoming.live_schema, outgoing.shadow_schema, incoming.shadow_schema))
    return [
        queries.get("cutover.renaming", schema=sql.Literal(incoming.live_schema)).as_string(),
        *(each.undo for each in found),  # left by a crash
        rename.format(live, away).as_string(),
        rename.format(shadow, live).as_string(),
        *(each.make for each in found),
        rename.format(live, shadow).as_string(),
        rename.format(away, live).as_string(),
    ]


def _filling(found: Sequence[Rebuilt]) -> list[str]:
    return [statement for each in found for statement in each.fill]


def _run(connection: db.Connection, statements: Sequence[str]) -> None:
    for statement in statements:
        try:
            connection.execute(sql.SQL(statement))
        except psycopg.Error as error:
            if db.is_lock_error(error) or connection.closed:
                raise
            raise errors.CannotFollow(
                f"a materialized view cannot be created from the release: {error.diag.message_primary}, "
                f"in {' '.join(statement.split())[:_SHOWN]}",
                hint="Load a release that fits it, drop the view before the promote, or promote as its owner.",
            ) from error


def refresh(connection: db.Connection, views: Sequence[int], say: Callable[[str], None]) -> None:
    """Refresh the materialized views that read re-created views. Only report errors: the cut-over is complete."""
    found = (
        connection.execute(queries.get("cutover.matviews_reading"), {"views": list(views)}).fetchall() if views else []
    )
    if not found:
        return
    connection.execute("SET row_security = on")
    for schema, name, concurrently in found:
        place = names.quoted(schema, name)
        if not concurrently:
            say(f"{place} not refreshed: it has no unique index, so its readers would wait")
            continue
        try:
            refresh = sql.SQL("REFRESH MATERIALIZED VIEW CONCURRENTLY {}")
            with search_path.user_path(connection):
                connection.execute(refresh.format(sql.Identifier(schema, name)))
        except psycopg.Error as error:
            say(f"not refreshed: {error.diag.message_primary}; refresh it later: REFRESH MATERIALIZED VIEW {place};")
    connection.execute("SET row_security = off")
