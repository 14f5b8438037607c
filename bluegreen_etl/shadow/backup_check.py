"""Check a backup: restore it into a scratch database."""

from collections.abc import Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from bluegreen_etl import catalog, config, db, errors, names
from bluegreen_etl.model import Origin, Release, Status, StructureFrom
from bluegreen_etl.shadow import backup_files, copy, dump, outside_keys, scratch_database
from bluegreen_etl.shadow.structure import DUMP_SETTINGS
from bluegreen_etl.workers import Workers


def check_restorable(
    server: db.Server, directory: Path, manifest: backup_files.Manifest, settings: config.Settings
) -> int:
    """Restore a backup into a scratch database, drop that, and return the number of rows.

    Foreign keys to tables outside the schema are left out: the scratch database lacks these tables.

    Raises:
        BadBackup: the backup cannot be restored.
        NotPermitted: the role may not create databases.
    """
    purpose = f"verify {manifest.schema}"
    with server.connect(purpose) as connection:
        if not catalog.may_create_database(connection):
            raise errors.NotPermitted(
                f"role {connection.info.user} may not create databases, which --verify needs",
                hint=f"ALTER ROLE {names.quoted(connection.info.user)} CREATEDB;",
            )
        entries, _ = outside_keys.split(backup_files.structure(connection, directory, settings), manifest.dumped)
        work = backup_files.work(connection, directory, settings)
        oid = catalog.schema_oid(connection, manifest.dumped) or 0
        name = names.scratch_database(catalog.database_oid(connection), oid)
        extensions = catalog.all_extensions(connection)
        try:
            with scratch_database.create(server, connection, name) as own, own.connect(purpose) as scratch:
                scratch_database.create_extensions(scratch, extensions, manifest.dumped)
                return _restore(scratch, manifest, entries, work)
        except (psycopg.Error, errors.BadRow, errors.ServerFailed) as error:
            raise errors.BadBackup(
                f"backup {directory} cannot be restored: {str(error).splitlines()[0]}",
                hint="Restore it into a database with what it needs from outside the schema, or take another backup.",
            ) from error


def _restore(
    scratch: db.Connection,
    manifest: backup_files.Manifest,
    entries: Sequence[dump.Entry],
    work: Sequence[copy.Work],
) -> int:
    release = _release(manifest)
    dumped, shadow = sql.Identifier(manifest.dumped), sql.Identifier(release.shadow_schema)
    rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
    _run(scratch, [entry for entry in entries if not entry.after_copy])
    scratch.execute(rename.format(dumped, shadow))
    workers = Workers(1)
    try:
        target = copy.Target(release, workers, lambda _table, _bytes: None)
        rows = sum(copy.append(scratch, target, item).rows for item in work)
    finally:
        workers.close()
    scratch.execute(rename.format(shadow, dumped))
    _run(scratch, [entry for entry in entries if entry.after_copy])
    return rows


def _run(scratch: db.Connection, entries: Sequence[dump.Entry]) -> None:
    with scratch.transaction():
        db.run_script(scratch, DUMP_SETTINGS)
        for entry in entries:
            db.run_script(scratch, entry.sql)


def _release(manifest: backup_files.Manifest) -> Release:
    """Return a release for COPY, which no ledger has."""
    return Release(
        id=0,
        live_schema=manifest.schema,
        number=manifest.release or 0,
        status=Status.LOADING,
        origin=Origin.LOADED,
        schema_oid=None,
        base_oid=None,
        structure=StructureFrom.BACKUP,
        created_at=manifest.made_at,
        created_by="",
    )
