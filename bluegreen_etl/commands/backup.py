"""Backup: a schema as files beside the database, and how long such files are kept."""

import shutil
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bluegreen_etl import catalog, config, db, errors, ledger, model, names
from bluegreen_etl.model import Release
from bluegreen_etl.releases.context import Context, connections
from bluegreen_etl.shadow import backup_check, backup_files
from bluegreen_etl.shadow.backup_files import Manifest

LIVE = "live"


class BackedUp(model.Record, frozen=True, kw_only=True):
    """A backup made: where, of which release (None: one that the ledger does not know), and which old ones went."""

    schema: str
    release: int | None
    path: str
    files: int
    bytes: int
    seconds: float
    dropped: tuple[str, ...]


def backup(context: Context, *, which: str | None = None, to: str | None = None, verify: bool = False) -> BackedUp:
    """Write a release into a new directory below `to`, live by default; then drop backups that are not kept.

    Raises:
        UsageError: no directory is named.
        Refused: no such release, or its schema is gone.
        ServerFailed: it could not be written whole; nothing of it is left.
    """
    place = _place(context, to)
    with context.server.connect(f"backup {context.schema}") as connection:
        if which is None or which == LIVE:
            release = ledger.live_release(connection, context.schema)
        elif which.isdecimal():
            release = ledger.find(connection, context.schema, int(which))
        else:
            raise errors.UsageError(f'"{which}" is neither a release number nor live', hint="Name one of `status`.")
        return _write(context, connection, release, place, verify=verify)


def before_promote(context: Context, connection: db.Connection, live: Release | None) -> None:
    """Back up what is live, where the settings want it; what goes wrong stops the promote.

    Raises:
        UsageError, ServerFailed: as backup.
    """
    if context.settings.load.backup == "before-promote" and live is not None:
        context.watcher.stage("backup")
        done = _write(context, connection, live, _place(context, None))
        context.watcher.say(f"release {live.number} is in {done.path}")


def superfluous(
    found: Iterable[tuple[str, Manifest]], schema: str, settings: config.Backup, now: datetime
) -> list[str]:
    """Return the backups of a schema that are not kept: pure. The newest always is."""
    own = sorted(((manifest.made_at, path) for path, manifest in found if manifest.schema == schema), reverse=True)
    oldest = now - timedelta(days=settings.days) if settings.days is not None else None
    return [
        path
        for rank, (made_at, path) in enumerate(own)
        if rank > 0
        and ((settings.keep is not None and rank >= settings.keep) or (oldest is not None and made_at < oldest))
    ]


def _place(context: Context, to: str | None) -> Path:
    own = context.settings.backup.path
    if to is None and own is None:
        raise errors.UsageError(
            "no directory for backups was named", hint="Give --to DIR, or write [backup] path into bluegreen.toml."
        )
    return Path(to) if to is not None else context.resolved.path(own or "")


def _write(
    context: Context, connection: db.Connection, release: Release | None, place: Path, *, verify: bool = False
) -> BackedUp:
    begun = time.monotonic()
    oid = release.schema_oid if release else catalog.schema_oid(connection, context.schema)
    dumped = catalog.schema_name(connection, oid) if oid else None
    if dumped is None:
        what = f"release {release.number} is {release.status}, its" if release else "live"
        raise errors.NoRelease(f"{what} schema of {context.schema} is not there", hint="Look with `bluegreen status`.")
    made_at = datetime.now(UTC)
    number = f"r{release.number}" if release else LIVE
    directory = place / f"{context.schema.replace('/', '_')}-{number}-{made_at:%Y%m%dT%H%M%S.%fZ}"
    manifest = Manifest(
        schema=context.schema,
        dumped=dumped,
        release=release.number if release else None,
        database=connection.info.dbname,
        server=connection.info.parameter_status("server_version") or "",
        made_at=made_at,
        files=(),
    )
    manifest = backup_files.write(connection, directory, manifest, context.settings, jobs=connections(context))
    if catalog.schema_name(connection, oid or 0) != dumped:
        shutil.rmtree(directory, ignore_errors=True)
        raise errors.LiveChanged(f"{names.quoted(dumped)} was replaced while it was backed up", hint="Run it again.")
    if verify:  # before older backups are dropped
        backup_check.check_restorable(context.server, directory, manifest, context.settings)
    if release is not None:
        ledger.note(connection, release, "backed up", str(directory))
    return BackedUp(
        schema=context.schema,
        release=manifest.release,
        path=str(directory),
        files=len(manifest.files),
        bytes=sum(file.bytes for file in manifest.files),
        seconds=time.monotonic() - begun,
        dropped=tuple(_drop_old(context, place)),
    )


def _drop_old(context: Context, place: Path) -> list[str]:
    found = [
        (str(file.parent), backup_files.read(file.parent)) for file in sorted(place.glob(f"*/{backup_files.MANIFEST}"))
    ]
    old = superfluous(found, context.schema, context.settings.backup, datetime.now(UTC))
    for path in old:
        shutil.rmtree(path, ignore_errors=True)
    return old
