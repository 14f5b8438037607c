"""Drops what is not needed any more: dead and failed releases, superseded ones, previous ones beyond those kept."""

from datetime import UTC, datetime
from typing import Literal

import psycopg
from psycopg import sql

from bluegreen_etl import catalog, citus, db, errors, ledger, model, names, sqlstates
from bluegreen_etl.cutover import plan, swap
from bluegreen_etl.model import Release, Status
from bluegreen_etl.shadow import scratch
from bluegreen_etl.workflow.context import Context, refuse_if_protected

LOAD_LOCK = "load"
_MAX_WAIT = 5.0  # seconds to try for the locks of one release, with breaks for those who wait behind us


class Pruned(model.Record, frozen=True, kw_only=True):
    """What prune did: the releases dropped, and those that it could not drop, each with the reason."""

    schema: str
    dropped: tuple[int, ...]
    kept: tuple[int, ...]
    refused: dict[int, str]


class Protection(model.Record, frozen=True, kw_only=True):
    """Whether the database is marked as protected."""

    database: str
    protected: bool


def protect(context: Context, *, protected: bool) -> Protection:
    """Mark the database as protected, or take the mark away, which wants a confirmation itself."""
    with context.server.connect("protect") as connection:
        if not protected:
            refuse_if_protected(context, connection, "unprotect", what=connection.info.dbname)
        ledger.ensure(connection)
        ledger.protect(connection, protected=protected)
        return Protection(database=connection.info.dbname, protected=protected)


def prune(context: Context, *, keep: int | None) -> Pruned:
    """Drop releases that are not needed; `keep` previous ones stay (None: as the settings say), and all young ones."""
    with context.server.connect(f"prune {context.schema}") as connection:
        refuse_if_protected(context, connection, "prune")
        ledger_needed(connection, context.schema)
        swap.hold(connection, context.schema)
        return drop_beyond(context, connection, context.settings.retention.keep if keep is None else keep)


def drop_beyond(context: Context, connection: db.Connection, keep: int) -> Pruned:
    """Drop what prune drops, on a connection that holds the cut-over lock."""
    citus.refuse_doubts(connection, context.schema)
    releases = ledger.releases(connection, context.schema)
    # Asked after the ledger was read: a load that begins now is not among the releases.
    loading = db.is_locked(connection, LOAD_LOCK, context.schema)
    min_age = context.settings.retention.min_age
    chosen = superfluous(releases, keep=keep, min_age=min_age, now=datetime.now(UTC), loading=loading)
    dropped, refused = [], {}
    for release in chosen:
        try:
            _drop_patiently(connection, release)
            dropped.append(release.number)
        except errors.BluegreenError as error:
            refused[release.number] = error.message
    kept = [r.number for r in ledger.releases(connection, context.schema) if r.status is Status.PREVIOUS]
    return Pruned(schema=context.schema, dropped=tuple(dropped), kept=tuple(kept), refused=refused)


def _drop_patiently(connection: db.Connection, release: Release) -> None:
    db.retrying(
        lambda _number: drop(connection, release),
        max_wait=_MAX_WAIT,
        pause=lambda _number: 1.0,
        on_retry=lambda _number, _error: None,
    )


def superfluous(releases: list[Release], *, keep: int, min_age: float, now: datetime, loading: bool) -> list[Release]:
    """Return the releases to be dropped: pure.

    Failed ones, dead ones, ready ones older than live, and of the previous ones all but the `keep` that were live most
    recently, and those that were live less than `min_age` seconds ago.
    """
    live = next((release.number for release in releases if release.status is Status.LIVE), 0)
    previous = [release for release in releases if release.status is Status.PREVIOUS]
    recent = sorted(previous, key=_retired, reverse=True)[:keep]
    return [
        release
        for release in releases
        if release.status is Status.FAILED
        or is_dead(release, loading=loading)
        or (release.status is Status.READY and release.number < live)
        or (
            release.status is Status.PREVIOUS
            and release not in recent
            and (now - _retired(release)).total_seconds() >= min_age
        )
    ]


def _retired(release: Release) -> datetime:
    return release.retired_at or release.created_at


def is_dead(release: Release, *, loading: bool) -> bool:
    """Say whether nobody will make a release ready; `loading`: somebody loads, or finishes one that was open."""
    return release.status is Status.LOADING and not loading and release.open_until is None


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


def known_releases(connection: db.Connection, schema: str, *, to: Literal["read", "write"] = "read") -> list[Release]:
    """Return the releases of a live schema, out of a ledger that this version of the tool can read."""
    if ledger.exists(connection):
        ledger.ensure(connection, to=to)
    return ledger.releases(connection, schema)


def ledger_needed(connection: db.Connection, schema: str, *, to: Literal["read", "write"] = "write") -> None:
    """Refuse where no release was ever made; `to` is what the command wants to do with the ledger.

    Raises:
        Refused: this database has no ledger, or no release of this schema.
    """
    if not known_releases(connection, schema, to=to):
        raise errors.NoRelease(
            f"database {connection.info.dbname} has no release of schema {schema}",
            hint="Make one with `bluegreen load`, or look at --schema and the connection.",
        )


def schema_of(connection: db.Connection, release: Release) -> str:
    """Return what the schema of a release is called now.

    Raises:
        Refused: it is gone.
    """
    schema = catalog.schema_name(connection, release.schema_oid) if release.schema_oid else None
    if schema is None:
        raise errors.NoRelease(
            f"release {release.number} of {release.live_schema} is {release.status}, its schema is gone",
            hint="Look with `bluegreen status`.",
        )
    return schema


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
