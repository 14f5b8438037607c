"""Carried tables: tables of live that no load replaces; they stay the same tables through promote and rollback.

A release that is not live has a view in place of each, its stand-in, which shows the rows of the live table. The swap
exchanges the two, and re-creates on the tables what the incoming release has built on its stand-ins. A release has its
foreign keys into carried tables only while it is live: otherwise they would forbid deletes in live.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec
import psycopg
from psycopg import sql

from bluegreen_etl import catalog, db, errors, ledger, model, queries
from bluegreen_etl.catalog import Dependent
from bluegreen_etl.cutover import recreate
from bluegreen_etl.cutover.dependents import Dependents
from bluegreen_etl.cutover.foreign_keys import Reference
from bluegreen_etl.model import ForeignKey, Release

_AWAY = "bluegreen stand-in"  # name of the view or table that leaves, during the exchange
_SHOWN = 100  # characters of a statement in a message


def tables(connection: db.Connection, incoming: Release, outgoing: Release, *, leave: bool) -> dict[str, int]:
    """Return the tables of live that the swap carries, with their OIDs.

    Args:
        leave: tables that the incoming release does not carry may stay with the outgoing one, with their rows.

    Raises:
        Overwritten: the incoming release does not carry a table that live carries.
        Refused: live lacks a table that the incoming release carries.
    """
    wanted = ledger.carried_tables(connection, incoming)
    left = set(ledger.carried_tables(connection, outgoing)) - set(wanted)
    if left and not leave:
        raise errors.Overwritten(
            f"release {incoming.number} of {incoming.live_schema} does not carry {', '.join(sorted(left))}, but "
            "live does: rows written there would be lost",
            hint="Load again with [carry], or give `--discard-writes` to leave them in the old release.",
        )
    there = catalog.plain_tables(connection, outgoing.oid)
    if gone := [name for name in wanted if name not in there]:
        raise errors.Refused(
            f"release {incoming.number} carries {', '.join(gone)}, which live no longer has",
            hint="Remove it from [carry] and load again.",
        )
    return {name: there[name] for name in wanted}


def add_carried(
    connection: db.Connection, incoming: Release, outgoing: Release, carried: dict[str, int], dependents: Dependents
) -> Dependents:
    """Return the dependents with the statements that the carried tables need before and after theirs.

    Raises:
        Refused: something of the incoming release cannot be re-created on a table.
    """
    if not carried:
        return dependents
    live = incoming.live_schema
    own = ledger.carried_keys(connection, incoming)
    owed = [(outgoing.shadow_schema, key) for schema, key in ledger.unvalidated(connection, live) if schema == live]
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL search_path = ''")
        built_on_them = _built_on_stand_ins(connection, incoming, outgoing, list(carried))
        statistics = catalog.statistics_of(connection, outgoing.oid, carried.values())
        # The texts of live's keys name no schema if its present name is on the search path.
        connection.execute(sql.SQL("SET LOCAL search_path = {}").format(sql.Identifier(outgoing.shadow_schema)))
        found = recreate.keys(connection, schema=outgoing.schema_oid, into=carried.values(), owed=owed)
        left = [key for _, key in found.values()]
    statements = [
        *(statement for name in carried for statement in _moves(name, live, outgoing.shadow_schema)),
        *(_set_schema("STATISTICS", outgoing.shadow_schema, name, live) for name in statistics),
        *built_on_them,
        *(recreate.drop(outgoing.shadow_schema, key) for key in left),
        *dependents.statements,
        *_own_keys(live, own),
        *(statement.as_string() for statement in ledger.carry_statements(outgoing, carried, left)),
        *(statement.as_string() for statement in ledger.carry_statements(incoming, carried, ())),
    ]
    references = [
        Reference(key=key, schema=live, child_schema=incoming.shadow_schema, parent_schema=live) for key in own
    ]
    return msgspec.structs.replace(
        dependents, statements=tuple(statements), references=(*dependents.references, *references)
    )


def _built_on_stand_ins(
    connection: db.Connection, incoming: Release, outgoing: Release, carried: Sequence[str]
) -> list[str]:
    """Return the statements that re-create what uses the stand-ins, under the names that hold after the swap."""
    rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
    live = sql.Identifier(incoming.live_schema)
    # Rolled back: the server writes texts with the present names, and no other session sees these.
    connection.execute("SET LOCAL lock_timeout = '500ms'")
    connection.execute(queries.get("cutover.renaming", schema=sql.Literal(incoming.live_schema)))
    connection.execute(rename.format(live, sql.Identifier(outgoing.shadow_schema)))
    connection.execute(rename.format(sql.Identifier(incoming.shadow_schema), live))
    views = {r.name: r.oid for r in catalog.relations(connection, incoming.oid) if r.kind == "v"}
    if missing := [name for name in carried if name not in views]:
        raise errors.Refused(
            f"release {incoming.number} has no stand-in for {', '.join(missing)}: another session has dropped it",
            hint="Load again.",
        )
    dependents = {(d.catalog, d.oid): d for name in carried for d in catalog.dependents_on(connection, views[name])}
    found = recreate.find(connection, list(dependents.values()))
    refuse_stuck([dependent for key, dependent in dependents.items() if key not in found], carried)
    return [statement for recreation in found.values() for statement in recreation.statements]


def refuse_stuck(left: Sequence[Dependent], carried: Iterable[str]) -> None:
    """Refuse dependents of a carried table that cannot be re-created on another one.

    Raises:
        CannotFollow: there are some; names them.
    """
    if left:
        listed = ", ".join(f"{d.type} {d.identity}" for d in left)
        raise errors.CannotFollow(
            f"{listed} cannot be re-created on carried table {', '.join(carried)}",
            hint="Drop it before the promote; views, functions with a parsed body and policies may stay.",
        )


def _moves(name: str, live: str, away: str) -> Iterator[str]:
    """Yield the statements that exchange the stand-in, which is in live after the renames, and the table."""
    yield f"ALTER VIEW {_place(live, name)} RENAME TO {_place(_AWAY)}"
    yield _set_schema("VIEW", live, _AWAY, away)
    yield _set_schema("TABLE", away, name, live)
    yield f"ALTER VIEW {_place(away, _AWAY)} RENAME TO {_place(name)}"


def _own_keys(live: str, keys: Sequence[ForeignKey]) -> Iterator[str]:
    """Yield the statements that add a release's foreign keys into carried tables; their texts name no schema."""
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
    """Replace each carried table of a release by a stand-in, and record in the ledger what the release lacks then.

    Raises:
        CannotFollow: something of the release is built on such a table and cannot be built on a view.
    """
    if not carried:
        return
    with connection.transaction():
        oid = catalog.require_schema_oid(connection, release.shadow_schema)
        own = {name: table for name, table in catalog.plain_tables(connection, oid).items() if name in carried}
        connection.execute(sql.SQL("SET LOCAL search_path = {}").format(sql.Identifier(release.shadow_schema)))
        # A clone of live has the same foreign keys as live.
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
        # Last, because the tables may refer to each other.
        for name in own:
            _drop_own(connection, release, name)


