"""Materialized views outside of live: built anew of the release before the swap, and exchanged in it.

What they read from cannot be changed in place, as that of a view can. The new one is made beside the old one, under a
name that begins with `bluegreen`, filled and indexed while nobody waits, and takes its name in the swap. One that reads
from live only by way of outside views stays what it is, and is refreshed after the swap.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Literal

import psycopg
from psycopg import sql

from bluegreen_etl import catalog, db, errors, model, names, queries
from bluegreen_etl.catalog import Dependent, Relation
from bluegreen_etl.model import Release

MaterializedViews = Literal["rebuild", "refuse"]


class Rebuilt(model.Record, frozen=True, kw_only=True):
    """A materialized view that follows, in the order of what is done.

    `make` wants the release under the live name, `fill` comes after it, `exchange` and then `clear` in the swap; `undo`
    takes back what `make` has made. `rule` is the OID of the old one's rule.
    """

    rule: int
    place: Relation
    make: str
    fill: tuple[str, ...]
    exchange: tuple[str, ...]
    clear: tuple[str, ...]
    undo: str


def find(connection: db.Connection, dependents: Sequence[Dependent], wanted: MaterializedViews) -> list[Rebuilt]:
    """Return those of the dependents that are materialized views and may follow; wants an empty search path."""
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
    """Return what hangs on these materialized views, and has to follow them in turn."""
    return [dependent for each in found for dependent in catalog.dependents_on(connection, each.place.oid)]


def preparation(incoming: Release, outgoing: Release, found: Sequence[Rebuilt]) -> list[str]:
    """Return the statements that make them beside the old ones and fill them, for people and psql."""
    if not found:
        return []
    own = ("BEGIN", "SET LOCAL search_path = ''", "SET LOCAL lock_timeout = '500ms'")
    return [*own, *_making(incoming, outgoing, found), "COMMIT", *_filling(found)]


@contextmanager
def built(
    server: db.Server, incoming: Release, outgoing: Release | None, found: Sequence[Rebuilt], say: Callable[[str], None]
) -> Iterator[None]:
    """Make and fill them for the body, which exchanges them, and take away what it has not.

    Raises:
        CannotFollow: one cannot be made of the release.
    """
    if not found or outgoing is None:
        yield
        return
    # Its owner's view of the rows is what a materialized view holds, policies included.
    settings = {"row_security": "on", "search_path": ""}
    with server.connect(f"promote {incoming.live_schema} r{incoming.number}", settings) as own:
        try:
            db.patiently(own, partial(_run, own, _making(incoming, outgoing, found)))
            _run(own, _filling(found))
            yield
        finally:
            for each in found:
                try:
                    own.execute(sql.SQL(each.undo))
                except psycopg.Error as error:
                    say(f"left over, to be dropped: {each.undo};: {error.diag.message_primary}")


def _making(incoming: Release, outgoing: Release, found: Sequence[Rebuilt]) -> list[str]:
    """Return what makes them, in one transaction: their texts name live, which the release is called meanwhile."""
    rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
    live, away, shadow = map(sql.Identifier, (incoming.live_schema, outgoing.shadow_schema, incoming.shadow_schema))
    return [
        queries.get("cutover.renaming", schema=sql.Literal(incoming.live_schema)).as_string(),
        *(each.undo for each in found),  # what a crash has left
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
                f"a materialized view cannot be made of the release: {error.diag.message_primary}, "
                f"in {' '.join(statement.split())[:_SHOWN]}",
                hint="Load a release that it fits, drop it before the promote, or run as its owner.",
            ) from error


_SHOWN = 100


def refresh(connection: db.Connection, views: Sequence[int], say: Callable[[str], None]) -> None:
    """Refresh what reads from outside views that have followed. The cut-over is done: what goes wrong is told."""
    found = (
        connection.execute(queries.get("cutover.matviews_reading"), {"views": list(views)}).fetchall() if views else []
    )
    if not found:
        return
    connection.execute("SET row_security = on")
    for schema, name, concurrently in found:
        place = names.quoted(schema, name)
        if not concurrently:
            say(f"not refreshed, because its readers would wait (it has no unique index): {place}")
            continue
        try:
            refresh = sql.SQL("REFRESH MATERIALIZED VIEW CONCURRENTLY {}")
            connection.execute(refresh.format(sql.Identifier(schema, name)))
        except psycopg.Error as error:
            say(f"not refreshed: {error.diag.message_primary}; later: REFRESH MATERIALIZED VIEW {place};")
    connection.execute("SET row_security = off")
