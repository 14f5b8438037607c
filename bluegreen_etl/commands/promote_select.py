"""Chooses the two releases of a cut-over: the one that becomes live, and the one that steps back for it."""

from typing import NoReturn

from bluegreen_etl import catalog, db, errors, ledger
from bluegreen_etl.model import Release, Status
from bluegreen_etl.releases.context import Context, adopt, find_live


def to_promote(connection: db.Connection, schema: str, number: int | None) -> Release:
    """Return the release to be made live: the one of this number, or the newest ready one.

    Raises:
        Refused: there is none, or it is in no state for that.
    """
    if number is None:
        ready = [r for r in ledger.releases(connection, schema) if r.status is Status.READY]
        if not ready:
            raise errors.NoRelease(
                f"no release of {schema} is ready to be promoted",
                hint="Make one with `bluegreen load`, or name a previous one: `bluegreen promote N`.",
            )
        return ready[-1]
    release = ledger.find(connection, schema, number)
    if release.status not in {Status.READY, Status.PREVIOUS}:
        _refuse_status(release, "promoted")
    return release


def to_go_back_to(connection: db.Connection, schema: str, number: int | None) -> Release:
    """Return the kept release of this number, or the one that live replaced.

    Raises:
        Refused: it is not kept, or nothing was replaced.
    """
    live = ledger.live_release(connection, schema)
    if live is None:
        raise errors.NoRelease(f"no release of {schema} is live", hint="Look with `bluegreen status`.")
    if number is not None:
        release = ledger.find(connection, schema, number)
        if release.status is not Status.PREVIOUS:
            _refuse_status(release, "rolled back to")
        return release
    before = ledger.replaced_by(connection, live)
    if before is None or before.status is not Status.PREVIOUS:
        kept = [str(r.number) for r in ledger.releases(connection, schema) if r.status is Status.PREVIOUS]
        other = f" Kept: {', '.join(kept)}; name one with --to." if kept else ""
        gone = f"release {before.number} is {before.status}" if before else "it replaced none"
        raise errors.NoRelease(
            f"nothing to go back to from release {live.number} of {schema}: {gone}",
            hint=f"Look with `bluegreen status`.{other}",
        )
    return before


def _refuse_status(release: Release, done: str) -> NoReturn:
    reason = f": {release.failure}" if release.failure else ""
    raise errors.NoRelease(
        f"release {release.number} of {release.live_schema} is {release.status} and cannot be {done}{reason}",
        hint="Look with `bluegreen status`; load again if none is ready.",
    )


def outgoing(context: Context, connection: db.Connection, incoming: Release, *, dry_run: bool) -> Release | None:
    """Return the release that is live and will step back; adopt a schema that the ledger does not know.

    A dry run writes nothing, so it adopts nothing either.

    Raises:
        Conflict: live is not what the ledger says, or not what the load of `incoming` saw.
    """
    live, oid = find_live(context, connection)
    if (live.schema_oid if live else None) != oid:
        if not context.force or dry_run:
            raise errors.LiveChanged(
                f"schema {context.schema} is not the one that the ledger says is live: it was replaced by hand",
                hint="Look at it; --force takes what is there now as the live release.",
            )
        live = _accept_drift(context, connection, live, oid)
        if live is not None and live.id == incoming.id:
            raise errors.Refused(
                f"release {live.number} is live already: it was renamed to {context.schema} by hand",
                hint="The ledger knows it now; nothing is left to do.",
            )
    if incoming.status is Status.READY and incoming.base_oid != oid and not context.force:
        what = f"release {live.number}" if live else "no release"
        raise errors.LiveChanged(
            f"{what} is live, which is not what the load of release {incoming.number} saw",
            hint="Load again, or give --force to replace what is live now all the same.",
        )
    return live


def _accept_drift(context: Context, connection: db.Connection, live: Release | None, oid: int | None) -> Release | None:
    """Make the ledger say what is so after somebody has replaced live by hand; return the release that is live."""
    with connection.transaction():
        if live is not None:
            gone = ledger.advance(connection, live, Status.PREVIOUS)
            if gone.schema_oid is None or catalog.schema_name(connection, gone.schema_oid) is None:
                ledger.advance(connection, gone, Status.PRUNED)
                ledger.note(connection, gone, "pruned", "its schema was dropped by hand")
        return adopt(context, connection, oid) if oid is not None else None
