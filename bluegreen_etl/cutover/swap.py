"""Carries a cut-over out: readers held off in one way or another, one round trip, and an answer even when the
connection is lost.
"""

import time
from collections.abc import Iterable
from datetime import datetime
from uuid import uuid4

import msgspec
import psycopg
from psycopg.rows import TupleRow

from bluegreen_etl import db, errors, interrupts, ledger, model, queries, sqlstates
from bluegreen_etl.cutover import plan as planning
from bluegreen_etl.cutover.plan import Plan, Terms, Try
from bluegreen_etl.cutover.strategy import Say, Way
from bluegreen_etl.model import Cutover

_SHOWN = 100
LOCK = "cutover"
# How the time-out of a lock on another node of Citus arrives: as the end of the statement, or of its connection there.
_ELSEWHERE = frozenset({"57014", "XX000"})
_HINT_UNKNOWN = "Run `bluegreen status` when the server is back: it tells which release is live."


def run(server: db.Server, plan: Plan, way: Way, *, say: Say) -> Cutover:
    """Swap the schemas; returns once the swap is on disk.

    Args:
        way: how readers are held off meanwhile.

    Raises:
        LockNotObtained: readers were not to be held off within the way's `max_wait` seconds; names who was in the way.
        Conflict: live is not what was inspected, or another cut-over of this schema is under way.
        OutcomeUnknown: the connection was lost and the server cannot be asked.
    """
    swap = _Swap(plan, way)
    purpose = f"{plan.direction} {plan.live_schema} r{plan.incoming.number}"
    with interrupts.deferred():
        try:
            with server.connect(purpose) as connection:
                # A node that has missed the commit is told of by a warning.
                connection.add_notice_handler(lambda notice: say(f"the server warns: {notice.message_primary}"))
                hold(connection, plan.live_schema)
                return swap.carry_out(connection)
        except errors.BluegreenError:
            if not swap.in_doubt:
                raise
            say("the connection was lost during the swap; asking the server what became of it")
        return swap.settle(server)


def rehearse(server: db.Server, plan: Plan, way: Way) -> model.Rehearsal:
    """Do all of the swap but commit it: readers are held for as long as it would hold them.

    Raises:
        LockNotObtained, Conflict, Refused: as run.
    """
    swap = _Swap(msgspec.structs.replace(plan, rehearsal=True), way)
    with server.connect(f"rehearse {plan.live_schema} r{plan.incoming.number}") as connection:
        hold(connection, plan.live_schema)
        return swap.rehearse(connection)


def hold(connection: db.Connection, live_schema: str) -> None:
    """Keep other cut-overs of the same live schema away until the connection ends.

    Raises:
        Conflict: one is under way.
    """
    if not db.try_lock(connection, LOCK, live_schema):
        raise errors.AnotherRun(f"another cut-over of {live_schema} is under way", hint="Look with `bluegreen status`.")


