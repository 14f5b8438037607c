"""Promote and rollback: plan the cut-over, refuse or carry it out, then verify and prune."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial

from bluegreen_etl import catalog, citus, db, errors, interrupts, ledger, model, privileges, sqlstates
from bluegreen_etl.checks.check import Check
from bluegreen_etl.commands import backup, diff, promote_plan, promote_select, promote_strategy
from bluegreen_etl.commands.load import load
from bluegreen_etl.cutover import blockers, foreign_keys, matviews, preflight, stored_oids, swap, temporary_objects
from bluegreen_etl.cutover.plan import Plan
from bluegreen_etl.cutover.strategy import Patience
from bluegreen_etl.errors.unexpected import guarded
from bluegreen_etl.model import Direction, Release, Status, Trial
from bluegreen_etl.releases import hooks, lookup, replica_lag, retention
from bluegreen_etl.releases.context import Context, confirm, refuse_extensions, refuse_if_protected
from bluegreen_etl.releases.lifecycle import Loaded
from bluegreen_etl.releases.verify import find_checks, run_checks
from bluegreen_etl.replicas import Replica
from bluegreen_etl.wording import counted, listed

_MOST_LISTED = 10


class Promoted(model.Record, frozen=True, kw_only=True):
    """A cut-over, and the releases dropped after it. A dry run sets `script` instead, a rehearsal `rehearsal`."""

    schema: str
    cutover: model.Cutover | None = None
    pruned: tuple[int, ...] = ()
    replicas: tuple[Replica, ...] = ()
    script: str | None = None
    rehearsal: model.Rehearsal | None = None


class Released(model.Record, frozen=True, kw_only=True):
    """A load and the promote that followed it."""

    loaded: Loaded
    promoted: Promoted


@guarded
def load_and_promote(context: Context, paths: Sequence[str]) -> Released:
    """Load a release and make it live at once.

    Raises:
        BluegreenError: of load or promote; if promote failed, the release stays ready.
    """
    return and_promote(context, "promote", partial(load, paths=paths))


def and_promote(context: Context, verb: str, fill: Callable[[Context], Loaded]) -> Released:
    """Fill a release and make it live at once; ask first for the confirmation that a protected database needs.

    Args:
        verb: what a person confirms.
        fill: makes a release ready.

    Raises:
        BluegreenError: of `fill` or promote; if promote failed, the release stays ready.
    """
    context = confirm(context, verb)
    loaded = fill(context)
    return Released(loaded=loaded, promoted=promote(context, number=loaded.release.number))


@guarded
def promote(context: Context, *, number: int | None = None, trial: Trial | None = None) -> Promoted:
    """Make a release live: the newest ready one, or the one of `number`; a `trial` changes nothing.

    Raises:
        Refused: there is no such release, its status does not allow it, or a dependent cannot be moved to it.
        Conflict: live is not the schema that the load saw.
        LockNotObtained, OutcomeUnknown: see swap.run.
    """
    with context.server.connect(f"promote {context.schema}") as connection:
        lookup.require_releases(connection, context.schema)
        incoming = promote_select.select_to_promote(connection, context.schema, number)
        return cut_over(context, connection, Direction.PROMOTE, incoming, trial)


def cut_over(
    context: Context, connection: db.Connection, direction: Direction, incoming: Release, trial: Trial | None
) -> Promoted:
    """Cut over to a release, in either direction; a `trial` changes nothing."""
    if trial is None:
        refuse_if_protected(context, connection, direction)
    citus.refuse_doubts(connection, context.schema)
    outgoing = promote_select.find_outgoing(context, connection, incoming, dry_run=trial is not None)
    refuse_extensions(context, connection, outgoing.schema_oid if outgoing else None)
    to_verify = _checks_to_verify(context) if direction is Direction.PROMOTE else []
    consoles = promote_strategy.find_consoles(context, connection)
    look = partial(_look, context, connection, direction, incoming, outgoing, trial, locks=not consoles)
    plan = look()
    if outgoing is not None and outgoing.schema_oid is not None:
        _warn_prepared_statements(context, connection, incoming, outgoing.schema_oid)
        _warn_narrow_sequences(context, connection, incoming, outgoing.schema_oid)
        _warn_stored_oids(context, connection, outgoing.schema_oid)
    if trial is Trial.SCRIPT:
        return Promoted(schema=context.schema, script=promote_strategy.render_script(plan, consoles))
    if direction is Direction.PROMOTE and not trial:
        backup.back_up_before_promote(context, connection, outgoing)
        hooks.before_promote(context, incoming, outgoing)
    context.watcher.stage(f"{'rehearse ' if trial else ''}{direction} release {incoming.number}")
    if context.settings.promote.old_snapshots == "wait":
        _wait_for_old_snapshots(context, connection, incoming, promote_strategy.choose_patience(context))
    deadline = time.monotonic() + promote_strategy.choose_patience(context).max_wait
    while True:
        try:
            return _swap(context, connection, plan, to_verify, trial)
        except errors.ChangedDuringSwap as error:
            if time.monotonic() >= deadline:
                raise
            context.watcher.say(f"{error.message}; looking again")
            plan = look()


def _look(
    context: Context,
    connection: db.Connection,
    direction: Direction,
    incoming: Release,
    outgoing: Release | None,
    trial: Trial | None,
    *,
    locks: bool,
) -> Plan:
    """Return the plan of a cut-over from what live is now, or refuse it; `locks`: locks block the readers."""
    if outgoing is not None and outgoing.schema_oid is not None:
        wait = promote_strategy.choose_patience(context).max_wait
        temporary_objects.wait(connection, outgoing.schema_oid, max_wait=wait, say=context.watcher.say)
    plan = promote_plan.make_plan(connection, direction, incoming, outgoing, context.settings.promote)
    _refuse_without_privileges(connection, plan, trial)
    _refuse_plan(context, connection, plan, locks=locks)
    return plan


def _swap(
    context: Context, connection: db.Connection, plan: Plan, to_verify: Sequence[Check], trial: Trial | None
) -> Promoted:
    """Carry the plan out and finish what follows the swap, or rehearse it.

    Raises:
        ChangedDuringSwap: live is not what the plan says; another one may succeed.
    """
    if trial:
        with _build_matviews(context, plan), promote_strategy.open_strategy(context, connection, plan) as strategy:
            rehearsal = swap.rehearse(context.server, plan, strategy)
        context.watcher.say("rehearsed: nothing was changed")
        return Promoted(schema=context.schema, rehearsal=rehearsal)
    with _build_matviews(context, plan), interrupts.deferred():
        cutover = _carry_out(context, connection, plan)
        pruned, replicas = _finish_cutover(context, plan, to_verify)
        interrupts.finish()
    return Promoted(schema=context.schema, cutover=cutover, pruned=pruned, replicas=replicas)


def _refuse_plan(context: Context, connection: db.Connection, plan: Plan, *, locks: bool) -> None:
    """Refuse a cut-over that would lose something or cannot succeed; `locks`: locks block the readers."""
    settings, incoming, outgoing = context.settings.promote, plan.incoming, plan.outgoing
    if locks:
        _refuse_without_lock_room(connection, plan)
    _refuse_unsecured(context, connection, incoming, outgoing)
    foreign_keys.refuse_orphans(connection, plan.dependents.references, plan.live_schema, settings.on_orphans)
    # A previous release always lacks later changes, and a rollback is an emergency.
    if incoming.status is not Status.READY:
        return
    if incoming.base_oid and not settings.discard_writes:
        preflight.refuse_writes(connection, incoming, carried=plan.carried)
    if incoming.base_oid and not context.force:
        preflight.refuse_changes(connection, incoming, carried=plan.carried)
    if outgoing is not None and not settings.allow_drop:
        preflight.refuse_losses(connection, incoming, outgoing)


def _warn_prepared_statements(context: Context, connection: db.Connection, incoming: Release, live_oid: int) -> None:
    """Report the tables whose columns change under clients that have prepared statements."""
    if changed := diff.find_changed_row_types(connection, incoming, live_oid):
        context.watcher.say(
            f"prepared statements of clients on {listed(changed, _MOST_LISTED)} will fail once if they return columns "
            "that change (SQLSTATE 0A000): `bluegreen diff` shows these columns"
        )


def _warn_narrow_sequences(context: Context, connection: db.Connection, incoming: Release, live_oid: int) -> None:
    """Report the sequences that cannot go on where live's are."""
    if narrow := catalog.narrow_sequences(connection, incoming.oid, live_oid):
        context.watcher.say(
            f"warning: live has passed the bounds of sequence {listed(narrow, _MOST_LISTED)} of release "
            f"{incoming.number}: it will be at its end, and give no further value"
        )


