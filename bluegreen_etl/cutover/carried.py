"""Carried tables: those of live that no load replaces, which stay the same tables through promote and rollback.

A release that is not live has a view in the place of each, its stand-in, which shows the rows of the one that is live.
In the swap the two change places, and what the incoming release has built on its stand-ins is made again on the tables.
Foreign keys of a release's tables into carried ones exist only while it is live: those of a kept one would go on
forbidding that rows of live are deleted.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec
import psycopg
from psycopg import sql

from bluegreen_etl import catalog, db, errors, ledger, model, queries
from bluegreen_etl.catalog import Dependent
from bluegreen_etl.cutover import recreate
from bluegreen_etl.cutover.dependents import Outside
from bluegreen_etl.cutover.foreign_keys import Reference
from bluegreen_etl.model import ForeignKey, Release

_AWAY = "bluegreen stand-in"


def tables(connection: db.Connection, incoming: Release, outgoing: Release, *, leave: bool) -> dict[str, int]:
    """Return the tables of live that the swap carries over, with their OIDs.

    Args:
        leave: what the incoming release does not carry may stay with the outgoing one, with all that was written to it.

    Raises:
        Refused: the incoming release has a table of its own, or nothing, in the place of a table that live carries.
    """
    wanted = ledger.carried_tables(connection, incoming)
    left = set(ledger.carried_tables(connection, outgoing)) - set(wanted)
    if left and not leave:
        raise errors.Overwritten(
            f"release {incoming.number} of {incoming.live_schema} does not carry {', '.join(sorted(left))}, which live "
            "does: what was written there would stay behind",
            hint="Load again with [carry], or give --discard-writes to leave it in the old release.",
        )
    there = catalog.plain_tables(connection, outgoing.oid)
    if gone := [name for name in wanted if name not in there]:
        raise errors.Refused(
            f"release {incoming.number} carries {', '.join(gone)}, which live does not have any more",
            hint="Load again; [carry] may name it no longer.",
        )
    return {name: there[name] for name in wanted}


def follow(
    connection: db.Connection, incoming: Release, outgoing: Release, carried: dict[str, int], outside: Outside
) -> Outside:
    """Return what follows the swap, with what the carried tables need before and after it.

    Raises:
        Refused: something of the incoming release cannot be made again on the table.
    """
    if not carried:
        return outside
    live = incoming.live_schema
    own = ledger.carried_keys(connection, incoming)
    owed = [(outgoing.shadow_schema, key) for schema, key in ledger.unvalidated(connection, live) if schema == live]
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL search_path = ''")
        again = _built_on_stand_ins(connection, incoming, outgoing, list(carried))
        statistics = catalog.statistics_of(connection, outgoing.oid, carried.values())
        # Where live is called by now: the texts of its keys are to name no schema.
        connection.execute(sql.SQL("SET LOCAL search_path = {}").format(sql.Identifier(outgoing.shadow_schema)))
        found = recreate.keys(connection, schema=outgoing.schema_oid, into=carried.values(), owed=owed)
        left = [key for _, key in found.values()]
    statements = [
        *(statement for name in carried for statement in _moves(name, live, outgoing.shadow_schema)),
        *(_set_schema("STATISTICS", outgoing.shadow_schema, name, live) for name in statistics),
        *again,
        *(recreate.drop(outgoing.shadow_schema, key) for key in left),
        *outside.statements,
        *_own_keys(live, own),
        *(statement.as_string() for statement in ledger.carry_statements(outgoing, carried, left)),
        *(statement.as_string() for statement in ledger.carry_statements(incoming, carried, ())),
    ]
    references = [
        Reference(key=key, schema=live, child_schema=incoming.shadow_schema, parent_schema=live) for key in own
    ]
    return msgspec.structs.replace(outside, statements=tuple(statements), references=(*outside.references, *references))


def _built_on_stand_ins(
    connection: db.Connection, incoming: Release, outgoing: Release, carried: Sequence[str]
) -> list[str]:
    """Return what makes the incoming release's own views and the like again, as it will be called after the swap."""
    rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
    live = sql.Identifier(incoming.live_schema)
    # Taken back at once: the server gives texts with the names that are in force, and nobody else sees these.
    connection.execute("SET LOCAL lock_timeout = '500ms'")
    connection.execute(queries.get("cutover.renaming", schema=sql.Literal(incoming.live_schema)))
    connection.execute(rename.format(live, sql.Identifier(outgoing.shadow_schema)))
    connection.execute(rename.format(sql.Identifier(incoming.shadow_schema), live))
    views = {r.name: r.oid for r in catalog.relations(connection, incoming.oid) if r.kind == "v"}
    if missing := [name for name in carried if name not in views]:
        raise errors.Refused(
            f"release {incoming.number} has no stand-in for {', '.join(missing)}",
            hint="Somebody has dropped it: load again.",
        )
    dependents = {(d.catalog, d.oid): d for name in carried for d in catalog.dependents_on(connection, views[name])}
    found = recreate.find(connection, list(dependents.values()))
    refuse_stuck([dependent for key, dependent in dependents.items() if key not in found], carried)
    return [statement for follower in found.values() for statement in follower.statements]


