"""Restore: a backup becomes a release, which is checked and promoted like any other."""

from functools import partial
from pathlib import Path

import msgspec
from psycopg import sql

from bluegreen_etl import catalog, db, errors
from bluegreen_etl.commands import backup, promote
from bluegreen_etl.cutover import carried
from bluegreen_etl.errors.unexpected import guarded
from bluegreen_etl.model import StructureFrom
from bluegreen_etl.releases.build import Build
from bluegreen_etl.releases.context import Context, refuse_if_protected
from bluegreen_etl.releases.lifecycle import Loaded, check_built, make_ready, open_build
from bluegreen_etl.releases.plan import plan_load
from bluegreen_etl.shadow import backup_files, structure
from bluegreen_etl.shadow.dump import Entry


@guarded
def restore(context: Context, directory: str) -> Loaded:
    """Fill a new release from a backup and make it ready.

    Raises:
        BadSource: the directory is not a backup of this schema, or one of its files was changed.
        ChecksFailed, Refused, Conflict, ServerFailed: live is unchanged.
    """
    place = Path(directory)
    manifest = backup_files.read(place)
    if manifest.schema != context.schema:
        raise errors.BadBackup(
            f"{directory} is a backup of {manifest.schema}, not of {context.schema}",
            hint=f"Give `--schema {manifest.schema}`, or name another backup.",
        )
    backup_files.verify(place, manifest)
    with context.server.connect(f"restore {context.schema}") as connection:
        _refuse_other_source(context, connection, manifest)
        plan = plan_load(context, connection, None, structure=StructureFrom.BACKUP)
        # The backup holds the rows that the transforms built.
        plan = msgspec.structs.replace(plan, transforms=())
        refuse_if_protected(context, connection, "restore")
        with open_build(context, connection, plan) as build:
            outside = _create_structure(build, place, manifest)
            build.defer_indexes()
            build.deferred = [*build.deferred, *outside]
            _copy_backup(build, place)
            built = build.finish()
            _restore_settings(build, place)
            checks = check_built(build, built)
            return make_ready(build, built, checks)


@guarded
def restore_and_promote(context: Context, directory: str) -> promote.Released:
    """Restore a backup and make it live at once.

    Raises:
        BluegreenError: of restore or promote; if promote failed, the release stays ready.
    """
    return promote.and_promote(context, "restore", partial(restore, directory=directory))


def _refuse_other_source(context: Context, connection: db.Connection, manifest: backup_files.Manifest) -> None:
    """Refuse a backup of another server or database without `--force`: it may be of another environment.

    Raises:
        BadBackup: the backup is of another server or database.
    """
    made_of, own = backup.source_of(manifest), backup.find_source(context, connection)
    same = made_of.database == own.database and made_of.system in {own.system, None}
    if same or context.force:
        return
    where = f"database {made_of.database}" + ("" if made_of.system in {own.system, None} else " on another server")
    raise errors.BadBackup(
        f"the backup was made of {where}, and this is database {own.database}",
        hint="Give `--force` to restore it here, or connect to the database that it was made of.",
    )


def _create_structure(build: Build, place: Path, manifest: backup_files.Manifest) -> list[Entry]:
    """Create the shadow schema from the dump of the backup; return its keys to tables outside."""
    build.stages.begin("structure")
    entries = backup_files.structure(build.connection, place, build.context.settings)
    build.release = msgspec.structs.replace(build.release, structure=StructureFrom.BACKUP)
    with build.connect() as own:
        outside = build.create_recorded(own, partial(structure.restore, own, build.release, manifest.dumped, entries))
        db.retry_on_lock_timeout(own, partial(carried.create_stand_ins, own, build.release, build.plan.carried))
    return outside


def _copy_backup(build: Build, place: Path) -> None:
    """Copy the rows of the backup into the tables that the release does not carry."""
    work = backup_files.work(build.connection, place, build.context.settings)
    build.copy([item for item in work if item.table.name not in build.plan.carried])


def _restore_settings(build: Build, place: Path) -> None:
    """Restore the privileges, and the sequences that belong to no column: rows say nothing about them."""
    connection, release, settings = build.connection, build.release, build.context.settings
    db.retry_on_lock_timeout(connection, partial(structure.carry_privileges, connection, release, settings))
    values = backup_files.sequences(connection, place, settings)
    for sequence in catalog.sequences(connection, release.oid):
        if sequence.column is None and sequence.name in values:
            name = sql.Identifier(release.shadow_schema, sequence.name).as_string()
            connection.execute("SELECT pg_catalog.setval(%s::regclass, %s, %s)", (name, *values[sequence.name]))
