"""Load: files into a new release, from the plan until it is ready; any failure leaves live as it was."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import msgspec

from bluegreen_etl import catalog, checks, db, errors, interrupts, ledger, model, names
from bluegreen_etl.cutover import changes, writes
from bluegreen_etl.model import CheckResult, Release, Status, StructureFrom, Table
from bluegreen_etl.shadow import copy, finish, structure
from bluegreen_etl.workflow import matching, upkeep
from bluegreen_etl.workflow.context import Context, adopt, current_live, refuse_extensions, refuse_if_protected

MOST_JOBS = 8


class LoadPlan(model.Record, frozen=True, kw_only=True):
    """What a load will do: files by table, where the structure comes from, and live as it was found.

    `work` is None where the tables are known only once the project's DDL has run.
    """

    schema: str
    structure: StructureFrom
    base_oid: int | None
    found: tuple[matching.Found, ...]
    tables: tuple[Table, ...]
    work: tuple[copy.Work, ...] | None
    checks: tuple[checks.Check, ...]
    jobs: int


class Loaded(model.Record, frozen=True, kw_only=True):
    """A release that is ready, or what a dry run would do (`release` None)."""

    schema: str
    release: Release | None
    structure: StructureFrom
    files: tuple[model.SourceFile, ...]
    tables: tuple[model.TableLoad, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    seconds: dict[str, float] = msgspec.field(default_factory=dict)


class Checked(model.Record, frozen=True, kw_only=True):
    """Check results of a release."""

    schema: str
    number: int
    checks: tuple[CheckResult, ...]


def load(context: Context, paths: Sequence[str], *, dry_run: bool = False, promote: bool = False) -> Loaded:
    """Fill a new release from files and make it ready.

    Args:
        paths: files, directories, globs; none means those of bluegreen.toml.
        dry_run: look at everything, write nothing.
        promote: the caller goes on with promote, so protection is asked about now.

    Raises:
        BadSource, BadRow, ChecksFailed, Refused, Conflict, ServerFailed: live is unchanged.
    """
    found = matching.find_files(context, paths)
    with context.server.connect(f"load {context.schema}") as connection:
        plan = _plan(context, connection, found)
        if dry_run:
            context.watcher.say("dry run: nothing was written")
            return Loaded(schema=plan.schema, release=None, structure=plan.structure, files=_files(plan))
        if promote:
            refuse_if_protected(context, connection, "promote")
        release = _open(context, connection, plan)
        with _failing_cleanly(context, connection, release):
            loaded = _carry_out(context, connection, plan, release)
    context.watcher.say(f"release {release.number} of {plan.schema} is ready")
    return loaded


def _plan(context: Context, connection: db.Connection, found: Sequence[matching.Found]) -> LoadPlan:
    """Look at the world; everything that can be refused is refused here."""
    live_oid = catalog.schema_oid(connection, context.schema)
    tables = catalog.tables(connection, live_oid) if live_oid else []
    # A schema without tables, such as a new database's public, has no structure to give.
    source = _structure_source(context, live_oid if tables else None)
    _refuse_without_privileges(context, connection, live_oid)
    _refuse_taken_names(context, connection, live_oid)
    refuse_extensions(context, connection, live_oid)
    if source is StructureFrom.FILES:
        tables = matching.infer(found, context.settings.tables)
    known = source is not StructureFrom.DDL
    return LoadPlan(
        schema=context.schema,
        structure=source,
        base_oid=live_oid,
        found=tuple(found),
        tables=tuple(tables),
        work=tuple(matching.match(context, found, tables)) if known else None,
        checks=tuple(find_checks(context)),
        jobs=context.settings.load.jobs or min(os.cpu_count() or 1, MOST_JOBS),
    )


def _refuse_without_privileges(context: Context, connection: db.Connection, live_oid: int | None) -> None:
    role, database = connection.info.user, connection.info.dbname
    if not catalog.may_create_schema(connection):
        raise errors.NotPermitted(
            f"role {role} may not create schemas in database {database}",
            hint=f"GRANT CREATE ON DATABASE {names.quoted(database)} TO {names.quoted(role)};",
        )
    if live_oid is not None and not catalog.owns_schema(connection, live_oid):
        raise errors.NotPermitted(
            f"role {role} does not own schema {context.schema}",
            hint=f"ALTER SCHEMA {names.quoted(context.schema)} OWNER TO {names.quoted(role)}; or load as its owner.",
        )


def _refuse_taken_names(context: Context, connection: db.Connection, live_oid: int | None) -> None:
    """Refuse a schema where the new release will lie, or where live will go when it steps back."""
    releases = ledger.releases(connection, context.schema)
    last = max((release.number for release in releases), default=0)
    numbers = [release.number for release in releases if release.status is Status.LIVE]
    if live_oid is not None and not numbers:
        numbers.append(last + 1)
    for number in [*numbers, max([last, *numbers]) + 1]:
        shadow = names.shadow_schema(context.schema, number)
        if catalog.schema_oid(connection, shadow) is not None:
            raise errors.Refused(
                f"a schema {names.quoted(shadow)} exists already, and bluegreen has not made it",
                hint="Rename or drop that schema.",
            )


def _structure_source(context: Context, filled_oid: int | None) -> StructureFrom:
    wanted = context.settings.structure
    source = wanted.source or (
        StructureFrom.DDL if wanted.ddl else StructureFrom.LIVE if filled_oid else StructureFrom.FILES
    )
    if source is StructureFrom.LIVE and filled_oid is None:
        raise errors.Refused(
            f"there is no schema {context.schema} with tables to take the structure from",
            hint="Leave --structure out for the first load, or name the project's DDL under [structure] ddl.",
        )
    if source is StructureFrom.DDL and not wanted.ddl:
        raise errors.UsageError("structure comes from DDL, but no file is named", hint="Write [structure] ddl = […].")
    if source is StructureFrom.FILES:
        context.watcher.say("tables and types are inferred from the files: no live schema or DDL was used")
    return source


def _open(context: Context, connection: db.Connection, plan: LoadPlan) -> Release:
    """Take the target for this load, sweep what dead loads left, and write the new release into the ledger."""
    if not db.try_lock(connection, upkeep.LOAD_LOCK, plan.schema):
        raise errors.Conflict(
            f"another load of {plan.schema} is running", hint="Wait for it; `bluegreen status` shows who runs it."
        )
    ledger.ensure(connection)
    if context.settings.protected:
        ledger.protect(connection, protected=True)
    _sweep(context, connection, plan.schema)
    live, oid = current_live(context, connection)
    if live is None and oid is not None:
        adopt(context, connection, oid)
    release = ledger.open_release(connection, plan.schema, base_oid=plan.base_oid)
    if plan.base_oid is not None:
        writes.remember(connection, release)
        changes.remember(connection, release)
    db.apply_settings(connection, {"application_name": f"bluegreen load {plan.schema} r{release.number}"})
    ledger.note(connection, release, "load began")
    return release


def _sweep(context: Context, connection: db.Connection, schema: str) -> None:
    for release in upkeep.superfluous(ledger.releases(connection, schema), keep=10**6, loading=False):
        if release.status in {Status.LOADING, Status.FAILED}:
            context.watcher.say(f"cleaning up release {release.number}, which is {release.status}")
            try:
                upkeep.drop(connection, release)
            except errors.BluegreenError as error:
                context.watcher.say(f"release {release.number} stays for now: {error.message}")


def _carry_out(context: Context, connection: db.Connection, plan: LoadPlan, release: Release) -> Loaded:
    seconds: dict[str, float] = {}
    settings = context.settings.load.session
    with context.stage("structure", seconds):
        release = _make_structure(context, connection, plan, release)
        put_off = db.patiently(connection, partial(structure.put_off, connection, release, context.settings))
        release = _note_structure(connection, plan, release)
        tables = catalog.tables(connection, release.schema_oid or 0)
        work = plan.work if plan.structure is StructureFrom.LIVE else matching.match(context, plan.found, tables)
    work = work or ()
    sizes = [item.size for item in work]
    with context.stage("copy", seconds, total=0 if None in sizes else sum(size or 0 for size in sizes)):
        loads = copy.load(
            context.server, release, work, jobs=plan.jobs, settings=settings, progress=context.watcher.copied
        )
    with context.stage("finish", seconds):
        finish.build(context.server, release, put_off, jobs=plan.jobs, settings=settings)
        finish.set_sequences(connection, release)
    with context.stage("analyze", seconds):
        finish.analyze(context.server, release, loads, jobs=plan.jobs, settings=settings)
        finish.refresh(connection, release)  # its queries need the statistics
    with context.stage("check", seconds):
        results = run_checks(context, connection, release, release.shadow_schema, plan.checks)
    files = tuple(
        _without_address(opened.source, size=opened.reader.size, sha256=opened.reader.sha256)
        for item in work
        for opened in item.files
    )
    release = _make_ready(connection, release, files, loads, seconds)
    return Loaded(
        schema=plan.schema,
        release=release,
        structure=plan.structure,
        files=files,
        tables=tuple(loads),
        checks=tuple(results),
        seconds=seconds,
    )


def _make_structure(context: Context, connection: db.Connection, plan: LoadPlan, release: Release) -> Release:
    """Make the shadow with all that belongs to its tables, so that what is put off can be read from it."""
    release = msgspec.structs.replace(release, structure=plan.structure)
    # A connection of its own: scripts may change settings of the session.
    with context.server.connect(f"load {plan.schema} r{release.number}", context.settings.load.session) as own:
        ddl = [context.resolved.path(file) for file in context.settings.structure.ddl]
        columns = {table.name: table.columns for table in plan.tables}
        make = {
            StructureFrom.LIVE: partial(structure.clone, own, release, context.settings),
            StructureFrom.DDL: partial(structure.run_ddl, own, release, ddl, context.settings),
            StructureFrom.FILES: partial(structure.create_tables, own, release, columns, context.settings),
        }
        db.patiently(own, make[plan.structure])
    return _note_structure(connection, plan, release)


def _note_structure(connection: db.Connection, plan: LoadPlan, release: Release) -> Release:
    oid = catalog.schema_oid(connection, release.shadow_schema)
    if oid is None:
        raise errors.ServerFailed(f"schema {release.shadow_schema} has vanished", hint="Load again.")
    return ledger.set_structure(connection, release, schema_oid=oid, structure=plan.structure)


def find_checks(context: Context) -> list[checks.Check]:
    """Return the project's own checks.

    Raises:
        UsageError: no such directory, or a file of it is not a check.
    """
    path = context.settings.checks.path
    return [] if path is None else checks.find(context.resolved.path(path))


def run_checks(
    context: Context, connection: db.Connection, release: Release, schema: str, found: Sequence[checks.Check]
) -> list[CheckResult]:
    """Run the checks found and the tool's own on a release where it lies now; write the results into the ledger.

    Raises:
        ChecksFailed: a check of severity error found rows, or could not be run.
    """
    settings = context.settings
    if not found:
        context.watcher.say("no checks of your own: only that no table is empty (set checks.path)")
    own = checks.no_empty_table(schema, checks.empty_tables(connection, release.schema_oid or 0, settings.tables))
    results = checks.run(connection, schema, [*own, *found], settings.checks)
    ledger.record_checks(connection, release, results)
    bad = checks.failed(results)
    if bad:
        raise errors.ChecksFailed(
            f"{len(bad)} of {len(results)} checks failed on release {release.number}: "
            + "; ".join(_explained(result) for result in bad),
            results=Checked(schema=release.live_schema, number=release.number, checks=tuple(results)),
            hint=f"Look at the rows with `bluegreen check {release.number}`, or in schema {names.quoted(schema)}.",
        )
    return results


def _explained(result: CheckResult) -> str:
    if result.message:
        return f"{result.name}: {result.message}"
    row = result.sample[0] if result.sample else ()
    first = ", ".join(f"{column}={value}" for column, value in zip(result.columns, row, strict=bool(row)))
    return f"{result.name}: {result.failures} offending rows, first {first}"


def _make_ready(
    connection: db.Connection,
    release: Release,
    files: Sequence[model.SourceFile],
    loads: Sequence[model.TableLoad],
    seconds: dict[str, float],
) -> Release:
    with connection.transaction():
        ledger.record_sources(connection, release, files)
        ledger.record_tables(connection, release, loads)
        for name, duration in seconds.items():
            ledger.record_stage(connection, release, name, duration)
        ledger.set_loaded(connection, release)
        release = ledger.advance(connection, release, Status.READY)
        rows = sum(item.rows for item in loads)
        ledger.note(connection, release, "ready", f"{len(loads)} tables, {rows} rows")
    return release


@contextmanager
def _failing_cleanly(context: Context, connection: db.Connection, release: Release) -> Iterator[None]:
    """Take back what was begun when the body fails; what a failed check looked at stays for inspection."""
    try:
        yield
    except BaseException as error:
        with interrupts.deferred():
            _fail(context, connection, release, error)
        context.watcher.say(f"release {release.number} failed; live {context.schema} is unchanged")
        raise


def _fail(context: Context, connection: db.Connection, release: Release, error: BaseException) -> None:
    reason = error.message if isinstance(error, errors.BluegreenError) else type(error).__name__
    keep = isinstance(error, errors.ChecksFailed)
    try:
        # Another connection: an interrupt may have left the first one in the middle of a statement.
        connection.close()
        with context.server.connect(f"load {context.schema}") as own:
            now = ledger.find(own, release.live_schema, release.number)
            if now.status is not Status.LOADING:
                return
            failed = ledger.advance(own, now, Status.FAILED, reason)
            ledger.note(own, failed, "failed", reason)
            if not keep:
                with own.transaction():
                    upkeep.drop_schema(own, failed)
    except errors.BluegreenError as second:
        context.watcher.say(f"release {release.number} could not be cleaned up ({second.message}); the next load will")


def _files(plan: LoadPlan) -> tuple[model.SourceFile, ...]:
    return tuple(_without_address(file) for item in plan.found for file in item.files)


def _without_address(source: model.SourceFile, **known: object) -> model.SourceFile:
    """Return a source for everyone to see."""
    return msgspec.structs.replace(source, address=msgspec.UNSET, **known)