def refuse_stuck(left: Sequence[Dependent], carried: Iterable[str]) -> None:
    """Refuse what is built on a carried table and cannot be made again on another one.

    Raises:
        Refused: there is some; names it.
    """
    if left:
        raise errors.CannotFollow(
            f"{', '.join(f'{d.type} {d.identity}' for d in left)} cannot follow carried table {', '.join(carried)}",
            hint="Views, functions with a parsed body and policies can.",
        )


def _moves(name: str, live: str, away: str) -> Iterator[str]:
    """Yield what lets the stand-in, now in live's place, and the table change places."""
    yield f"ALTER VIEW {_place(live, name)} RENAME TO {_place(_AWAY)}"
    yield _set_schema("VIEW", live, _AWAY, away)
    yield _set_schema("TABLE", away, name, live)
    yield f"ALTER VIEW {_place(away, _AWAY)} RENAME TO {_place(name)}"


def _own_keys(live: str, keys: Sequence[ForeignKey]) -> Iterator[str]:
    """Yield what makes the foreign keys of a release's tables into carried ones, whose texts name no schema."""
    if keys:
        yield f"SET LOCAL search_path = {_place(live)}"
        for key in keys:
            yield from recreate.add(live, key)
        yield "SET LOCAL search_path = ''"


def _set_schema(kind: str, schema: str, name: str, to: str) -> str:
    return f"ALTER {kind} {_place(schema, name)} SET SCHEMA {_place(to)}"


def _place(*parts: str) -> str:
    return sql.Identifier(*parts).as_string()


def create_stand_ins(connection: db.Connection, release: model.Release, carried: Sequence[str]) -> None:
    """Put a stand-in into the place of each carried table, and write into the ledger what the release thereby lacks.

    Raises:
        Refused: something of the release is built on such a table and cannot be built on a view.
    """
    if not carried:
        return
    with connection.transaction():
        oid = catalog.require_schema_oid(connection, release.shadow_schema)
        own = {name: table for name, table in catalog.plain_tables(connection, oid).items() if name in carried}
        connection.execute(sql.SQL("SET LOCAL search_path = {}").format(sql.Identifier(release.shadow_schema)))
        # A clone of live has them as they are there.
        owed = [
            (release.shadow_schema, key)
            for schema, key in ledger.unvalidated(connection, release.live_schema)
            if schema == release.live_schema
        ]
        keys = [key for _, key in recreate.keys(connection, schema=oid, into=own.values(), owed=owed).values()]
        connection.execute("SET LOCAL search_path = ''")
        ledger.carry(connection, release, carried, keys)
        for key in keys:
            connection.execute(sql.SQL(recreate.drop(release.shadow_schema, key)))
        for name in carried:
            _create_stand_in(connection, release, name, own.get(name))
        # Last, because they may refer to each other.
        for name in own:
            _drop_own(connection, release, name)


def _create_stand_in(connection: db.Connection, release: model.Release, name: str, own: int | None) -> None:
    shadow, live = (sql.Identifier(schema, name) for schema in (release.shadow_schema, release.live_schema))
    again = []
    if own is not None:
        found = recreate.find(connection, catalog.dependents_on(connection, own))
        again = [statement for follower in found.values() for statement in follower.statements]
        connection.execute(sql.SQL("ALTER TABLE {} RENAME TO {}").format(shadow, sql.Identifier(_away(name))))
    # WITH makes a view that nobody can write through; what its readers may see is what they may see of the table.
    connection.execute(
        sql.SQL(
            "CREATE VIEW {0} WITH (security_invoker = true) AS "
            "WITH live AS NOT MATERIALIZED (SELECT * FROM {1}) SELECT * FROM live"
        ).format(shadow, live)
    )
    connection.execute(sql.SQL("GRANT SELECT ON {} TO PUBLIC").format(shadow))
    for statement in again:
        try:
            connection.execute(sql.SQL(statement))
        except psycopg.errors.ProgrammingError as error:
            raise errors.CannotFollow(
                f"carried table {name} is a view while its release is not live, and something needs the table: "
                f"{error.diag.message_primary}, in {' '.join(statement.split())[:_SHOWN]}",
                hint="Name all columns in GROUP BY, leave WITH CHECK OPTION out.",
            ) from error


_SHOWN = 100  # characters of a statement in a message


def _drop_own(connection: db.Connection, release: model.Release, name: str) -> None:
    place = sql.Identifier(release.shadow_schema, _away(name))
    try:
        connection.execute(sql.SQL("DROP TABLE {}").format(place))
    except psycopg.errors.DependentObjectsStillExist as error:
        detail = (error.diag.message_detail or "").replace(_away(name), name)
        raise errors.CannotFollow(
            f"something is built on carried table {name} that cannot follow it: {'; '.join(detail.splitlines())}",
            hint="Views, functions with a parsed body and policies follow; materialized views and types do not.",
        ) from error


def _away(name: str) -> str:
    return f"{name[:40]} {_AWAY}"
