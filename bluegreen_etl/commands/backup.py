"""Backup: write a schema into files, and drop the backups that are not kept."""

import shutil
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from bluegreen_etl import catalog, config, db, errors, ledger, model, names
from bluegreen_etl.errors.unexpected import guarded
from bluegreen_etl.model import Release
from bluegreen_etl.releases.context import Context, count_jobs
from bluegreen_etl.shadow import backup_check, backup_files
from bluegreen_etl.shadow.backup_files import Manifest

LIVE = "live"


class BackedUp(model.Record, frozen=True, kw_only=True):
    """A backup: its directory, its release (None if the ledger does not know it), and the old backups dropped."""

    schema: str
    release: int | None
    path: str
    files: int
    bytes: int
    seconds: float
    dropped: tuple[str, ...]


@guarded
def backup(context: Context, *, which: str | None = None, to: str | None = None, verify: bool = False) -> BackedUp:
    """Write a release into a new directory below `to`, live by default; then drop backups that are not kept.

    Raises:
        UsageError: no directory is named.
        NoRelease: there is no such release, or its schema is gone.
        ServerFailed: the backup could not be completed; nothing of it is left.
    """
    place = _place(context, to)
    with context.server.connect(f"backup {context.schema}") as connection:
        if which is None or which == LIVE:
            release = ledger.live_release(connection, context.schema)
        elif which.isdecimal():
            release = ledger.find(connection, context.schema, int(which))
        else:
            raise errors.UsageError(
                f'"{which}" is neither a release number nor live', hint="Run `bluegreen status` to see the numbers."
            )
        return _write(context, connection, release, place, verify=verify)


def back_up_before_promote(context: Context, connection: db.Connection, live: Release | None) -> None:
    """Back up the live release if the settings say so; an error stops the promote.

    Raises:
        UsageError, ServerFailed: as backup.
    """
    if context.settings.load.backup == "before-promote" and live is not None:
        context.watcher.stage("backup")
        done = _write(context, connection, live, _place(context, None))
        context.watcher.say(f"release {live.number} was backed up to {done.path}")


class Source(NamedTuple):
    """What a backup was made of: several servers and databases may share a directory for backups."""

    system: str | None
    database: str
    schema: str


def find_source(context: Context, connection: db.Connection) -> Source:
    """Return the source that a backup of this connection and schema has."""
    return Source(catalog.system_identifier(connection), connection.info.dbname, context.schema)


def source_of(manifest: Manifest) -> Source:
    """Return the source of a backup; its system is None if its manifest is of version 1."""
    return Source(manifest.system, manifest.database, manifest.schema)


def select_superfluous(
    found: Iterable[tuple[str, Manifest]], source: Source, settings: config.Backup, now: datetime
) -> list[str]:
    """Return the backups of a source that are not kept; its newest backup always is kept."""
    own = [(manifest.made_at, path) for path, manifest in found if source_of(manifest) == source]
    own.sort(reverse=True)
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
            "no directory for backups was named",
            hint='Give `--to DIR`, or write `[backup] path = "backups"` into bluegreen.toml.',
        )
    return Path(to) if to is not None else context.resolved.path(own or "")


def _write(
    context: Context, connection: db.Connection, release: Release | None, place: Path, *, verify: bool = False
) -> BackedUp:
    begun = time.monotonic()
    oid = release.schema_oid if release else catalog.schema_oid(connection, context.schema)
    dumped = catalog.schema_name(connection, oid) if oid is not None else None
    if oid is None or dumped is None:
        what = f"release {release.number} of {context.schema} is {release.status}" if release else context.schema
        raise errors.NoRelease(f"{what} has no schema to back up", hint="Run `bluegreen status` to see the releases.")
    made_at = datetime.now(UTC)
    number = f"r{release.number}" if release else LIVE
    directory = place / f"{context.schema.replace('/', '_')}-{number}-{made_at:%Y%m%dT%H%M%S.%fZ}"
    manifest = Manifest(
        schema=context.schema,
        dumped=dumped,
        release=release.number if release else None,
        database=connection.info.dbname,
        system=catalog.system_identifier(connection),
        server=connection.info.parameter_status("server_version") or "",
        made_at=made_at,
        files=(),
    )
    manifest = backup_files.write(connection, directory, manifest, context.settings, jobs=count_jobs(context))
    if catalog.schema_name(connection, oid) != dumped:
        shutil.rmtree(directory, ignore_errors=True)
        raise errors.LiveChanged(f"{names.quoted(dumped)} was replaced while it was backed up", hint="Run it again.")
    if verify:  # before older backups are dropped
        backup_check.check_restorable(context.server, directory, manifest, context.settings)
    if release is not None:
        ledger.note(connection, release, model.EventKind.BACKED_UP, str(directory))
    return BackedUp(
        schema=context.schema,
        release=manifest.release,
        path=str(directory),
        files=len(manifest.files),
        bytes=sum(file.bytes for file in manifest.files),
        seconds=time.monotonic() - begun,
        dropped=tuple(_drop_old(context, connection, place)),
    )


def _drop_old(context: Context, connection: db.Connection, place: Path) -> list[str]:
    """Drop the backups of this source that are not kept; report a damaged manifest, because this backup is made."""
    found = []
    for file in sorted(place.glob(f"*/{backup_files.MANIFEST}")):
        try:
            found.append((str(file.parent), backup_files.read(file.parent)))
        except errors.BadBackup as error:
            context.watcher.say(f"not considered for retention: {error.message}")
    source = find_source(context, connection)
    old = select_superfluous(found, source, context.settings.backup, datetime.now(UTC))
    for path in old:
        shutil.rmtree(path, ignore_errors=True)
    return old