def _warn_stored_oids(context: Context, connection: db.Connection, live_oid: int) -> None:
    """Report columns outside live whose values will stay with the old release."""
    if columns := stored_oids.find(connection, context.schema, live_oid):
        context.watcher.say(
            f"warning: {listed(columns, _MOST_LISTED)} outside live holds objects of live by OID: these values will be "
            "of the old release, and of nothing once it is dropped; store names as text instead"
        )


def _checks_to_verify(context: Context) -> list[Check]:
    """Return the checks that live has to pass after its promote; refuse an unknown tag before the promote.

    Raises:
        BadConfiguration: no check has a tag of promote.verify.
    """
    tags = set(context.settings.promote.verify)
    found = [check for check in find_checks(context) if tags & set(check.tags)] if tags else []
    if missing := tags.difference(*(check.tags for check in found)):
        raise errors.BadConfiguration(
            f"no check has the tag {', '.join(sorted(missing))}, which promote.verify names",
            hint='Write `-- tags: …` into a check, and `[checks] path = "checks"` into bluegreen.toml.',
        )
    return found


def _build_matviews(context: Context, plan: Plan) -> AbstractContextManager[None]:
    """Return a context manager that builds the materialized views that the swap exchanges."""
    if plan.dependents.rebuilt:
        context.watcher.say(f"building {', '.join(each.place.name for each in plan.dependents.rebuilt)} of the release")
    return matviews.built(context.server, plan.incoming, plan.outgoing, plan.dependents.rebuilt, context.watcher.say)