class _Swap:
    """One cut-over under way: the token of its tries, what it has waited so far.

    `in_doubt`: the swap may have been committed, or has been and is not known to be on disk.
    """

    def __init__(self, plan: Plan, way: Way) -> None:
        self.in_doubt = False
        self._plan = plan
        self._way = way
        self._tries = 0
        self._token = uuid4()
        self._waited = 0.0
        self._sent = False

    def carry_out(self, connection: db.Connection) -> Cutover:
        """Try until the swap is committed, then flush it to disk."""
        held = self._succeed(connection)
        self.in_doubt = True
        found = self._kept(connection, held)
        # A backend lets its locks go a little after its client has left; who asks next should not be told to wait.
        db.unlock(connection, LOCK, self._plan.live_schema)
        if found is None:
            raise errors.OutcomeUnknown("the ledger does not hold the swap that was committed", hint=_HINT_UNKNOWN)
        return found

    def rehearse(self, connection: db.Connection) -> model.Rehearsal:
        """Try until the swap could have been committed."""
        held = self._succeed(connection)
        return model.Rehearsal(
            live_schema=self._plan.live_schema,
            direction=self._plan.direction,
            to_number=self._plan.incoming.number,
            held=held,
            tries=self._tries,
            waited=self._waited,
            via=self._way.via,
        )

    def _succeed(self, connection: db.Connection) -> float:
        """Try until one is carried out whole; return for how many seconds readers could be kept waiting."""
        try:
            return db.retrying(
                lambda number: self._try(connection, number),
                max_wait=self._way.max_wait,
                pause=self._way.rest,
                on_retry=lambda number, error: self._way.learn(connection, number, error),
            )
        except (psycopg.Error, errors.LockNotObtained) as error:
            self.in_doubt = self._sent and connection.closed
            raise self._explained(connection, error) from error

    def _try(self, connection: db.Connection, number: int) -> float:
        """Make one whole try; returns for how many seconds readers could be kept waiting."""
        interrupts.check()  # nothing is held between two tries
        begun = time.monotonic()
        self._tries, self._sent = number, False
        try:
            return self._way.hold(connection, number, lambda terms: self._send(connection, terms))
        except (psycopg.Error, errors.LockNotObtained):
            self._waited += time.monotonic() - begun
            raise

    def _send(self, connection: db.Connection, terms: Terms) -> float:
        """Send the transaction; returns the time between its first lock and its end."""
        attempt = Try(token=self._token, number=self._tries, waited=self._waited, via=self._way.via, terms=terms)
        self._sent = not self._plan.rehearsal
        try:
            if self._plan.distributed:
                connection.execute(queries.get("citus.send_settings"))
            messages = planning.messages(self._plan, attempt)
            return _seconds_between([connection.execute(message.as_bytes(connection)) for message in messages])
        except psycopg.Error as error:
            if not connection.closed:
                connection.rollback()
                if self._plan.distributed and error.sqlstate in _ELSEWHERE:
                    raise errors.LockNotObtained(f"on another node: {error.diag.message_primary}") from error
            raise

    def settle(self, server: db.Server) -> Cutover:
        """Return the committed cut-over from the ledger, asking for at most `max_wait` seconds.

        The lock is free only when the backend that ran the swap is gone, so that the answer is final.
        """
        deadline = time.monotonic() + self._way.max_wait
        final, found = False, None
        while found is None and not final:
            try:
                final, found = self._asked(server)
            except errors.BluegreenError as error:
                if interrupts.arrived() or time.monotonic() > deadline:
                    raise errors.OutcomeUnknown(
                        "the connection was lost during the swap and the server cannot be asked what became of it",
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
        """Ask once: whether the answer is final, and the cut-over if it was committed."""
        with server.connect(f"{self._plan.direction} {self._plan.live_schema}") as connection:
            final = db.try_lock(connection, LOCK, self._plan.live_schema)
            found = self._kept(connection, None)
            if final:
                db.unlock(connection, LOCK, self._plan.live_schema)
            elif found is None:
                raise errors.Conflict("the swap may still be under way")
            return final, found

    def _kept(self, connection: db.Connection, held: float | None) -> Cutover | None:
        """Flush the swap to disk together with what was measured, and return it; None when it was not committed."""
        with connection.transaction():
            connection.execute(queries.get("session.flush"))
            connection.execute(queries.get("ledger_queries.measure_cutover"), {"held": held, "token": self._token})
        cutovers = ledger.cutovers(connection, self._plan.live_schema)
        return next((cutover for cutover in cutovers if cutover.token == self._token), None)

    def _explained(
        self, connection: db.Connection, error: psycopg.Error | errors.LockNotObtained
    ) -> errors.BluegreenError:
        if isinstance(error, errors.LockNotObtained) or db.is_lock_error(error):
            given_up = self._way.given_up(connection)
            if isinstance(error.__cause__, psycopg.Error):  # of a node: it may have been no lock at all
                return type(given_up)(f"{given_up.message}; {error}", hint=given_up.hint)
            return given_up
        if error.sqlstate == planning.CONFLICT_SQLSTATE:
            return errors.Conflict(
                f"{error.diag.message_primary}: live is unchanged", hint="Look with `bluegreen status`, run it again."
            )
        if error.sqlstate == planning.MISFIT_SQLSTATE:
            statement = " ".join((error.diag.message_detail or "").split())
            return errors.CannotFollow(
                f"something outside of {self._plan.live_schema} cannot follow: {error.diag.message_primary}, "
                f"in {statement[:_SHOWN]}{'…' if len(statement) > _SHOWN else ''}",
                hint="Live is unchanged. Drop or change that object, or load a release that it fits.",
            )
        if error.sqlstate == "XX000":  # what the catalogs say when two sessions change the same row
            return errors.Conflict(
                f"schema {self._plan.live_schema} was changed by another session meanwhile "
                f"({error.diag.message_primary}): live is unchanged",
                hint="Run it again.",
            )
        if error.sqlstate == "53200":
            return errors.LockTableFull(
                f"the server's lock table has no room for the {len(self._plan.locks)} relations of live",
                hint="Raise max_locks_per_transaction and restart the server.",
            )
        return sqlstates.explain(error)


def _seconds_between(cursors: Iterable[psycopg.Cursor[TupleRow]]) -> float:
    """Return the time from before the first lock until after the commit, by the server's clock."""
    readings: list[datetime] = []
    for cursor in cursors:
        more: bool | None = True
        while more:
            if cursor.description and cursor.description[0].name == "clock_timestamp":
                readings += [row[0] for row in cursor.fetchall()]
            more = cursor.nextset()
    return (readings[-1] - readings[0]).total_seconds()
