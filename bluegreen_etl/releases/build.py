"""Builds what a plan says: structure, rows, transforms, indexes and keys; afterwards only the checks are missing."""

import contextlib
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from bluegreen_etl import catalog, citus, db, errors, ledger, model, names
from bluegreen_etl.cutover import carried
from bluegreen_etl.model import Release, StructureFrom
from bluegreen_etl.releases import matching
from bluegreen_etl.releases.context import Context
from bluegreen_etl.releases.plan import LoadPlan, to_be_filled
from bluegreen_etl.releases.preflight import refuse_unknown_columns
from bluegreen_etl.releases.progress import Reading, Stages
from bluegreen_etl.shadow import (
    build_indexes,
    copy,
    defer,
    dump,
    inherited_metadata,
    structure,
    table_reader,
    transform,
)
from bluegreen_etl.workers import Workers


class Built(NamedTuple):
    """A release as it is before its checks; `files` are those read, `loads` what is in its tables."""

    release: Release
    files: tuple[model.SourceFile, ...]
    loads: tuple[model.TableLoad, ...]


def build(context: Context, connection: db.Connection, plan: LoadPlan, release: Release, stages: Stages) -> Built:
    """Make the release's tables, fill them, and build what belongs on them.

    Raises:
        BadSource, BadRow, Refused, ServerFailed: the release is not whole.
        UsageError: a check is declared of what the project's DDL does not have.
    """
    stages.begin("structure")
    release = make_structure(context, connection, plan, release)
    release, put_off = put_off_keys(context, connection, plan, release)
    tables = catalog.tables(connection, release.schema_oid or 0)
    if plan.structure is StructureFrom.DDL:
        refuse_unknown_columns(context, [*tables, *_carried(connection, plan)])
    to_fill = to_be_filled(tables, plan.carried, plan.copied)
    work = plan.work if plan.structure is StructureFrom.LIVE else matching.match(context, plan.found, to_fill)
    work = [*(work or ()), *copied_from_live(context, plan, release)]
    loads = fill_tables(context, connection, plan, release, work, put_off, stages)
    files = tuple(
        without_address(opened.source, size=opened.reader.size, sha256=opened.reader.sha256)
        for item in work
        for opened in item.files
        if item.table not in plan.copied  # no file
    )
    return Built(release, files, loads)


def copied_from_live(context: Context, plan: LoadPlan, release: Release) -> list[copy.Work]:
    """Return what brings live's rows into the tables that are to have them."""
    return table_reader.work(context.server, plan.schema, plan.copied, f"load {plan.schema} r{release.number}")


def _copy_from_live(context: Context, plan: LoadPlan, release: Release) -> None:
    """Bring live's rows into the tables that are to have them, whose keys may want what a program has filled."""
    works = copied_from_live(context, plan, release)
    if works:
        with (
            context.server.connect(f"load {plan.schema} r{release.number}", plan.session) as own,
            contextlib.closing(Workers(1)) as workers,
        ):
            for work in works:
                copy.append(own, copy.Target(release, workers, context.watcher.copied), work)


def put_off_keys(
    context: Context, connection: db.Connection, plan: LoadPlan, release: Release
) -> tuple[Release, list[dump.Entry]]:
    """Leave only what COPY needs in the release's schema; return the rest, to be made by fill_tables."""
    put_off = defer.defer_indexes(context.server, connection, release, context.settings)
    release = note_structure(connection, plan, release)
    if plan.distributed:
        citus.distribute(connection, release, context.settings.distribute)
    return release, put_off


def fill_tables(
    context: Context,
    connection: db.Connection,
    plan: LoadPlan,
    release: Release,
    work: Sequence[copy.Work],
    put_off: Sequence[dump.Entry],
    stages: Stages,
) -> tuple[model.TableLoad, ...]:
    """Fill the release's tables, run the transforms, and build what was put off.

    Raises:
        BadSource, BadRow, Refused, ServerFailed: the release is not whole.
    """
    if plan.distributed:  # Citus takes FREEZE, and forgets it
        work = [msgspec.structs.replace(item, freeze=False) for item in work]
    sizes = [item.size for item in work]
    stages.begin("copy", total=0 if None in sizes else sum(size or 0 for size in sizes))
    reading = Reading(context.watcher, connection, release, work)
    loads = _fill(context, plan, release, work, () if plan.transforms else put_off, stages, reading)
    for load in loads:
        if load.rejected:
            ledger.note(
                connection, release, "rejected", f"{load.rejected} rows for table {load.table}, to {load.rejects}"
            )
    if plan.transforms:
        loads = _transform(context, connection, plan, release, loads, put_off, stages)
    build_indexes.build_deferred(_builder(context, plan, release), put_off)
    transform.drop_temporary(connection, release, sorted(plan.temporary))
    build_indexes.set_sequences(connection, release)
    build_indexes.refresh_matviews(connection, release)
    return tuple(load for load in loads if load.table not in plan.temporary)