def _carry_out(context: Context, connection: db.Connection, plan: Plan) -> model.Cutover:
    with promote_strategy.open_strategy(context, connection, plan) as strategy:
        cutover = swap.run(context.server, plan, strategy, say=context.watcher.say)
    held = (cutover.held or 0) * 1000
    tries = counted(cutover.tries, "try")
    context.watcher.say(f"readers were blocked {held:.1f} ms; {tries}; waited {cutover.waited:.1f} s for locks")
    return cutover


def _finish_cutover(
    context: Context, plan: Plan, to_verify: Sequence[Check]
) -> tuple[tuple[int, ...], tuple[Replica, ...]]:
    """Verify, settle and prune when readers already have the new release; return what was pruned, and the replicas.

    The cut-over is committed. An interrupt ends this step; other errors are reported and change nothing.

    Raises:
        ChecksFailed: see _verify.
        OutcomeUnknown: the release could not be verified, or a node of Citus may not have it.
    """
    number, unverified = plan.incoming.number, bool(to_verify)
    try:
        # A connection of its own: the earlier ones may be broken.
        with interrupts.allowed(), context.server.connect(f"{plan.direction} {context.schema}") as connection:
            citus.settle(connection, context.schema, context.watcher.say, wait=citus.RECOVERY_WAIT)
            if to_verify:
                _verify(context, connection, plan, to_verify)
                unverified = False
            _settle(context, connection, plan)
            if context.settings.promote.wait_replicas is not None:
                replica_lag.wait_for_replicas(context, connection, context.settings.promote.wait_replicas)
            if plan.direction is Direction.PROMOTE:
                hooks.after_promote(context, plan.incoming, plan.outgoing)
            return _prune(context, connection), _replicas(context, connection)
    except KeyboardInterrupt:
        context.watcher.say(f"interrupted after the cut-over: release {number} is live")
    except (errors.ChecksFailed, errors.OutcomeUnknown):
        raise
    except errors.BluegreenError as error:
        if unverified:
            raise errors.OutcomeUnknown(
                f"release {number} is live, but may not have been verified: {error.message}",
                hint="Run `bluegreen check live`, and `bluegreen rollback` if it fails.",
            ) from error
        context.watcher.say(f"release {number} is live; the steps after the cut-over failed: {error.message}")
    return (), ()


def _verify(context: Context, connection: db.Connection, plan: Plan, found: Sequence[Check]) -> None:
    """Run checks on the release that is live now; if they fail, roll back to the release that was live before.

    Raises:
        ChecksFailed: a check failed; the message says which release is live.
    """
    now = ledger.find(connection, context.schema, plan.incoming.number)
    context.watcher.stage(f"verify release {now.number}")
    try:
        run_checks(context, connection, now, context.schema, found)
    except errors.ChecksFailed as failed:
        with interrupts.deferred():
            what, hint = _roll_back_failed(context, connection, now, plan.outgoing)
            interrupts.finish()
        raise errors.ChecksFailed(f"{what}: {failed.message}", results=failed.results, hint=hint) from failed


