"""Select the two releases of a cut-over: the one that becomes live, and the one that it replaces."""

from typing import NoReturn

from bluegreen_etl import catalog, db, errors, ledger
from bluegreen_etl.model import EventKind, Release, Status
from bluegreen_etl.releases.context import Context, adopt, find_live


def select_to_promote(connection: db.Connection, schema: str, number: int | None) -> Release:
    """Return the release to make live: the one of this number, or the newest ready one.

    Raises:
        NoRelease: there is no such release, or its status does not allow it.
    """
    if number is None:
        ready = [r for r in ledger.releases(connection, schema) if r.status is Status.READY]
        if not ready:
            raise errors.NoRelease(
                f"no release of {schema} is ready to be promoted",
                hint="Run `bluegreen load`, or name a previous release: `bluegreen promote N`.",
            )
        return ready[-1]
    release = ledger.find(connection, schema, number)
    if release.status not in {Status.READY, Status.PREVIOUS}:
        _refuse_status(release, "promoted")
    return release


def select_to_roll_back_to(connection: db.Connection, schema: str, number: int | None) -> Release:
    """Return the kept release of this number, or the one that the live release replaced.

    Raises:
        NoRelease: no such release is kept.
    """
    live = ledger.live_release(connection, schema)
    if live is None:
        raise errors.NoRelease(f"no release of {schema} is live", hint="Run `bluegreen status` to see the releases.")
    if number is not None:
        release = ledger.find(connection, schema, number)
        if release.status is not Status.PREVIOUS:
            _refuse_status(release, "rolled back to")
        return release
    before = ledger.replaced_by(connection, live)
    if before is None or before.status is not Status.PREVIOUS:
        kept = [str(r.number) for r in ledger.releases(connection, schema) if r.status is Status.PREVIOUS]
        reason = f"release {before.number} is {before.status}" if before else "it replaced no release"
        raise errors.NoRelease(
            f"release {live.number} of {schema} cannot be rolled back: {reason}",
            hint=f"Name a kept release with `--to`: {', '.join(kept)}." if kept else "Load the old data again.",
        )
    return before


def _refuse_status(release: Release, done: str) -> NoReturn:
    reason = f": {release.failure}" if release.failure else ""
    raise errors.NoRelease(
        f"release {release.number} of {release.live_schema} is {release.status} and cannot be {done}{reason}",
        hint="Run `bluegreen status` to see the releases; load again if none is ready.",
    )


def find_outgoing(context: Context, connection: db.Connection, incoming: Release, *, dry_run: bool) -> Release | None:
    """Return the release that is live and will be replaced; adopt a schema that the ledger does not know.

    A dry run writes nothing, so it adopts nothing.

    Raises:
        LiveChanged: live is not the release that the ledger records, or not the one that the load of `incoming` saw.
    """
    live, oid = find_live(context, connection)
    if (live.schema_oid if live else None) != oid:
        if not context.force or dry_run:
            raise errors.LiveChanged(
                f"schema {context.schema} is not the one that the ledger says is live: it was replaced by hand",
                hint="Look at the schema; give `--force` to take it as the live release.",
            )
        live = _accept_drift(context, connection, live, oid)
        if live is not None and live.id == incoming.id:
            raise errors.Refused(
                f"release {live.number} is live already: it was renamed to {context.schema} by hand",
                hint="Do nothing: the ledger has recorded it.",
            )
    if incoming.status is Status.READY and incoming.base_oid != oid and not context.force:
        what = f"release {live.number}" if live else "no release"
        raise errors.LiveChanged(
            f"{what} is live, which is not what the load of release {incoming.number} saw",
            hint="Load again, or give `--force` to replace the live release anyway.",
        )
    return live


def _accept_drift(context: Context, connection: db.Connection, live: Release | None, oid: int | None) -> Release | None:
    """Record that live was replaced by hand; return the release that is live now."""
    with connection.transaction():
        if live is not None:
            gone = ledger.advance(connection, live, Status.PREVIOUS)
            if gone.schema_oid is None or catalog.schema_name(connection, gone.schema_oid) is None:
                ledger.advance(connection, gone, Status.PRUNED)
                ledger.note(connection, gone, EventKind.PRUNED, "its schema was dropped by hand")
        return adopt(context, connection, oid) if oid is not None else None
