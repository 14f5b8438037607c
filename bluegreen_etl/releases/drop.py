"""Drops a release: its schema, and nothing that is not inside."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import LiteralString

import psycopg
from psycopg import sql

from bluegreen_etl import catalog, db, errors, ledger, names, sqlstates
from bluegreen_etl.cutover import plan
from bluegreen_etl.model import Release, Status
from bluegreen_etl.shadow import scratch_database


def drop_release(server: db.Server, connection: db.Connection, release: Release) -> None:
    """Drop a release's schema and mark it pruned; never anything that is not inside it.

    Raises:
        Refused: something outside depends on it, or it was renamed by hand; names what.
        LockNotObtained: somebody reads from it.
        ServerFailed: there is no second connection, or no room for so many locks.
    """
    with sqlstates.translated():
        scratch_database.drop(connection, release)
        release = _thinned(server, connection, release)
    with sqlstates.translated(), connection.transaction():
        _refuse_open(connection, release)
        schema = drop_schema(server, connection, release)
        if release.status is Status.LOADING:
            release = ledger.advance(connection, release, Status.FAILED, "its load died")
        ledger.advance(connection, release, Status.PRUNED)
        ledger.note(connection, release, "pruned", schema and f"dropped {names.quoted(schema)}")


def drop_schema(server: db.Server, connection: db.Connection, release: Release) -> str | None:
    """Drop a release's schema, and that of its offending rows, inside a transaction; return the name of the first.

    Raises:
        Refused, LockNotObtained, ServerFailed: as drop.
    """
    schema, oid = release.shadow_schema, _own_schema(connection, release)
    failures = names.failures_schema(schema)
    doomed = {}
    if failures and (failures_oid := catalog.failures_schema(connection, failures)) is not None:
        doomed[failures] = failures_oid
    if oid is not None:
        doomed[schema] = oid
        if release.status in {Status.LOADING, Status.FAILED}:
            # A program that filled it may have outlived the run that was killed.
            db.end_sessions(connection, names.program(release.live_schema, release.number))
    if doomed:
        _refuse_without_lock_room(connection, doomed)
        with _sparing(server, doomed) as refuse_if_needed:
            refuse_if_needed()
            relations = [relation for oid in doomed.values() for relation in catalog.relations(connection, oid)]
            _drop(connection, relations, "SCHEMA", [sql.Identifier(schema) for schema in doomed])
            refuse_if_needed()
    return schema if oid is not None else None


def _thinned(server: db.Server, connection: db.Connection, release: Release) -> Release:
    """Drop tables of a release, some at a time, until the server's lock table could hold the rest; return the release.

    One that cannot be dropped as a whole is no way back any more when the first of its tables goes.
    """
    release = ledger.find(connection, release.live_schema, release.number)
    oid = _own_schema(connection, release)
    if oid is None or not (some := _some_tables(connection, oid)):
        return release
    with _sparing(server, {release.shadow_schema: oid}) as refuse_if_needed:
        while some:
            refuse_if_needed()
            with connection.transaction():
                _refuse_open(connection, release)
                if release.status is not Status.FAILED:
                    release = ledger.advance(connection, release, Status.FAILED, "it is being dropped table by table")
                _drop(connection, some, "TABLE", [sql.Identifier(table.schema, table.name) for table in some])
                refuse_if_needed()
            some = _some_tables(connection, oid)
    return release


def _some_tables(connection: db.Connection, oid: int) -> list[catalog.Relation]:
    """Return as many tables of a schema as can be dropped at once; none where all of it can."""
    wanted, capacity = catalog.locks_to_drop(connection, [oid]), catalog.lock_capacity(connection)
    if wanted <= capacity:
        return []
    tables = [relation for relation in catalog.relations(connection, oid) if relation.kind in {"r", "p"}]
    # Others want locks too, and some tables have more that goes with them.
    return tables[: max(1, len(tables) * capacity // (4 * wanted))]


@contextmanager
def _sparing(server: db.Server, doomed: Mapping[str, int]) -> Iterator[Callable[[], None]]:
    """Give what refuses to drop schemas, by name with their OIDs, where something outside depends on them.

    It asks on a connection of its own. Functions and types cannot be locked: what came to depend on them after it was
    asked first goes with CASCADE. Asked again before the commit, it sees that, because for it nothing is dropped yet.
    """
    listed = ", ".join(doomed)
    with server.connect(f"drop {listed}", db.BRIEFLY) as other, _in_words(listed):
        yield partial(_refuse_if_needed, other, doomed)


def _drop(
    connection: db.Connection,
    relations: Iterable[catalog.Relation],
    kind: LiteralString,
    doomed: Iterable[sql.Identifier],
) -> None:
    """Drop something with what is inside, having locked the relations, inside a transaction."""
    connection.execute("SET LOCAL lock_timeout = '2s'")
    for relation in relations:
        connection.execute(plan.lock_statement(relation, nowait=False))
    # Foreign keys lock the tables outside that they refer to, whose readers wait behind that.
    connection.execute("SET LOCAL lock_timeout = '500ms'")
    connection.execute(sql.SQL("DROP {} {} CASCADE").format(sql.SQL(kind), sql.SQL(", ").join(doomed)))


@contextmanager
def _in_words(listed: str) -> Iterator[None]:
    """Raise what the server says while these schemas are dropped as the tool's own errors."""
    try:
        yield
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
        raise errors.LockNotObtained(
            f"schema {listed}, or a table that its foreign keys refer to, is in use: it cannot be dropped now",
            hint="Run `bluegreen prune` later.",
        ) from error
    except psycopg.errors.OutOfMemory as error:
        raise errors.LockTableFull(
            f"the server's lock table has no room for what is in schema {listed}",
            hint="Raise max_locks_per_transaction and restart the server.",
        ) from error


