"""Restore: a backup becomes a release, which is checked and promoted like any other."""

from functools import partial
from pathlib import Path

import msgspec
from psycopg import sql

from bluegreen_etl import catalog, db, errors
from bluegreen_etl.commands import promote
from bluegreen_etl.cutover import carried
from bluegreen_etl.model import Release, StructureFrom
from bluegreen_etl.releases import build
from bluegreen_etl.releases.context import Context, refuse_if_protected
from bluegreen_etl.releases.lifecycle import Loaded, complete, failing_cleanly, open_release
from bluegreen_etl.releases.plan import LoadPlan, plan_load
from bluegreen_etl.releases.progress import Stages
from bluegreen_etl.shadow import backup_files, structure


def restore(context: Context, directory: str) -> Loaded:
    """Fill a new release from a backup and make it ready.

    Raises:
        BadSource: it is no backup, of another schema, or a file of it is not what it was.
        ChecksFailed, Refused, Conflict, ServerFailed: live is unchanged.
    """
    place = Path(directory)
    manifest = backup_files.read(place)
    if manifest.schema != context.schema:
        raise errors.BadBackup(
            f"{directory} is a backup of {manifest.schema}, not of {context.schema}",
            hint=f"Give --schema {manifest.schema}, or name another backup.",
        )
    backup_files.verify(place, manifest)
    with context.server.connect(f"restore {context.schema}") as connection:
        plan = plan_load(context, connection, None, structure=StructureFrom.BACKUP)
        # What transforms have built is in the backup.
        plan = msgspec.structs.replace(plan, transforms=())
        refuse_if_protected(context, connection, "restore")
        release = open_release(context, connection, plan)
        with failing_cleanly(context, connection, release):
            stages = Stages(context.watcher, connection, release)
            built = _build(context, connection, plan, release, stages, place, manifest)
            return complete(context, connection, plan, built, stages)


def restore_and_promote(context: Context, directory: str) -> promote.Released:
    """Restore a backup and make it live at once.

    Raises:
        BluegreenError: of restore or promote; where promote failed, the release stays ready.
    """
    loaded = restore(context, directory)
    number = loaded.release.number if loaded.release else None
    return promote.Released(loaded=loaded, promoted=promote.promote(context, number=number))


def _build(
    context: Context,
    connection: db.Connection,
    plan: LoadPlan,
    release: Release,
    stages: Stages,
    place: Path,
    manifest: backup_files.Manifest,
) -> build.Built:
    stages.begin("structure")
    settings = context.settings
    entries = backup_files.structure(connection, place, settings)
    release = msgspec.structs.replace(release, structure=StructureFrom.BACKUP)
    with context.server.connect(f"load {plan.schema} r{release.number}", plan.session) as own:
        outside = db.patiently(own, partial(structure.restore, own, release, manifest.dumped, entries))
        db.patiently(own, partial(carried.create_stand_ins, own, release, plan.carried))
    release = build.note_structure(connection, plan, release)
    release, put_off = build.put_off_keys(context, connection, plan, release)
    put_off = [*put_off, *outside]
    work = [item for item in backup_files.work(connection, place, settings) if item.table.name not in plan.carried]
    loads = build.fill_tables(context, connection, plan, release, work, put_off, stages)
    db.patiently(connection, partial(structure.carry_privileges, connection, release, settings))
    _set_sequences(connection, release, backup_files.sequences(connection, place, settings))
    return build.Built(release, (), loads)


def _set_sequences(connection: db.Connection, release: Release, values: dict[str, tuple[int, bool]]) -> None:
    """Set the sequences that feed no column, which the rows say nothing about, as they were."""
    for sequence in catalog.sequences(connection, release.schema_oid or 0):
        if sequence.column is None and sequence.name in values:
            place = sql.Identifier(release.shadow_schema, sequence.name).as_string()
            connection.execute("SELECT pg_catalog.setval(%s::regclass, %s, %s)", (place, *values[sequence.name]))
