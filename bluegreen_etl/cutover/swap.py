"""Run a cut-over: block readers, send the swap in one message, and find its outcome even if the connection is lost."""

import time
from collections.abc import Iterable
from datetime import datetime
from uuid import uuid4

import msgspec
import psycopg
from psycopg.rows import TupleRow

from bluegreen_etl import db, errors, interrupts, ledger, model, sqlstates
from bluegreen_etl.cutover import blockers, steps
from bluegreen_etl.cutover.plan import Plan, Terms, Try
from bluegreen_etl.cutover.strategy import Say, Strategy
from bluegreen_etl.errors import unexpected
from bluegreen_etl.model import Cutover

_SHOWN = 100  # characters of a statement in a message
LOCK = "cutover"
# A lock timeout on another node of Citus cancels the statement there, or ends its connection.
_NODE_TIMEOUTS = frozenset({"57014", "XX000"})
_HINT_UNKNOWN = "Run `bluegreen status` when the server is back: it shows which release is live."


def run(server: db.Server, plan: Plan, strategy: Strategy, *, say: Say) -> Cutover:
    """Swap the schemas; return when the swap is on disk.

    Args:
        strategy: how readers are blocked meanwhile.

    Raises:
        LockNotObtained: readers could not be blocked within `max_wait` seconds; names the blockers.
        Conflict: live is not what was inspected, or another cut-over of this schema is running.
        OutcomeUnknown: the connection was lost, and the server cannot say whether the swap was committed.
    """
    swap = _Swap(plan, strategy)
    purpose = f"{plan.direction} {plan.live_schema} r{plan.incoming.number}"
    with interrupts.deferred():
        try:
            with server.connect(purpose) as connection:
                # Citus warns about a node that has missed the commit.
                connection.add_notice_handler(lambda notice: say(f"the server warns: {notice.message_primary}"))
                hold(connection, plan.live_schema)
                return swap.carry_out(connection)
        except errors.BluegreenError:
            if not swap.in_doubt:
                raise
            say("the connection was lost during the swap; asking the server whether it was committed")
        return swap.settle(server)


def rehearse(server: db.Server, plan: Plan, strategy: Strategy) -> model.Rehearsal:
    """Run the whole swap, then roll it back: readers wait for as long as the swap would block them.

    Raises:
        LockNotObtained, Conflict, Refused: as run.
    """
    swap = _Swap(msgspec.structs.replace(plan, rehearsal=True), strategy)
    with server.connect(f"rehearse {plan.live_schema} r{plan.incoming.number}") as connection:
        hold(connection, plan.live_schema)
        return swap.rehearse(connection)


def hold(connection: db.Connection, live_schema: str) -> None:
    """Exclude other cut-overs of the same live schema until the connection ends.

    Raises:
        Conflict: another one is running.
    """
    if not db.try_lock(connection, LOCK, live_schema):
        raise errors.AnotherRun(
            f"another cut-over of {live_schema} is running; its lock is held by: "
            f"{blockers.show_lock_holders(connection, LOCK, live_schema)}",
            hint="Run it again when that session has ended; `bluegreen status` shows what is live.",
        )


