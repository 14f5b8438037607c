"""Drops a release: its schema, and nothing that is not inside."""

import psycopg
from psycopg import sql

from bluegreen_etl import catalog, db, errors, ledger, names, sqlstates
from bluegreen_etl.cutover import plan
from bluegreen_etl.model import Release, Status
from bluegreen_etl.shadow import scratch


def drop(connection: db.Connection, release: Release) -> None:
    """Drop a release's schema and mark it pruned; never anything that is not inside it.

    Raises:
        Refused: something outside depends on it, or it was renamed by hand; names what.
        LockNotObtained: somebody reads from it.
    """
    with sqlstates.translated():
        scratch.drop(connection, release)
    with sqlstates.translated(), connection.transaction():
        if ledger.find(connection, release.live_schema, release.number).open_until is not None:
            raise errors.StillOpen(
                f"release {release.number} was opened for parts a moment ago",
                hint=f"Finish it, or give it up: `bluegreen abort {release.number}`.",
            )
        schema = drop_schema(connection, release)
        if release.status is Status.LOADING:
            release = ledger.advance(connection, release, Status.FAILED, "its load died")
        ledger.advance(connection, release, Status.PRUNED)
        ledger.note(connection, release, "pruned", schema and f"dropped {names.quoted(schema)}")


def drop_schema(connection: db.Connection, release: Release) -> str | None:
    """Drop a release's schema, and that of its offending rows, inside a transaction; return the name of the first.

    Raises:
        Refused, LockNotObtained: as drop.
    """
    schema, oid = release.shadow_schema, _own_schema(connection, release)
    failures = names.failures_schema(schema)
    failures_oid = catalog.failures_schema(connection, failures) if failures else None
    if failures and failures_oid is not None:
        _drop_schema(connection, failures, failures_oid)
    if oid is None:
        return None
    if release.status in {Status.LOADING, Status.FAILED}:
        # A program that filled it may have outlived the run that was killed.
        db.end_sessions(connection, names.program(release.live_schema, release.number))
    _drop_schema(connection, schema, oid)
    return schema


def _drop_schema(connection: db.Connection, schema: str, oid: int) -> None:
    try:
        _lock(connection, oid)
        _refuse_if_needed(connection, oid, schema)
        # All relations are locked and nothing outside depends on them: CASCADE reaches only what is inside.
        # Its foreign keys lock the tables outside that they refer to, whose readers wait behind it.
        connection.execute("SET LOCAL lock_timeout = '500ms'")
        connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
        raise errors.LockNotObtained(
            f"schema {schema}, or a table that its foreign keys refer to, is in use: it cannot be dropped now",
            hint="Run `bluegreen prune` later.",
        ) from error


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


def _lock(connection: db.Connection, oid: int) -> None:
    connection.execute("SET LOCAL lock_timeout = '2s'")
    for relation in catalog.relations(connection, oid):
        connection.execute(plan.lock_statement(relation, nowait=False))


def _refuse_if_needed(connection: db.Connection, oid: int, schema: str) -> None:
    dependents = catalog.outside_dependents(connection, oid)
    if dependents:
        listed = ", ".join(sorted({f"{item.type} {item.identity}" for item in dependents}))
        raise errors.StillNeeded(
            f"schema {schema} cannot be dropped: {listed} depends on it", hint="Drop or re-create those first."
        )