def _roll_back_failed(
    context: Context, connection: db.Connection, failed: Release, before: Release | None
) -> tuple[str, str]:
    """Roll back to the release that was live before; return a sentence about the result, and a hint."""
    what = f"release {failed.number} has failed its verification"
    if before is None:
        return f"{what} and is still live: it replaced no release", "Load again."
    context.watcher.stage(f"rollback to release {before.number}")
    try:
        incoming = ledger.find(connection, context.schema, before.number)
        back = promote_plan.make_plan(connection, Direction.ROLLBACK, incoming, failed, context.settings.promote)
        with _build_matviews(context, back):
            _carry_out(context, connection, back)
        _settle(context, connection, back)
    except (errors.BluegreenError, KeyboardInterrupt) as error:
        why = error.message if isinstance(error, errors.BluegreenError) else "interrupted"
        return f"{what} and is still live: {why}", "Run `bluegreen rollback`."
    return f"{what}; release {before.number} is live again", f"Run `bluegreen check {failed.number}` to see the rows."


def _settle(context: Context, connection: db.Connection, plan: Plan) -> None:
    for publication in plan.dependents.publications:
        context.watcher.say(
            f"publication {publication} was moved: its subscribers lack the rows of release {plan.incoming.number}, "
            "and need a fresh copy (docs/objects.md)"
        )
    views = [relation.oid for relation in plan.dependents.relations if relation.kind == "v"]
    matviews.refresh(connection, views, context.watcher.say)
    foreign_keys.settle(connection, context.schema, context.settings.promote.on_orphans, context.watcher.say)


def _replicas(context: Context, connection: db.Connection) -> tuple[Replica, ...]:
    """Return the replicas; report those that lack the live release."""
    found = replica_lag.find_replicas(context, connection)
    for replica in found:
        if not replica.has_release:
            context.watcher.say(f"replica {replica}")
    return found


def _prune(context: Context, connection: db.Connection) -> tuple[int, ...]:
    """Drop the releases that are not kept. The cut-over is committed: an error here is only reported."""
    try:
        with sqlstates.translated():
            swap.hold(connection, context.schema)
            pruned = retention.drop_beyond(context, connection, context.settings.retention.keep)
    except errors.BluegreenError as error:
        context.watcher.say(f"not pruned: {error.message}")
        return ()
    for number, reason in pruned.refused.items():
        context.watcher.say(f"release {number} not pruned: {reason}")
    return pruned.dropped


def _refuse_without_privileges(connection: db.Connection, plan: Plan, trial: Trial | None) -> None:
    if trial is not Trial.SCRIPT:  # another role may run the script
        privileges.refuse(privileges.to_swap(connection, plan.incoming, plan.outgoing, plan.dependents.objects))


def _refuse_without_lock_room(connection: db.Connection, plan: Plan) -> None:
    """Refuse a cut-over that would fill the lock table, which all sessions of the server share."""
    room = catalog.lock_room(connection)
    if len(plan.locks) > room:
        raise errors.LockTableFull(
            f"the cut-over locks {len(plan.locks)} relations at once; the server has room for {room} more locks",
            hint="Raise `max_locks_per_transaction` and restart the server.",
        )


def _refuse_unsecured(context: Context, connection: db.Connection, incoming: Release, outgoing: Release | None) -> None:
    """Refuse to show rows that policies hide in live, if the release lacks these policies."""
    if context.force or outgoing is None or outgoing.schema_oid is None:
        return
    lacking = catalog.unsecured(connection, outgoing.schema_oid, incoming.oid)
    if lacking:
        raise errors.WouldLose(
            f"release {incoming.number} of {context.schema} lacks what protects the rows of live: {', '.join(lacking)}",
            hint="Write it into the DDL and load again, create it on the tables of the release, or give `--force`.",
        )


def _wait_for_old_snapshots(context: Context, connection: db.Connection, release: Release, patience: Patience) -> None:
    """Wait until no session has a snapshot so old that it would find the new tables empty."""
    begun = time.monotonic()
    reported = False
    while sessions := ledger.old_snapshots(connection, release):
        waited = time.monotonic() - begun
        if waited > patience.max_wait:
            raise errors.OldSnapshot(
                f"transactions older than the load would find release {release.number} empty; still there after "
                f"{patience.max_wait:g} s: {model.sessions_shown(sessions)}",
                hint="Live is unchanged. Run it again, end these sessions, or raise `--max-wait`.",
            )
        if not reported:
            context.watcher.say(f"waiting for transactions older than the load: {model.sessions_shown(sessions)}")
            reported = True
        if patience.cancel_after is not None and waited >= patience.cancel_after:
            blockers.cancel(connection, sessions, after=patience.cancel_after, say=context.watcher.say)
        time.sleep(0.2)
