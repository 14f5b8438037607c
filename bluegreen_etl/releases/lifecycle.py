"""The life of a release that is being loaded: opened, then made ready, or failed and cleaned up."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from bluegreen_etl import citus, db, errors, interrupts, ledger, model, names
from bluegreen_etl.cutover import comparison, preflight
from bluegreen_etl.model import CheckResult, CheckStatus, Release, Status, StructureFrom
from bluegreen_etl.releases import drop, event_triggers, hooks, lookup, verify
from bluegreen_etl.releases.build import Build, Built
from bluegreen_etl.releases.context import Context, adopt, find_live
from bluegreen_etl.releases.live_watch import LiveWatch
from bluegreen_etl.releases.plan import LoadPlan
from bluegreen_etl.shadow import privileges_of_live
from bluegreen_etl.wording import counted, listed


class Loaded(model.Record, frozen=True, kw_only=True):
    """A release that is ready, and what its load did."""

    schema: str
    release: Release
    structure: StructureFrom
    files: tuple[model.SourceFile, ...]
    tables: tuple[model.TableLoad, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    seconds: dict[str, float] = msgspec.field(default_factory=dict)


@contextmanager
def open_build(context: Context, connection: db.Connection, plan: LoadPlan) -> Iterator[Build]:
    """Open a new release for the body, which builds it; if the body raises, the release fails and is dropped.

    Raises:
        Conflict: another load of the schema is running, or another release is open for parts.
    """
    with event_triggers.named_in_errors(connection):
        release = _open_release(context, connection, plan)
        watch = watch_live(connection, plan, release)
        with failing_cleanly(context, connection, release, watch):
            _record_live(connection, plan, release)
            yield Build(context, connection, plan, release, watch=watch)


def watch_live(connection: db.Connection, plan: LoadPlan, release: Release) -> LiveWatch:
    """Look at live before a load, so that what is said of it afterwards is known.

    Scripts of the project run in a transaction that is rolled back if they write outside the release; programs do not.
    """
    return LiveWatch(connection, release, user_code=not plan.found, carried=plan.carried)


def check_built(build: Build, built: Built) -> tuple[CheckResult, ...]:
    """Run the checks on a release that is built, and return their results.

    Raises:
        ChecksFailed: see verify.run_checks.
    """
    context, connection, plan = build.context, build.connection, build.plan
    build.stages.begin("check")
    if not plan.checks:
        context.watcher.say("no custom checks; ran the built-in ones only")
    schema = built.release.shadow_schema
    # A transform may have deleted what was copied.
    known = {} if plan.transforms else {load.table: load.rows for load in built.loads}
    builtin = verify.find_builtin_checks(context, connection, built.release, schema, known=known)
    results = verify.run_checks(context, connection, built.release, schema, [*builtin, *plan.checks])
    for result in results:
        if result.status is CheckStatus.WARNED:
            context.watcher.say(f"warning: {verify.describe_result(result)}")
    build.stages.end()
    return tuple(results)


def make_ready(build: Build, built: Built, checks: Sequence[CheckResult]) -> Loaded:
    """Mark a release that has passed its checks as ready, and return what its load did."""
    context, schema = build.context, build.plan.schema
    if granted := privileges_of_live.verify(build.connection, built.release):
        context.watcher.say(f"warning: {privileges_of_live.describe(granted)}")
    _say_differences(build, built.release)
    if build.watch.user_code and (written := build.watch.changes(build.connection)):
        context.watcher.say(
            f"warning: live {schema} was written to since the load began: {written}; if the command did it, "
            "`bluegreen run --isolate database` keeps it away from live"
        )
    release = _record_ready(build.connection, built)
    context.watcher.say(f"release {release.number} of {schema} is ready")
    hooks.after_load(context, release)
    return Loaded(
        schema=schema,
        release=release,
        structure=build.plan.structure,
        files=built.files,
        tables=built.loads,
        checks=tuple(checks),
        seconds=build.stages.seconds,
    )


def _say_differences(build: Build, release: Release) -> None:
    """Name what the release has in another form than live; a copy of live's structure may not lack anything either."""
    oid, watcher = build.plan.base_oid, build.context.watcher
    if oid is None:
        return
    try:
        found = comparison.differences(build.connection, release, oid)
    except errors.LockNotObtained as error:
        watcher.say(f"release {release.number} was not compared with live: {error.message}")
        return
    is_copy = build.plan.structure is StructureFrom.LIVE
    named = [str(each.part) for each in found if is_copy or each.is_change]
    if named:
        shown = listed(named, 10)
        watcher.say(f"release {release.number} differs from live, see `bluegreen diff {release.number}`: {shown}")


def _record_ready(connection: db.Connection, built: Built) -> Release:
    with connection.transaction():
        ledger.record_sources(connection, built.release, built.files)
        ledger.record_tables(connection, built.release, built.loads)
        ledger.set_loaded(connection, built.release)
        release = ledger.advance(connection, built.release, Status.READY)
        rows = sum(item.rows for item in built.loads)
        detail = f"{counted(len(built.loads), 'table')}, {counted(rows, 'row')}"
        ledger.note(connection, release, model.EventKind.READY, detail)
    return release


