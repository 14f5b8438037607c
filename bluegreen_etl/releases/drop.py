"""Drop a release: its schema, known by its OID, and nothing that is outside of it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import LiteralString

import psycopg
from psycopg import sql

from bluegreen_etl import catalog, db, errors, ledger, names, queries, sqlstates
from bluegreen_etl.cutover import steps
from bluegreen_etl.model import EventKind, Release, Status
from bluegreen_etl.shadow import outside_keys, scratch_database

_LOCK_WAIT = 2.0  # seconds to try for the locks on the release's tables, and on an outside table
_LOCK_PAUSE = 0.02  # seconds between such attempts


def drop_release(server: db.Server, connection: db.Connection, release: Release) -> None:
    """Drop a release's schema and mark the release as pruned.

    Raises:
        Refused: an object outside depends on the schema, or the schema was renamed by hand.
        LockNotObtained: a session reads from it.
        ServerFailed: there is no second connection, or the lock table is full.
    """
    with sqlstates.translated():
        scratch_database.drop(connection, release)
        release = drop_outside_keys(server, connection, release)
        release = _drop_some_tables(server, connection, release)
    with sqlstates.translated(), connection.transaction():
        _refuse_open(connection, release)
        schema = drop_schema(server, connection, release)
        if release.status is Status.LOADING:
            release = ledger.advance(connection, release, Status.FAILED, "its load was killed")
        ledger.advance(connection, release, Status.PRUNED)
        ledger.note(connection, release, EventKind.PRUNED, schema and f"dropped {names.quoted(schema)}")


def drop_schema(server: db.Server, connection: db.Connection, release: Release) -> str | None:
    """Drop a release's schema and the schema of its offending rows, inside a transaction; return the name of the first.

    Raises:
        Refused, LockNotObtained, ServerFailed: as drop_release.
    """
    schema, oid = release.shadow_schema, _own_schema(connection, release)
    failures = names.failures_schema(schema)
    doomed = {}
    if failures and (failures_oid := catalog.failures_schema(connection, failures)) is not None:
        doomed[failures] = failures_oid
    if oid is not None:
        doomed[schema] = oid
        _end_program(connection, release)
    if doomed:
        _refuse_without_lock_room(connection, doomed)
        with _sparing(server, doomed) as refuse_if_needed:
            refuse_if_needed()
            relations = [relation for oid in doomed.values() for relation in catalog.relations(connection, oid)]
            _drop(connection, relations, "SCHEMA", [sql.Identifier(schema) for schema in doomed])
            _refuse_other_schema(connection, doomed)
            refuse_if_needed()
    return schema if oid is not None else None


def drop_outside_keys(server: db.Server, connection: db.Connection, release: Release) -> Release:
    """Drop the foreign keys of a release to tables outside, each in a transaction of its own; return the release.

    Dropping a key blocks the readers of the outside table until the transaction ends, so the schema is dropped after
    them. The first key goes in one message with the release's status: without its keys it cannot be rolled back to.

    Raises:
        Refused, LockNotObtained, ServerFailed: as drop_release.
    """
    release = ledger.find(connection, release.live_schema, release.number)
    oid = _own_schema(connection, release)
    if oid is None or not (drops := outside_keys.drop_statements(connection, release, oid)):
        return release
    with _sparing(server, {release.shadow_schema: oid}) as refuse_if_needed:
        refuse_if_needed()
        _refuse_open(connection, release)
        _end_program(connection, release)
        if release.status is not Status.FAILED:
            both = sql.SQL("{}; {}").format(_fail_statement(release), drops[0].statement)
            drops[0] = drops[0]._replace(statement=both)
        for each in drops:
            outside_keys.run_alone(connection, each.statement, exclusive_on=each.tables, max_wait=_LOCK_WAIT)
    return ledger.find(connection, release.live_schema, release.number)


def _end_program(connection: db.Connection, release: Release) -> None:
    """End the sessions of a wrapped program: if its run was killed, it may still be running."""
    if release.status in {Status.LOADING, Status.FAILED}:
        db.end_sessions(connection, names.program(release.live_schema, release.number))


def _fail_statement(release: Release) -> sql.Composed:
    return queries.get(
        "ledger_queries.fail_release",
        id=sql.Literal(release.id),
        status=sql.Literal(release.status.value),
        failure=sql.Literal("it is being dropped"),
    )


def _drop_some_tables(server: db.Server, connection: db.Connection, release: Release) -> Release:
    """Drop tables of a release in batches until the server's lock table can hold the rest; return the release.

    When the first table is dropped, the release fails: it can no longer be rolled back to.
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
    """Return a batch of tables that can be dropped at once; none if the whole schema can."""
    wanted, capacity = catalog.locks_to_drop(connection, [oid]), catalog.lock_capacity(connection)
    if wanted <= capacity:
        return []
    tables = [relation for relation in catalog.relations(connection, oid) if relation.kind in {"r", "p"}]
    # Other sessions need locks too, and some tables have more dependent objects than others.
    return tables[: max(1, len(tables) * capacity // (4 * wanted))]


@contextmanager
def _sparing(server: db.Server, doomed: Mapping[str, int]) -> Iterator[Callable[[], None]]:
    """Yield a function that refuses to drop schemas, given as OIDs by name, if an object outside depends on them.

    The function looks on a connection of its own. Functions and types cannot be locked: CASCADE would drop an object
    that began to depend on them after the first look. A second look before the commit finds it, because for that
    connection nothing is dropped yet.
    """
    listed = ", ".join(doomed)
    with server.connect(f"drop {listed}", db.BRIEFLY) as other, _translating_lock_errors(listed):
        yield partial(_refuse_if_needed, other, doomed)


def _drop(
    connection: db.Connection,
    relations: Iterable[catalog.Relation],
    kind: LiteralString,
    doomed: Iterable[sql.Identifier],
) -> None:
    """Lock the relations, then drop schemas or tables with everything inside; inside a transaction."""
    db.bound_idle_transaction(connection)
    # A lock that waits would make the workers of a parallel pg_dump fail.
    connection.execute("SET LOCAL lock_timeout = '1ms'")
    statements = [steps.lock_statement(relation, nowait=True) for relation in relations]

    def lock_all(_number: int) -> None:
        with connection.transaction():
            for statement in statements:
                connection.execute(statement)

    db.retry(lock_all, max_wait=_LOCK_WAIT, pause=lambda _number: _LOCK_PAUSE, on_retry=lambda _number, _error: None)
    # Foreign keys lock the tables outside that they refer to; readers of these tables queue behind the lock.
    connection.execute("SET LOCAL lock_timeout = '500ms'")
    connection.execute(sql.SQL("DROP {} {} CASCADE").format(sql.SQL(kind), sql.SQL(", ").join(doomed)))


@contextmanager
def _translating_lock_errors(listed: str) -> Iterator[None]:
    """Raise errors of locks as the tool's own while these schemas are dropped."""
    try:
        yield
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected, errors.LockNotObtained) as error:
        raise errors.LockNotObtained(
            f"schema {listed} cannot be dropped now: it is in use, or a table that its foreign keys refer to is",
            hint="Run `bluegreen prune` later.",
        ) from error
    except psycopg.errors.OutOfMemory as error:
        raise errors.LockTableFull(
            f"schema {listed} cannot be dropped: the server's lock table is full",
            hint="Raise `max_locks_per_transaction` and restart the server.",
        ) from error


def _refuse_without_lock_room(connection: db.Connection, doomed: Mapping[str, int]) -> None:
    """Refuse to fill the lock table, which all sessions of the server share: DROP locks every single object."""
    wanted, room = catalog.locks_to_drop(connection, doomed.values()), catalog.lock_room(connection)
    if wanted > room:
        raise errors.LockTableFull(
            f"dropping schema {', '.join(doomed)} locks {wanted} objects at once; the server has room for {room} more",
            hint="Raise `max_locks_per_transaction` and restart the server.",
        )


def _own_schema(connection: db.Connection, release: Release) -> int | None:
    """Return the OID of the release's schema; None if the release has none.

    The transaction that creates a shadow schema records its OID. A schema of the same name with another OID belongs
    to another session.

    Raises:
        NameTaken: the schema was renamed by hand, for example to the live name, so it may be in use.
    """
    name = catalog.schema_name(connection, release.schema_oid) if release.schema_oid else None
    if name is not None and name != release.shadow_schema:
        old, new = names.quoted(name), names.quoted(release.shadow_schema)
        raise errors.NameTaken(
            f"release {release.number} is in schema {old}: it was renamed by hand",
            hint=f"Rename it, `ALTER SCHEMA {old} RENAME TO {new};`, or drop it yourself.",
        )
    return release.schema_oid if name is not None else None


def _refuse_other_schema(connection: db.Connection, doomed: Mapping[str, int]) -> None:
    """Refuse to commit a DROP by name that has dropped a schema of another OID.

    Raises:
        NameTaken: the schema was renamed by hand, and another schema has got its name.
    """
    for schema, oid in doomed.items():
        if catalog.schema_name(connection, oid) is not None:
            raise errors.NameTaken(
                f"schema {names.quoted(schema)} was replaced while it was being dropped: nothing was dropped",
                hint="Run `bluegreen prune` again.",
            )


def _refuse_open(connection: db.Connection, release: Release) -> None:
    if ledger.find(connection, release.live_schema, release.number).open_until is not None:
        raise errors.StillOpen(
            f"release {release.number} was opened for parts a moment ago",
            hint=f"Run `bluegreen finish {release.number}`, or `bluegreen abort {release.number}` to drop it.",
        )


def _refuse_if_needed(connection: db.Connection, doomed: Mapping[str, int]) -> None:
    for schema, oid in doomed.items():
        dependents = catalog.outside_dependents(connection, oid)
        if dependents:
            raise errors.StillNeeded(
                f"schema {schema} cannot be dropped: {catalog.listed(dependents)} depends on it",
                hint="Drop these dependents first, or re-create them on the live schema.",
            )
