"""The life of a release that is being loaded: opened, then made ready, or failed and cleaned up."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from bluegreen_etl import citus, db, errors, interrupts, ledger, model
from bluegreen_etl.cutover import preflight
from bluegreen_etl.model import CheckResult, CheckStatus, Release, Status, StructureFrom
from bluegreen_etl.releases import drop, hooks, lookup
from bluegreen_etl.releases.build import Built
from bluegreen_etl.releases.context import Context, adopt, current_live
from bluegreen_etl.releases.plan import LoadPlan
from bluegreen_etl.releases.progress import Stages
from bluegreen_etl.releases.verify import _explained, checks_of_every_load, run_checks


class Loaded(model.Record, frozen=True, kw_only=True):
    """A release that is ready, or what a dry run would do (`release` None)."""

    schema: str
    release: Release | None
    structure: StructureFrom
    files: tuple[model.SourceFile, ...]
    tables: tuple[model.TableLoad, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    seconds: dict[str, float] = msgspec.field(default_factory=dict)


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
    lookup.hold_load_lock(connection, plan.schema)
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
        preflight.remember_writes(connection, release)
        preflight.remember_definition(connection, release, carried=plan.carried)
    db.apply_settings(connection, {"application_name": f"bluegreen load {plan.schema} r{release.number}"})
    ledger.note(connection, release, model.EventKind.LOAD_BEGAN)
    return release


def _sweep(context: Context, connection: db.Connection, schema: str) -> None:
    for release in ledger.releases(connection, schema):
        # One that is still loading is dead: this load has its lock.
        if release.status is Status.FAILED or lookup.is_stale(release, loading=False):
            state = "failed" if release.status is Status.FAILED else "dead"
            context.watcher.say(f"cleaning up release {release.number}, which is {state}")
            try:
                drop.drop(context.server, connection, release)
            except errors.BluegreenError as error:
                context.watcher.say(f"release {release.number} stays for now: {error.message}")


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
        ledger.note(connection, release, model.EventKind.READY, f"{len(loads)} tables, {rows} rows")
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
            ledger.note(own, failed, model.EventKind.FAILED, reason)
            if not keep:
                with own.transaction():
                    drop.drop_schema(context.server, own, failed)
        hooks.after_failure(context, failed, reason)
    except errors.BluegreenError as second:
        context.watcher.say(f"release {release.number} could not be cleaned up ({second.message}); the next load will")
