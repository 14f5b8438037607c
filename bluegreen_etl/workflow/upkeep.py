"""Drops what is not needed any more: dead and failed releases, superseded ones, previous ones beyond those kept."""

from datetime import UTC, datetime
from typing import Literal

from bluegreen_etl import catalog, citus, db, errors, ledger, model
from bluegreen_etl.cutover import swap
from bluegreen_etl.model import Release, Status
from bluegreen_etl.workflow import dropping
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
            _drop_patiently(context.server, connection, release)
            dropped.append(release.number)
        except errors.BluegreenError as error:
            refused[release.number] = "; HINT: ".join(filter(None, [error.message, error.hint]))
    kept = [r.number for r in ledger.releases(connection, context.schema) if r.status is Status.PREVIOUS]
    return Pruned(schema=context.schema, dropped=tuple(dropped), kept=tuple(kept), refused=refused)


def _drop_patiently(server: db.Server, connection: db.Connection, release: Release) -> None:
    db.retrying(
        lambda _number: dropping.drop(server, connection, release),
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
