"""Carries a cut-over out: locks with growing patience, one round trip, and an answer even when the connection is lost.

The order in which readers take their tables is not known, but each failed wait teaches it: the relation that was
waited for comes first in the next try (docs/how-it-works.md).
"""

import random
import time
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple
from uuid import uuid4

import msgspec
import psycopg
from psycopg.rows import TupleRow

from bluegreen_etl import db, errors, interrupts, ledger, model, queries
from bluegreen_etl.catalog import Relation
from bluegreen_etl.cutover import blockers
from bluegreen_etl.cutover import plan as planning
from bluegreen_etl.cutover.plan import Plan, Try
from bluegreen_etl.model import Cutover

# Tries that do not wait: each holds anything for well under a millisecond, so an idle instant is enough.
BURST = 10
BETWEEN = 3  # such tries between two that wait: readers in conflicting orders leave nothing but idle instants
FIRST_WAIT, LONGEST_WAIT = 0.02, 0.5  # seconds
STEPS = 10  # by then the longest is reached
BELOW_DEADLOCK = 0.7  # of deadlock_timeout: a reader that waits longer may be ended by the server
BURST_PAUSE = (0.001, 0.02)  # seconds between tries of the burst, when nothing is held
TELL_EVERY = 10  # tries
_SHOWN = 100
LOCK = "cutover"
_HINT_UNKNOWN = "Run `bluegreen status` when the server is back: it tells which release is live."

Say = Callable[[str], None]


class Patience(NamedTuple):
    """How long the locks are tried for, and when who is in the way is cancelled (None: never), in seconds."""

    max_wait: float
    cancel_after: float | None = None


def run(server: db.Server, plan: Plan, *, patience: Patience, say: Say) -> Cutover:
    """Swap the schemas; returns once the swap is on disk.

    Raises:
        LockNotObtained: live's relations were not to be locked within `max_wait` seconds; names who holds them.
        Conflict: live is not what was inspected, or another cut-over of this schema is under way.
        OutcomeUnknown: the connection was lost and the server cannot be asked.
    """
    swap = _Swap(plan, patience, say)
    purpose = f"{plan.direction} {plan.live_schema} r{plan.incoming.number}"
    with interrupts.deferred():
        try:
            with server.connect(purpose) as connection:
                hold(connection, plan.live_schema)
                return swap.carry_out(connection)
        except errors.BluegreenError:
            if not swap.in_doubt:
                raise
            say("the connection was lost during the swap; asking the server what became of it")
        return swap.settle(server)


def rehearse(server: db.Server, plan: Plan, *, patience: Patience, say: Say) -> model.Rehearsal:
    """Do all of the swap but commit it: the locks are had for as long as it would hold them.

    Raises:
        LockNotObtained, Conflict, Refused: as run.
    """
    swap = _Swap(msgspec.structs.replace(plan, rehearsal=True), patience, say)
    with server.connect(f"rehearse {plan.live_schema} r{plan.incoming.number}") as connection:
        hold(connection, plan.live_schema)
        return swap.rehearse(connection)


def hold(connection: db.Connection, live_schema: str) -> None:
    """Keep other cut-overs of the same live schema away until the connection ends.

    Raises:
        Conflict: one is under way.
    """
    if not db.try_lock(connection, LOCK, live_schema):
        raise errors.Conflict(f"another cut-over of {live_schema} is under way", hint="Look with `bluegreen status`.")