def _refuse_without_lock_room(connection: db.Connection, doomed: Mapping[str, int]) -> None:
    """Refuse what would fill the server's lock table, which all its sessions share: DROP locks each single object."""
    wanted, room = catalog.locks_to_drop(connection, doomed.values()), catalog.lock_room(connection)
    if wanted > room:
        raise errors.LockTableFull(
            f"dropping schema {', '.join(doomed)} locks {wanted} objects at once; the server has room for {room} more",
            hint="Raise max_locks_per_transaction and restart the server.",
        )


def _own_schema(connection: db.Connection, release: Release) -> int | None:
    """Return the OID of the release's schema, which lies under the release's own name; None when there is none.

    Raises:
        Refused: somebody has given it another name, such as the live one, and so has use for it.
    """
    place = catalog.schema_name(connection, release.schema_oid) if release.schema_oid else None
    if place is not None and place != release.shadow_schema:
        raise errors.NameTaken(
            f"release {release.number} lies in schema {names.quoted(place)}, a name that was given to it by hand",
            hint=f"Rename it to {names.quoted(release.shadow_schema)}, or drop it yourself.",
        )
    oid = catalog.schema_oid(connection, release.shadow_schema)
    # A load may die before the ledger has learnt which schema it made: there the name has to do.
    return oid if release.status in {Status.LOADING, Status.FAILED} or oid == release.schema_oid else None


def _refuse_open(connection: db.Connection, release: Release) -> None:
    if ledger.find(connection, release.live_schema, release.number).open_until is not None:
        raise errors.StillOpen(
            f"release {release.number} was opened for parts a moment ago",
            hint=f"Finish it, or give it up: `bluegreen abort {release.number}`.",
        )


def _refuse_if_needed(connection: db.Connection, doomed: Mapping[str, int]) -> None:
    for schema, oid in doomed.items():
        dependents = catalog.outside_dependents(connection, oid)
        if dependents:
            raise errors.StillNeeded(
                f"schema {schema} cannot be dropped: {catalog.listed(dependents)} depends on it",
                hint="Drop or re-create those first.",
            )
