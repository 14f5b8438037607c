"""Build a release as its plan says: structure, rows, transforms, indexes and keys. Only the checks come after it."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import NamedTuple, TypeVar

import msgspec

from bluegreen_etl import catalog, citus, db, errors, ledger, model, names
from bluegreen_etl.cutover import carried
from bluegreen_etl.model import Release, SourceFile, StructureFrom, Table, TableLoad
from bluegreen_etl.releases import matching
from bluegreen_etl.releases.context import Context
from bluegreen_etl.releases.live_watch import LiveWatch
from bluegreen_etl.releases.lost_columns import refuse_lost_columns
from bluegreen_etl.releases.plan import LoadPlan, select_tables_to_fill
from bluegreen_etl.releases.preflight import refuse_unknown_columns
from bluegreen_etl.releases.progress import ReadProgress, Stages
from bluegreen_etl.shadow import (
    build_indexes,
    copy,
    defer,
    function_paths,
    inherited_metadata,
    privileges_of_live,
    structure,
    table_reader,
    transform,
)
from bluegreen_etl.shadow.copy import Load, Work
from bluegreen_etl.shadow.dump import Entry
from bluegreen_etl.wording import counted
from bluegreen_etl.workers import Workers

T = TypeVar("T")


class Built(NamedTuple):
    """A release before its checks: the source files that were read, and what each table holds."""

    release: Release
    files: tuple[SourceFile, ...]
    loads: tuple[TableLoad, ...]


class Build:
    """The build of one release, step by step.

    Args:
        connection: the load's own session, which holds the load lock.
        release: the release; each step replaces it by what the ledger says afterwards.
        deferred: the indexes and constraints that an earlier process has deferred.
        watch: live as it was when the build began.
    """

    def __init__(
        self,
        context: Context,
        connection: db.Connection,
        plan: LoadPlan,
        release: Release,
        *,
        deferred: Sequence[Entry] = (),
        watch: LiveWatch,
    ) -> None:
        self.context = context
        self.connection = connection
        self.plan = plan
        self.release = release
        self.deferred = deferred
        self.watch = watch
        self.files: tuple[SourceFile, ...] = ()
        self.stages = Stages(context.watcher, connection, release)
        self._loads: list[TableLoad] = []

    def connect(self) -> AbstractContextManager[db.Connection]:
        """Open another session of this load, with the settings of its plan."""
        return self.context.server.connect(self.release.purpose, self.plan.session)

    def create_structure(self) -> None:
        """Create the shadow schema with all indexes and constraints, so that deferring can read them from it."""
        self.stages.begin("structure")
        plan, settings = self.plan, self.context.settings
        self.release = msgspec.structs.replace(self.release, structure=plan.structure)
        ddl = [self.context.resolved.path(file) for file in settings.structure.ddl]
        columns = {table.name: table.columns for table in plan.tables}
        # A connection of its own: scripts may change settings of the session.
        with self.connect() as own:
            create = {
                StructureFrom.LIVE: partial(structure.clone, own, self.release, settings),
                StructureFrom.DDL: partial(structure.run_ddl, own, self.release, ddl, settings),
                StructureFrom.FILES: partial(structure.create_tables, own, self.release, columns, settings),
                StructureFrom.COMMAND: partial(structure.create_tables, own, self.release, {}, settings),
            }
            self.create_recorded(own, create[plan.structure])
            if plan.structure in {StructureFrom.DDL, StructureFrom.FILES}:
                db.retry_on_lock_timeout(own, partial(inherited_metadata.carry, own, self.release, settings))
            oid = catalog.require_schema_oid(own, self.release.shadow_schema)
            existing = {table.name for table in catalog.tables(own, oid)}
            structure.add_tables(own, self.release, {name: columns[name] for name in plan.temporary - existing})
            db.retry_on_lock_timeout(own, partial(carried.create_stand_ins, own, self.release, plan.carried))

    def create_recorded(self, own: db.Connection, create: Callable[[], T]) -> T:
        """Create the shadow schema and record its OID in one transaction; return what `create` returns.

        The OID is the only mark by which the schema is dropped later: another session may use the same name.

        Raises:
            NameTaken: `create` has replaced a schema of another OID than the release's.
        """
        before = self.release.schema_oid

        def attempt() -> tuple[T, Release]:
            result = create()
            oid = catalog.require_schema_oid(own, self.release.shadow_schema)
            if before is not None and oid != before and catalog.schema_name(own, before) is not None:
                raise errors.NameTaken(
                    f"schema {names.quoted(self.release.shadow_schema)} was replaced by hand while the load ran",
                    hint="Rename or drop the other schema, then load again.",
                )
            # A script of the project may have changed the role.
            own.execute("SET LOCAL SESSION AUTHORIZATION DEFAULT")
            structure_from = self.plan.structure
            release = ledger.set_structure(own, self.release, schema_oid=oid, structure=structure_from)
            privileges_of_live.give(own, release)
            return result, release

        result, self.release = db.retry_on_lock_timeout(own, attempt)
        return result

    def defer_indexes(self) -> None:
        """Leave only what COPY needs in the shadow schema; the rest is built after the copy."""
        recorded = partial(self.create_recorded, self.connection)
        self.deferred = defer.defer_indexes(
            self.context.server, self.connection, self.release, self.context.settings, recorded=recorded
        )
        self.complete_structure()

    def complete_structure(self) -> None:
        """Let functions find the release's own tables, and distribute the tables over the nodes of Citus, if any."""
        function_paths.point_to_shadow(self.connection, self.release)
        if self.plan.distributed:
            citus.distribute(self.connection, self.release, self.context.settings.distribute)

    def tables(self) -> list[Table]:
        """Return the tables of the shadow schema."""
        return catalog.tables(self.connection, self.release.oid)

    def tables_to_fill(self) -> list[Table]:
        """Return the tables that files or programs fill: neither carried nor copied from live."""
        return select_tables_to_fill(self.tables(), self.plan.carried, self.plan.copied)

    def copy_files(self) -> None:
        """Copy the source files of the plan into their tables.

        Raises:
            BadSource, BadRow, Refused, ServerFailed: a file cannot be copied.
            UsageError: the settings declare a check for a table or column that the DDL does not create.
        """
        work = self._match_files()
        self.copy([*work, *self.copies_from_live()])
        self.files = tuple(
            hide_address(opened.source, size=opened.reader.size, sha256=opened.reader.sha256)
            for item in work
            for opened in item.files
        )

    def copy(self, work: Iterable[Work]) -> None:
        """Copy `work`; build the indexes of each table when its rows are complete.

        Raises:
            BadSource, BadRow, Refused, ServerFailed: the rows cannot be copied.
        """
        work = list(work)
        if self.plan.distributed:  # Citus accepts FREEZE and ignores it
            work = [msgspec.structs.replace(item, freeze=False) for item in work]
        sizes = [item.size for item in work]
        self.stages.begin("copy", total=0 if None in sizes else sum(size or 0 for size in sizes))
        self._loads = self._copy_and_build(work)
        for load in self._loads:
            if load.rejected:
                rejected = f"{counted(load.rejected, 'row')} for table {load.table}, to {load.rejects}"
                ledger.note(self.connection, self.release, model.EventKind.REJECTED, rejected)

    def finish(self) -> Built:
        """Run the transforms and build everything deferred that belongs to more than one table.

        Raises:
            BadRow: the rows break a key or a constraint.
            BadSource, Refused: a transform fails.
        """
        if self.plan.transforms:
            self._loads = self._transform()
        self._build_deferred(sorted(self.plan.temporary))
        self._fill_derived()
        loads = tuple(load for load in self._loads if load.table not in self.plan.temporary)
        return Built(self.release, self.files, loads)

    def finish_filled(self) -> Built:
        """Finish a release whose rows another program has written: transforms, indexes, privileges, statistics.

        Raises:
            BadRow: the rows break a key or a constraint.
            Refused: the release has no table, or something outside depends on it.
        """
        self._append_from_live()
        if self.plan.transforms:
            self._run_transforms()
        self.stages.begin("finish")
        tables, temporary = self._split_temporary()
        self._build_on(tables)
        self._build_deferred(temporary)
        for carry in (structure.carry_privileges, inherited_metadata.carry):
            db.retry_on_lock_timeout(
                self.connection, partial(carry, self.connection, self.release, self.context.settings)
            )
        self._fill_derived()
        return Built(self.release, self.files, tuple(transform.count(self.connection, self.release, tables)))

    def copies_from_live(self) -> list[Work]:
        """Return the work that copies live's rows into the tables of `[carry] copy`."""
        return table_reader.work(self.context.server, self.plan.schema, self.plan.copied, self.release.purpose)

    def _append_from_live(self) -> None:
        """Copy live's rows into the tables of `[carry] copy`; their keys may refer to rows of the other tables."""
        work = self.copies_from_live()
        if work:
            with self.connect() as own, contextlib.closing(Workers(1)) as workers:
                for item in work:
                    copy.append(own, copy.Target(self.release, workers, self.context.watcher.copied), item)

    def _match_files(self) -> Sequence[Work]:
        """Return the work of the source files; the tables of the DDL are known only now."""
        if self.plan.structure is StructureFrom.DDL:
            refuse_unknown_columns(self.context, [*self.tables(), *self._carried_tables()])
            live = catalog.tables(self.connection, self.plan.base_oid) if self.plan.base_oid else []
            refuse_lost_columns(self.context, self.connection, self.plan.found, live)
        if self.plan.structure is StructureFrom.LIVE and self.plan.work is not None:
            return self.plan.work
        return matching.match_files(self.context, self.plan.found, self.tables_to_fill())

    def _carried_tables(self) -> list[Table]:
        """Return the tables of live that the release carries."""
        base_oid = self.plan.base_oid
        live = catalog.tables(self.connection, base_oid) if base_oid and self.plan.carried else []
        return [table for table in live if table.name in self.plan.carried]

    def _copy_and_build(self, work: Sequence[Work]) -> list[TableLoad]:
        """Copy, and build on each table the deferred entries that belong to it alone; transforms need them later."""
        plan, watcher = self.plan, self.context.watcher
        entries = () if plan.transforms else self.deferred
        progress = ReadProgress(watcher, self.connection, self.release, work)

        def end_copy() -> None:
            progress.end()
            self.stages.begin("finish")

        with contextlib.closing(Workers(plan.jobs)) as workers:
            target = copy.Target(self.release, workers, progress.record_copied)
            loads = copy.begin(target, work, jobs=plan.jobs, measured=plan.distributed)
            try:
                build_indexes.copy_and_build(self._builder, loads, entries, copied=end_copy)
            finally:  # a rejected row may be the reason why a key is broken
                _report_rejected(watcher, loads)
        _report_streams(watcher, loads)
        return [load.result() for load in loads]

    def _transform(self) -> list[TableLoad]:
        """Run the transforms, then build on all tables; return what the tables hold."""
        self._run_transforms()
        self.stages.begin("finish")
        tables = [table.name for table in self.tables() if table.name not in self.plan.temporary]
        self._build_on(tables)
        loaded = {load.table for load in self._loads}
        # Rows that a transform has written are not frozen, also in tables that were loaded.
        changed = [msgspec.structs.replace(load, frozen=False) for load in self._loads]
        others = [name for name in tables if name not in loaded]
        return [*changed, *transform.count(self.connection, self.release, others)]

    def _run_transforms(self) -> None:
        self.stages.begin("transform")
        with self.connect() as own:
            transform.run(own, self.release, self.plan.transforms, self.context.watcher)

    def _split_temporary(self) -> tuple[list[str], list[str]]:
        """Return the tables that stay in the release, and those that are dropped before it is ready.

        Raises:
            Refused: no table stays.
        """
        marked = {name for name, table in self.context.settings.tables.items() if table.temporary}
        found = {table.name for table in self.tables()}
        if not found - marked:
            shadow = names.quoted(self.release.shadow_schema)
            raise errors.Refused(
                f"release {self.release.number} has no table",
                hint=f"Create its tables in schema {shadow}, or by names without a schema.",
            )
        return sorted(found - marked), sorted(found & marked)

    @property
    def _builder(self) -> build_indexes.Builder:
        return build_indexes.Builder(self.context.server, self.release, self.plan.jobs, self.plan.session)

    def _build_on(self, tables: Sequence[str]) -> None:
        """Build on filled tables the deferred entries that belong to them."""
        build_indexes.build_on_tables(self._builder, tables, self.deferred)

    def _build_deferred(self, temporary: Sequence[str]) -> None:
        """Build the deferred entries that belong to more than one table, then drop the temporary tables."""
        build_indexes.build_deferred(self._builder, self.deferred)
        transform.drop_temporary(self.connection, self.release, temporary)

    def _fill_derived(self) -> None:
        """Set the sequences past the rows; fill the materialized views, which their owners must be allowed to read."""
        privileges_of_live.give(self.connection, self.release)
        build_indexes.set_sequences(self.connection, self.release)
        build_indexes.refresh_matviews(self.connection, self.release)


def hide_address(source: SourceFile, **known: object) -> SourceFile:
    """Return a source without its address, which may hold a password, and with what is `known` of it by now."""
    return msgspec.structs.replace(source, address=msgspec.UNSET, **known)


def _report_rejected(watcher: model.Watcher, loads: Iterable[Load]) -> None:
    for load in loads:
        if found := load.rejected:
            watcher.say(f"table {load.table.name}: {counted(found.count, 'rejected row')}, in {found.path}")


def _report_streams(watcher: model.Watcher, loads: Iterable[Load]) -> None:
    for load in loads:
        if load.streams.measured:
            streams = counted(load.streams.chosen, "stream")
            watcher.say(f"table {load.table.name} was copied by {streams} of at most {load.streams.most}")
