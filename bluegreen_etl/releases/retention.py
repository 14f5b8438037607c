"""Decide which releases are no longer needed, and drop them."""

from datetime import UTC, datetime

from bluegreen_etl import citus, db, errors, ledger, model
from bluegreen_etl.model import Release, Status
from bluegreen_etl.releases import drop
from bluegreen_etl.releases.context import Context
from bluegreen_etl.releases.lookup import LOAD_LOCK, is_stale

_MAX_WAIT = 5.0  # seconds to try for the locks of one release, with pauses for the sessions that queue behind it


class Pruned(model.Record, frozen=True, kw_only=True):
    """What prune did: the releases dropped, and those that could not be dropped, each with the reason."""

    schema: str
    dropped: tuple[int, ...]
    kept: tuple[int, ...]
    refused: dict[int, str]


def drop_beyond(context: Context, connection: db.Connection, keep: int) -> Pruned:
    """Drop the releases that are no longer needed; the connection holds the cut-over lock."""
    citus.refuse_doubts(connection, context.schema)
    releases = ledger.releases(connection, context.schema)
    # Look after the ledger was read: a load that begins now is not among the releases.
    loading = db.is_locked(connection, LOAD_LOCK, context.schema)
    min_age = context.settings.retention.min_age
    chosen = select_superfluous(releases, keep=keep, min_age=min_age, now=datetime.now(UTC), loading=loading)
    dropped, refused = [], {}
    for release in chosen:
        try:
            _drop_with_retries(context.server, connection, release)
            dropped.append(release.number)
        except errors.BluegreenError as error:
            refused[release.number] = "; HINT: ".join(filter(None, [error.message, error.hint]))
    kept = [r.number for r in ledger.releases(connection, context.schema) if r.status is Status.PREVIOUS]
    return Pruned(schema=context.schema, dropped=tuple(dropped), kept=tuple(kept), refused=refused)


def _drop_with_retries(server: db.Server, connection: db.Connection, release: Release) -> None:
    db.retry(
        lambda _number: drop.drop_release(server, connection, release),
        max_wait=_MAX_WAIT,
        pause=lambda _number: 1.0,
        on_retry=lambda _number, _error: None,
    )


def select_superfluous(
    releases: list[Release], *, keep: int, min_age: float, now: datetime, loading: bool
) -> list[Release]:
    """Return the releases to drop: failed, stale, ready but older than live, and previous beyond those kept.

    Kept are the `keep` previous releases that were live most recently, and those that were live less than `min_age`
    seconds ago.
    """
    live = next((release.number for release in releases if release.status is Status.LIVE), 0)
    previous = [release for release in releases if release.status is Status.PREVIOUS]
    recent = sorted(previous, key=_retired, reverse=True)[:keep]
    return [
        release
        for release in releases
        if release.status is Status.FAILED
        or is_stale(release, loading=loading)
        or (release.status is Status.READY and release.number < live)
        or (
            release.status is Status.PREVIOUS
            and release not in recent
            and (now - _retired(release)).total_seconds() >= min_age
        )
    ]


def _retired(release: Release) -> datetime:
    return release.retired_at or release.created_at