def _create_stand_in(connection: db.Connection, release: model.Release, name: str, own: int | None) -> None:
    shadow, live = (sql.Identifier(schema, name) for schema in (release.shadow_schema, release.live_schema))
    statements: list[str] = []
    if own is not None:
        found = recreate.find(connection, catalog.dependents_on(connection, own))
        statements = [statement for recreation in found.values() for statement in recreation.statements]
        connection.execute(sql.SQL("ALTER TABLE {} RENAME TO {}").format(shadow, sql.Identifier(_away(name))))
    # WITH makes the view read-only. Its readers see only what they may see of the table.
    connection.execute(
        sql.SQL(
            "CREATE VIEW {0} WITH (security_invoker = true) AS "
            "WITH live AS NOT MATERIALIZED (SELECT * FROM {1}) SELECT * FROM live"
        ).format(shadow, live)
    )
    connection.execute(sql.SQL("GRANT SELECT ON {} TO PUBLIC").format(shadow))
    for statement in statements:
        try:
            connection.execute(sql.SQL(statement))
        except psycopg.errors.ProgrammingError as error:
            raise errors.CannotFollow(
                f"a statement needs carried table {name}, which is a view while its release is not live: "
                f"{error.diag.message_primary}, in {' '.join(statement.split())[:_SHOWN]}",
                hint="Name all columns in GROUP BY, and omit WITH CHECK OPTION.",
            ) from error


def _drop_own(connection: db.Connection, release: model.Release, name: str) -> None:
    place = sql.Identifier(release.shadow_schema, _away(name))
    try:
        connection.execute(sql.SQL("DROP TABLE {}").format(place))
    except psycopg.errors.DependentObjectsStillExist as error:
        detail = (error.diag.message_detail or "").replace(_away(name), name)
        raise errors.CannotFollow(
            f"an object depends on carried table {name} and cannot be re-created: {'; '.join(detail.splitlines())}",
            hint="Drop it from the DDL; views, functions with a parsed body and policies may stay.",
        ) from error


def _away(name: str) -> str:
    return f"{name[:40]} {_AWAY}"