def finish_filled(
    context: Context,
    connection: db.Connection,
    plan: LoadPlan,
    release: Release,
    put_off: Sequence[dump.Entry],
    stages: Stages,
) -> Built:
    """Run the transforms on a release that somebody else has filled, build what was put off, and gather statistics.

    Raises:
        BadRow: the rows break a key or a constraint.
        Refused: it has no table, or something outside depends on it.
    """
    _copy_from_live(context, plan, release)
    if plan.transforms:
        stages.begin("transform")
        with context.server.connect(f"load {plan.schema} r{release.number}", plan.session) as own:
            transform.run(own, release, plan.transforms, context.watcher)
    stages.begin("finish")
    marked = {name for name, table in context.settings.tables.items() if table.temporary}
    found = {table.name for table in catalog.tables(connection, release.schema_oid or 0)}
    tables = sorted(found - marked)
    if not tables:
        raise errors.Refused(
            f"release {release.number} has no table",
            hint=f"Make them in schema {names.quoted(release.shadow_schema)}, or by names without a schema.",
        )
    build_indexes.build_on_tables(_builder(context, plan, release), tables, put_off)
    build_indexes.build_deferred(_builder(context, plan, release), put_off)
    transform.drop_temporary(connection, release, sorted(found & marked))
    for carry in (structure.carry_privileges, inherited_metadata.carry):
        db.patiently(connection, partial(carry, connection, release, context.settings))
    build_indexes.set_sequences(connection, release)
    build_indexes.refresh_matviews(connection, release)
    return Built(release, (), tuple(transform.count(connection, release, tables)))


def _fill(
    context: Context,
    plan: LoadPlan,
    release: Release,
    work: Sequence[copy.Work],
    entries: Sequence[dump.Entry],
    stages: Stages,
    reading: Reading,
) -> list[model.TableLoad]:
    """Copy the files, and build on each table those of the entries that belong to it alone."""

    def copied() -> None:
        reading.end()
        stages.begin("finish")

    with contextlib.closing(Workers(plan.jobs)) as workers:
        target = copy.Target(release, workers, reading.copied)
        loads = copy.begin(target, work, jobs=plan.jobs, measured=plan.distributed)
        try:
            build_indexes.copy_and_build(_builder(context, plan, release), loads, entries, copied=copied)
        finally:  # a key may be broken for want of a rejected row
            for load in loads:
                if found := load.rejected:
                    context.watcher.say(f"rejected rows for table {load.table.name}: {found.count}, in {found.path}")
    for load in loads:
        if load.streams.measured:
            streams = "1 stream" if load.streams.chosen == 1 else f"{load.streams.chosen} streams"
            context.watcher.say(f"table {load.table.name} was copied by {streams} of at most {load.streams.most}")
    return [load.result() for load in loads]


def _transform(
    context: Context,
    connection: db.Connection,
    plan: LoadPlan,
    release: Release,
    loads: Sequence[model.TableLoad],
    entries: Sequence[dump.Entry],
    stages: Stages,
) -> list[model.TableLoad]:
    """Run the project's own SQL, then build on all tables; return what is in them."""
    stages.begin("transform")
    with context.server.connect(f"load {plan.schema} r{release.number}", plan.session) as own:
        transform.run(own, release, plan.transforms, context.watcher)
    stages.begin("finish")
    tables = catalog.tables(connection, release.schema_oid or 0)
    names = [table.name for table in tables if table.name not in plan.temporary]
    build_indexes.build_on_tables(_builder(context, plan, release), names, entries)
    loaded = {load.table for load in loads}
    # Rows that a transform has written are not frozen, in tables that were loaded neither.
    changed = [msgspec.structs.replace(load, frozen=False) for load in loads]
    return [*changed, *transform.count(connection, release, [name for name in names if name not in loaded])]


def make_structure(context: Context, connection: db.Connection, plan: LoadPlan, release: Release) -> Release:
    """Make the shadow with all that belongs to its tables, so that what is put off can be read from it."""
    release = msgspec.structs.replace(release, structure=plan.structure)
    # A connection of its own: scripts may change settings of the session.
    with context.server.connect(f"load {plan.schema} r{release.number}", plan.session) as own:
        ddl = [context.resolved.path(file) for file in context.settings.structure.ddl]
        columns = {table.name: table.columns for table in plan.tables}
        make = {
            StructureFrom.LIVE: partial(structure.clone, own, release, context.settings),
            StructureFrom.DDL: partial(structure.run_ddl, own, release, ddl, context.settings),
            StructureFrom.FILES: partial(structure.create_tables, own, release, columns, context.settings),
            StructureFrom.COMMAND: partial(structure.create_tables, own, release, {}, context.settings),
        }
        db.patiently(own, make[plan.structure])
        if plan.structure in {StructureFrom.DDL, StructureFrom.FILES}:
            db.patiently(own, partial(inherited_metadata.carry, own, release, context.settings))
        oid = catalog.schema_oid(own, release.shadow_schema) or 0
        made = {table.name for table in catalog.tables(own, oid)}
        structure.add_tables(own, release, {name: columns[name] for name in plan.temporary - made})
        db.patiently(own, partial(carried.create_stand_ins, own, release, plan.carried))
    return note_structure(connection, plan, release)


def _builder(context: Context, plan: LoadPlan, release: Release) -> build_indexes.Builder:
    return build_indexes.Builder(context.server, release, plan.jobs, plan.session)


def _carried(connection: db.Connection, plan: LoadPlan) -> list[model.Table]:
    """Return the tables of live that the release carries."""
    live = catalog.tables(connection, plan.base_oid) if plan.base_oid and plan.carried else []
    return [table for table in live if table.name in plan.carried]


def note_structure(connection: db.Connection, plan: LoadPlan, release: Release) -> Release:
    """Write into the ledger which schema holds the release now."""
    oid = catalog.schema_oid(connection, release.shadow_schema)
    if oid is None:
        raise errors.ServerFailed(f"schema {release.shadow_schema} has vanished", hint="Load again.")
    return ledger.set_structure(connection, release, schema_oid=oid, structure=plan.structure)


def without_address(source: model.SourceFile, **known: object) -> model.SourceFile:
    """Return a source for everyone to see."""
    return msgspec.structs.replace(source, address=msgspec.UNSET, **known)