class _Swap:
    """One running cut-over: the token of its attempts, and the seconds that it has waited.

    `in_doubt`: the swap may be committed, or it is committed and may not be on disk.
    """

    def __init__(self, plan: Plan, strategy: Strategy) -> None:
        self.in_doubt = False
        self._plan = plan
        self._strategy = strategy
        self._tries = 0
        self._token = uuid4()
        self._waited = 0.0
        self._sent = False

    def carry_out(self, connection: db.Connection) -> Cutover:
        """Try until the swap is committed, then flush it to disk."""
        held = self._succeed(connection)
        self.in_doubt = True
        found = self._kept(connection, held)
        # A backend releases its locks shortly after its client has left: release this one now for the next cut-over.
        db.unlock(connection, LOCK, self._plan.live_schema)
        if found is None:
            raise errors.OutcomeUnknown(
                "the swap was committed, but the ledger has no record of it", hint=_HINT_UNKNOWN
            )
        return found

    def rehearse(self, connection: db.Connection) -> model.Rehearsal:
        """Try until the swap could be committed."""
        held = self._succeed(connection)
        return model.Rehearsal(
            live_schema=self._plan.live_schema,
            direction=self._plan.direction,
            to_number=self._plan.incoming.number,
            held=held,
            tries=self._tries,
            waited=self._waited,
            via=self._strategy.via,
        )

    def _succeed(self, connection: db.Connection) -> float:
        """Try until one attempt succeeds; return for how many seconds readers could wait."""
        try:
            return db.retry(
                lambda number: self._try(connection, number),
                max_wait=self._strategy.max_wait,
                pause=self._strategy.rest,
                on_retry=lambda number, error: self._strategy.learn(connection, number, error),
            )
        except (psycopg.Error, errors.LockNotObtained) as error:
            self.in_doubt = self._sent and connection.closed
            raise self._explained(connection, error) from error

    def _try(self, connection: db.Connection, number: int) -> float:
        """Make one attempt; return for how many seconds readers could wait."""
        interrupts.check()  # no lock is held between two attempts
        begun = time.monotonic()
        self._tries, self._sent = number, False
        try:
            return self._strategy.hold(connection, number, lambda terms: self._send(connection, terms))
        except (psycopg.Error, errors.LockNotObtained):
            self._waited += time.monotonic() - begun
            raise

    def _send(self, connection: db.Connection, terms: Terms) -> float:
        """Send the transaction; return the seconds between its first lock and its end."""
        attempt = Try(token=self._token, number=self._tries, waited=self._waited, via=self._strategy.via, terms=terms)
        self._sent = not self._plan.rehearsal
        unexpected.note_swap(sent=self._sent)
        try:
            messages = steps.messages(steps.steps(self._plan, attempt), distributed=self._plan.distributed)
            return _seconds_between([connection.execute(message.as_bytes(connection)) for message in messages])
        except psycopg.Error as error:
            if not connection.closed:
                connection.rollback()
                unexpected.note_swap(sent=False)
                if self._plan.distributed and error.sqlstate in _NODE_TIMEOUTS:
                    raise errors.LockNotObtained(f"on another node: {error.diag.message_primary}") from error
            raise

    def settle(self, server: db.Server) -> Cutover:
        """Return the committed cut-over from the ledger; ask for at most `max_wait` seconds.

        The lock is free only if the backend that ran the swap is gone; then the answer is final.
        """
        deadline = time.monotonic() + self._strategy.max_wait
        final, found = False, None
        while found is None and not final:
            try:
                final, found = self._asked(server)
            except errors.BluegreenError as error:
                if interrupts.arrived() or time.monotonic() > deadline:
                    raise errors.OutcomeUnknown(
                        "the connection was lost during the swap, and the server cannot say whether it was committed",
                        hint=_HINT_UNKNOWN,
                    ) from error
                time.sleep(0.1)
        if found is None:
            raise errors.ConnectionLost(
                "the connection was lost during the swap, and the swap was not committed: live is unchanged",
                hint="Run the same command again.",
            )
        return found

    def _asked(self, server: db.Server) -> tuple[bool, Cutover | None]:
        """Ask once; return whether the answer is final, and the cut-over if it was committed."""
        with server.connect(f"{self._plan.direction} {self._plan.live_schema}") as connection:
            final = db.try_lock(connection, LOCK, self._plan.live_schema)
            found = self._kept(connection, None)
            if final:
                db.unlock(connection, LOCK, self._plan.live_schema)
            elif found is None:
                raise errors.Conflict("the swap may still be running")
            return final, found

    def _kept(self, connection: db.Connection, held: float | None) -> Cutover | None:
        """Flush the swap to disk with what was measured, and return it; None if it was not committed."""
        for message in steps.messages(steps.flush_steps(self._token, held), distributed=self._plan.distributed):
            connection.execute(message.as_bytes(connection))
        cutovers = ledger.cutovers(connection, self._plan.live_schema)
        return next((cutover for cutover in cutovers if cutover.token == self._token), None)

    def _explained(
        self, connection: db.Connection, error: psycopg.Error | errors.LockNotObtained
    ) -> errors.BluegreenError:
        if isinstance(error, errors.LockNotObtained) or db.is_lock_error(error):
            given_up = self._strategy.given_up(connection)
            if isinstance(error.__cause__, psycopg.Error):  # from another node: the cause may not be a lock
                return type(given_up)(f"{given_up.message}; {error}", hint=given_up.hint)
            return given_up
        if error.sqlstate == steps.CHANGED_SQLSTATE:
            return errors.ChangedDuringSwap(
                f"{error.diag.message_primary}: live is unchanged",
                hint="Run the same command again when the other session has finished its changes.",
            )
        if error.sqlstate == steps.CONFLICT_SQLSTATE:
            return errors.Conflict(
                f"{error.diag.message_primary}: live is unchanged",
                hint="Run `bluegreen status` to see what is live, then run the same command again.",
            )
        if error.sqlstate == steps.MISFIT_SQLSTATE:
            statement = " ".join((error.diag.message_detail or "").split())
            return errors.CannotFollow(
                f"a dependent of {self._plan.live_schema} cannot be re-created: {error.diag.message_primary}, in "
                f"{statement[:_SHOWN]}{'…' if len(statement) > _SHOWN else ''}",
                hint="Live is unchanged. Drop or change that object, or load a release that fits it.",
            )
        if error.sqlstate == "XX000":  # two sessions have changed the same row of a catalog
            return errors.ChangedDuringSwap(
                f"schema {self._plan.live_schema} was changed by another session during the swap "
                f"({error.diag.message_primary}): live is unchanged",
                hint="Run the same command again.",
            )
        if error.sqlstate == "53200":
            return errors.LockTableFull(
                f"the server's lock table is too small for the {len(self._plan.locks)} relations of live",
                hint="Raise max_locks_per_transaction and restart the server.",
            )
        return sqlstates.explain(error)


def _seconds_between(cursors: Iterable[psycopg.Cursor[TupleRow]]) -> float:
    """Return the seconds from before the first lock until after the commit, by the server's clock."""
    readings: list[datetime] = []
    for cursor in cursors:
        more: bool | None = True
        while more:
            if cursor.description and cursor.description[0].name == "clock_timestamp":
                readings += [row[0] for row in cursor.fetchall()]
            more = cursor.nextset()
    return (readings[-1] - readings[0]).total_seconds()
