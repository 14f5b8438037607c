"""Load: files into a new release, from the plan until it is ready; any failure leaves live as it was."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from bluegreen_etl import catalog, checks, citus, config, db, errors, interrupts, ledger, model, names
from bluegreen_etl.cutover import changes, writes
from bluegreen_etl.model import CheckResult, CheckStatus, Release, Status, StructureFrom
from bluegreen_etl.workflow import dropping, hooks, matching, upkeep
from bluegreen_etl.workflow.building import Built, build, without_address
from bluegreen_etl.workflow.context import Context, adopt, current_live, refuse_if_protected
from bluegreen_etl.workflow.planning import LoadPlan, connections, failures_schema, plan_load
from bluegreen_etl.workflow.progress import Stages

_TOLD = 10  # failed checks in one sentence; the table has all


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
        plan = plan_load(context, connection, found)
        matching.refuse_nonconforming(context, found)
        if dry_run:
            context.watcher.say(_in_words(plan))
            context.watcher.say("dry run: nothing was written")
            return Loaded(schema=plan.schema, release=None, structure=plan.structure, files=_files(plan))
        if promote:
            refuse_if_protected(context, connection, "promote")
        release = open_release(context, connection, plan)
        with failing_cleanly(context, connection, release):
            stages = Stages(context.watcher, connection, release)
            built = build(context, connection, plan, release, stages)
            return complete(context, connection, plan, built, stages)


def complete(context: Context, connection: db.Connection, plan: LoadPlan, built: Built, stages: Stages) -> Loaded:
    """Check a release that is built, and make it ready.

    Raises:
        ChecksFailed: see run_checks.
    """
    stages.begin("check")
    if not plan.checks:
        context.watcher.say("no checks of your own: only that no table is empty, or half of live's is gone")
    schema = built.release.shadow_schema
    # A transform may have taken away again what was copied.
    known = {} if plan.transforms else {load.table: load.rows for load in built.loads}
    wanted = [*checks_of_every_load(context, connection, built.release, schema, known=known), *plan.checks]
    results = run_checks(context, connection, built.release, schema, wanted)
    for result in results:
        if result.status is CheckStatus.WARNED:
            context.watcher.say(f"warning: {_explained(result)}")
    stages.end()
    release = _make_ready(connection, built.release, built.files, built.loads)
    context.watcher.say(f"release {release.number} of {plan.schema} is ready")
    hooks.after_load(context, release)
    return Loaded(
        schema=plan.schema,
        release=release,
        structure=plan.structure,
        files=built.files,
        tables=built.loads,
        checks=tuple(results),
        seconds=stages.seconds,
    )


def open_release(context: Context, connection: db.Connection, plan: LoadPlan) -> Release:
    """Take the target for this load, sweep what dead loads left, and write the new release into the ledger."""
    hold_load(connection, plan.schema)
    citus.refuse_doubts(connection, plan.schema)
    ledger.ensure(connection)
    if context.settings.protected:
        ledger.protect(connection, protected=True)
    for other in ledger.releases(connection, plan.schema):
        if other.open_until is not None:
            raise errors.StillOpen(
                f"release {other.number} of {plan.schema} is open for parts, since {other.created_at:%Y-%m-%d %H:%M}, "
                f"by {other.created_by}",
                hint=f"Finish it, or give it up: `bluegreen abort {other.number}`.",
            )
    _sweep(context, connection, plan.schema)
    live, oid = current_live(context, connection)
    if live is None and oid is not None:
        adopt(context, connection, oid)
    release = ledger.open_release(connection, plan.schema, base_oid=plan.base_oid)
    if plan.base_oid is not None:
        writes.remember(connection, release)
        changes.remember(connection, release, carried=plan.carried)
    db.apply_settings(connection, {"application_name": f"bluegreen load {plan.schema} r{release.number}"})
    ledger.note(connection, release, "load began")
    return release


def hold_load(connection: db.Connection, schema: str) -> None:
    """Keep other loads of the same live schema away until the connection ends.

    Raises:
        Conflict: one is running.
    """
    if not db.try_lock(connection, upkeep.LOAD_LOCK, schema):
        raise errors.AnotherRun(
            f"another load of {schema} is running", hint="Wait for it; `bluegreen status` shows who runs it."
        )


def _sweep(context: Context, connection: db.Connection, schema: str) -> None:
    for release in ledger.releases(connection, schema):
        # One that is still loading is dead: this load has its lock.
        if release.status is Status.FAILED or upkeep.is_dead(release, loading=False):
            state = "failed" if release.status is Status.FAILED else "dead"
            context.watcher.say(f"cleaning up release {release.number}, which is {state}")
            try:
                dropping.drop(context.server, connection, release)
            except errors.BluegreenError as error:
                context.watcher.say(f"release {release.number} stays for now: {error.message}")


def run_checks(
    context: Context, connection: db.Connection, release: Release, schema: str, found: Sequence[checks.Check]
) -> list[CheckResult]:
    """Run checks on a release where it lies now; write the results into the ledger.

    Raises:
        ChecksFailed: a check of severity error found rows, or could not be run.
    """
    place = _place(connection, release, schema)
    if context.settings.checks.store_failures:
        place = msgspec.structs.replace(place, failures=failures_schema(context, release.shadow_schema))
    settings, jobs = context.settings.checks, connections(context)
    results = checks.run(context.server, connection, found, place, settings, jobs=jobs)
    ledger.record_checks(connection, release, results)
    stored = [result for result in results if result.stored]
    if stored:
        context.watcher.say(f"offending rows are in {', '.join(result.stored or '' for result in stored)}")
    bad = checks.failed(results)
    if bad:
        raise errors.ChecksFailed(
            f"{len(bad)} of {len(results)} checks failed on release {release.number}: "
            + "; ".join(map(_explained, bad[:_TOLD]))
            + (f"; and {len(bad) - _TOLD} more" if len(bad) > _TOLD else ""),
            results=Checked(schema=release.live_schema, number=release.number, checks=tuple(results)),
            hint=f"Look at the rows with `bluegreen check {release.number}`, or in schema {names.quoted(schema)}.",
        )
    return results


def checks_of_every_load(
    context: Context,
    connection: db.Connection,
    release: Release,
    schema: str,
    *,
    known: Mapping[str, int] | None = None,
) -> list[checks.Check]:
    """Return the checks that come with the tool, for a release where it lies now.

    `known` says of tables how many rows they have at least.
    """
    settings = context.settings
    own = {name: settings.tables.get(name, config.TableSettings()) for name in _columns(connection, release.schema_oid)}
    # What is carried may be empty, also in the first release that has it, or as a copy.
    carried = {*settings.carry.tables, *settings.carry.copy}
    filled = [name for name, table in own.items() if not table.allow_empty and name not in carried]
    live = set() if schema == release.live_schema else set(_place(connection, release, schema).columns)
    declared = {name for name, table in own.items() if (rows := table.checks.rows_against_live) and rows.max_drop}
    halved = {name: (known or {}).get(name, 0) for name in filled if name in live - declared}
    found = [*checks.no_empty_table(filled), *checks.no_halved_table(halved)]
    return [check for check in found if check.name not in settings.checks.off]


def _place(connection: db.Connection, release: Release, schema: str) -> checks.Place:
    columns = _columns(connection, catalog.schema_oid(connection, release.live_schema))
    # A schema without tables, such as a new database's public, is nothing to compare with.
    return checks.Place(shadow=schema, live=release.live_schema if columns else None, columns=columns)


def _columns(connection: db.Connection, oid: int | None) -> dict[str, frozenset[str]]:
    tables = catalog.tables(connection, oid) if oid is not None else []
    return {table.name: frozenset(column.name for column in table.columns) for table in tables}


def _explained(result: CheckResult) -> str:
    if result.message:
        return f"{result.name}: {result.message}"
    first = model.rows_shown(msgspec.structs.replace(result, sample=result.sample[:1]))
    return f"{result.name}: {result.failures} offending rows" + (f", first {first}" if first else "")


def _make_ready(
    connection: db.Connection,
    release: Release,
    files: Sequence[model.SourceFile],
    loads: Sequence[model.TableLoad],
) -> Release:
    with connection.transaction():
        ledger.record_sources(connection, release, files)
        ledger.record_tables(connection, release, loads)
        ledger.set_loaded(connection, release)
        release = ledger.advance(connection, release, Status.READY)
        rows = sum(item.rows for item in loads)
        ledger.note(connection, release, "ready", f"{len(loads)} tables, {rows} rows")
    return release


@contextmanager
def failing_cleanly(context: Context, connection: db.Connection, release: Release) -> Iterator[None]:
    """Take back what was begun when the body fails; what a failed check looked at stays for inspection."""
    try:
        yield
    except BaseException as error:
        with interrupts.deferred():
            _fail(context, connection, release, error)
        context.watcher.say(f"release {release.number} failed; live {context.schema} is unchanged")
        raise


def _fail(context: Context, connection: db.Connection, release: Release, error: BaseException) -> None:
    if isinstance(error, errors.BluegreenError):
        reason = error.message
    else:
        reason = "interrupted" if isinstance(error, KeyboardInterrupt) else type(error).__name__
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
                    dropping.drop_schema(context.server, own, failed)
        hooks.after_failure(context, failed, reason)
    except errors.BluegreenError as second:
        context.watcher.say(f"release {release.number} could not be cleaned up ({second.message}); the next load will")


def _in_words(plan: LoadPlan) -> str:
    """Say what a load would do, in the order in which it would."""
    files = sum(len(item.files) for item in plan.found)
    steps = [
        f"structure from {plan.structure}",
        f"copy {_count(files, 'file')} into {_count(len(plan.found), 'table')}",
    ]
    steps += [f"transform by {_count(len(plan.transforms), 'file')}"] if plan.transforms else []
    own = ", ".join(check.name for check in plan.checks)
    steps.append(f"check {own}" if own else "check only what comes with every load")
    return f"a load of {plan.schema} would do this: {'; '.join(steps)}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _files(plan: LoadPlan) -> tuple[model.SourceFile, ...]:
    return tuple(without_address(file) for item in plan.found for file in item.files)