class _Swap:
    """One cut-over under way: the token of its tries, the order it has learnt, what it has waited so far.

    `in_doubt`: the swap may have been committed, or has been and is not known to be on disk.
    """

    def __init__(self, plan: Plan, patience: Patience, say: Say) -> None:
        self.in_doubt = False
        self._plan = plan
        self._max_wait = patience.max_wait
        self._cancel_after = patience.cancel_after
        self._begun = time.monotonic()
        self._tries = 0
        self._say = say
        self._token = uuid4()
        self._order = plan.locks
        self._waited = 0.0
        self._longest = LONGEST_WAIT

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
        )

    def _succeed(self, connection: db.Connection) -> float:
        """Try until one is carried out whole; return for how many seconds readers could be kept waiting."""
        sent = False

        def attempt(number: int) -> float:
            nonlocal sent
            interrupts.check()  # nothing is held between two tries
            sent = not self._plan.rehearsal
            self._tries = number
            return self._try(connection, number)

        try:
            row = connection.execute(queries.get("deadlock_timeout")).fetchone()
            self._longest = min(LONGEST_WAIT, row[0] * BELOW_DEADLOCK) if row else LONGEST_WAIT
            return db.retrying(
                attempt,
                max_wait=self._max_wait,
                pause=lambda number: _pause(_patience(number, self._longest)),
                on_retry=lambda number, error: self._failed(connection, number, error),
            )
        except psycopg.Error as error:
            self.in_doubt = sent and connection.closed
            raise self._explained(connection, error) from error

    def settle(self, server: db.Server) -> Cutover:
        """Return the committed cut-over from the ledger, asking for at most `max_wait` seconds.

        The lock is free only when the backend that ran the swap is gone, so that the answer is final.
        """
        deadline = time.monotonic() + self._max_wait
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
            raise errors.ServerFailed(
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
            connection.execute(queries.get("flush"))
            connection.execute(queries.get("measure_cutover"), {"held": held, "token": self._token})
        cutovers = ledger.cutovers(connection, self._plan.live_schema)
        return next((cutover for cutover in cutovers if cutover.token == self._token), None)

    def _try(self, connection: db.Connection, number: int) -> float:
        """Send one whole try; returns for how many seconds readers could be kept waiting."""
        begun = time.monotonic()
        attempt = Try(
            token=self._token,
            number=number,
            waited=self._waited,
            timeout=_patience(number, self._longest),
            order=self._order,
        )
        try:
            cursor = connection.execute(planning.transaction(self._plan, attempt).as_bytes(connection))
        except psycopg.Error:
            self._waited += time.monotonic() - begun
            if not connection.closed:
                connection.rollback()
            raise
        return _seconds_between(cursor)

    def _failed(self, connection: db.Connection, number: int, error: psycopg.Error) -> None:
        self._learn(error)
        if self._cancel_after is not None and time.monotonic() - self._begun >= self._cancel_after:
            found = blockers.find(connection, self._plan)
            blockers.cancel(connection, found, after=self._cancel_after, say=self._say)
        if number % TELL_EVERY == 0 and number > BURST:
            self._say(f"still waiting for locks after {number} tries: {self._blockers(connection)}")

    def _learn(self, error: psycopg.Error) -> None:
        """Put the relation that was waited for first among its like."""
        name = error.diag.table_name
        self._order = tuple(
            sorted(
                self._order, key=lambda relation: (self._rank(relation), f"{relation.schema}.{relation.name}" != name)
            )
        )

    def _rank(self, relation: Relation) -> tuple[bool, bool]:
        """Say where a relation's like comes: outside before live and views before tables, as readers take them."""
        return relation.schema == self._plan.live_schema, relation.kind not in {"v", "m"}

    def _blockers(self, connection: db.Connection) -> str:
        return blockers.described(blockers.find(connection, self._plan))

    def _explained(self, connection: db.Connection, error: psycopg.Error) -> errors.BluegreenError:
        if db.is_lock_error(error):
            return errors.LockNotObtained(
                f"the locks on {self._plan.live_schema} were not to be had within {self._max_wait:g} s; "
                f"in the way: {self._blockers(connection)}",
                hint="Live is unchanged. Run it again, end those sessions, or raise --max-wait.",
            )
        if error.sqlstate == planning.CONFLICT_SQLSTATE:
            return errors.Conflict(
                f"{error.diag.message_primary}: live is unchanged", hint="Look with `bluegreen status`, run it again."
            )
        if error.sqlstate == planning.MISFIT_SQLSTATE:
            statement = " ".join((error.diag.message_detail or "").split())
            return errors.Refused(
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
            return errors.ServerFailed(
                f"the server's lock table has no room for the {len(self._order)} relations of live",
                hint="Raise max_locks_per_transaction and restart the server.",
            )
        return db.explain(error)


def _patience(number: int, longest: float) -> float | None:
    """Return how long a try may wait for its locks, in seconds: not at all at first, then growing, with jitter."""
    round_, place = divmod(number - BURST - 1, BETWEEN + 1)
    if round_ < 0 or place > 0:
        return None
    upper = min(FIRST_WAIT * 1.5 ** min(round_, STEPS), longest)
    return random.uniform(upper / 2, upper)


def _pause(patience: float | None) -> float:
    """Return for how long nothing is held after a try: readers get at least as long as they had to wait."""
    return random.uniform(*BURST_PAUSE) if patience is None else patience


def _seconds_between(cursor: psycopg.Cursor[TupleRow]) -> float:
    """Return the time from before the first lock until after the commit, by the server's clock."""
    readings: list[datetime] = []
    more: bool | None = True
    while more:
        if cursor.description and cursor.description[0].name == "clock_timestamp":
            readings += [row[0] for row in cursor.fetchall()]
        more = cursor.nextset()
    return (readings[-1] - readings[0]).total_seconds()