def _open_release(context: Context, connection: db.Connection, plan: LoadPlan) -> Release:
    """Take the load lock, drop what stale loads left, and write the new release into the ledger."""
    lookup.hold_load_lock(connection, plan.schema)
    citus.refuse_doubts(connection, plan.schema)
    ledger.ensure(connection)
    if context.settings.protected:
        ledger.protect(connection, protected=True)
    _refuse_open_release(connection, plan.schema)
    _drop_leftovers(context, connection, plan.schema)
    live, oid = find_live(context, connection)
    if live is None and oid is not None:
        adopt(context, connection, oid)
    release = ledger.open_release(connection, plan.schema, base_oid=plan.base_oid)
    db.apply_settings(connection, {"application_name": release.session_name})
    ledger.note(connection, release, model.EventKind.LOAD_BEGAN)
    context.watcher.say(f"loading into {plan.schema} of {_place(context, connection)}")
    return release


def _place(context: Context, connection: db.Connection) -> str:
    """Return the database and server that the connection leads to, and which setting has named them."""
    target, info = context.resolved.target, connection.info
    host = "a local socket" if info.host.startswith("/") else f"{info.host}:{info.port}"
    if target.dsn is None:
        host = "the embedded server"
    reason = "because no connection was given" if target.fallback else f"named by {target.origin}"
    return f"database {names.quoted(info.dbname)} on {host}, {reason}"


def _record_live(connection: db.Connection, plan: LoadPlan, release: Release) -> None:
    """Record what live is when the load begins, so that promote notices later writes and changes."""
    if plan.base_oid is not None:
        preflight.remember_writes(connection, release)
        preflight.remember_definition(connection, release, carried=plan.carried)


def _refuse_open_release(connection: db.Connection, schema: str) -> None:
    for other in ledger.releases(connection, schema):
        if other.open_until is not None:
            raise errors.StillOpen(
                f"release {other.number} of {schema} is open for parts, since {other.created_at:%Y-%m-%d %H:%M}, "
                f"by {other.created_by}",
                hint=f"Run `bluegreen finish {other.number}`, or `bluegreen abort {other.number}` to drop it.",
            )


def _drop_leftovers(context: Context, connection: db.Connection, schema: str) -> None:
    """Drop the failed and stale releases of a schema whose load lock this session holds."""
    for release in ledger.releases(connection, schema):
        # No other load is running, so a release that is still loading is stale.
        if release.status is Status.FAILED or lookup.is_stale(release, loading=False):
            state = "failed" if release.status is Status.FAILED else "stale"
            context.watcher.say(f"dropping release {release.number}, which is {state}")
            try:
                drop.drop_release(context.server, connection, release)
            except errors.BluegreenError as error:
                context.watcher.say(f"release {release.number} was not dropped: {error.message}")


@contextmanager
def failing_cleanly(context: Context, connection: db.Connection, release: Release, watch: LiveWatch) -> Iterator[None]:
    """Mark the release as failed and drop it if the body raises; after a failed check it stays for inspection.

    Raises:
        LiveWritten: the body raised, and live was written to while code of the user ran.
    """
    try:
        yield
    except BaseException as error:
        with interrupts.deferred():
            _fail(context, connection, release, error)
            changes = _changes_of_live(context, watch)
        if changes is None:
            context.watcher.say(f"release {release.number} failed; live {context.schema} could not be looked at")
        elif not changes:
            context.watcher.say(f"release {release.number} failed; live {context.schema} is unchanged")
        else:
            written = f"live {context.schema} was written to since the load began: {changes}"
            context.watcher.say(f"release {release.number} failed; {written}")
            if watch.user_code:
                failure = errors.LiveWritten(
                    f"{_reason(error)}; {written}",
                    hint="Find out which session did it; run the command with `--isolate database` if it was its own.",
                )
                failure.results = getattr(error, "results", ())
                raise failure from error
        raise


def _changes_of_live(context: Context, watch: LiveWatch) -> str | None:
    """Return what has happened to live since the load began; None if the server cannot be asked."""
    try:
        with context.server.connect(f"load {context.schema}") as own:
            return watch.changes(own)
    except errors.BluegreenError:
        return None


def _reason(error: BaseException) -> str:
    if isinstance(error, errors.BluegreenError):
        return error.message
    return "interrupted" if isinstance(error, KeyboardInterrupt) else type(error).__name__


def _fail(context: Context, connection: db.Connection, release: Release, error: BaseException) -> None:
    reason = _reason(error)
    keep = isinstance(error, errors.ChecksFailed)
    try:
        # Another connection: an interrupt may have left the first one in the middle of a statement.
        connection.close()
        with context.server.connect(f"load {context.schema}") as own:
            now = ledger.find(own, release.live_schema, release.number)
            if now.status is not Status.LOADING:
                return
            failed = ledger.advance(own, now, Status.FAILED, reason)
            ledger.note(own, failed, model.EventKind.FAILED, reason)
            if not keep:
                drop.drop_outside_keys(context.server, own, failed)
                with own.transaction():
                    drop.drop_schema(context.server, own, failed)
        hooks.after_failure(context, failed, reason)
    except errors.BluegreenError as second:
        context.watcher.say(f"release {release.number} was not dropped: {second.message}; the next load will drop it")
