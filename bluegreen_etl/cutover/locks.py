"""Block readers by locks on the relations that they read, with growing timeouts.

The order in which readers lock their tables is unknown, but each timeout shows a part of it: the relation that timed
out comes first in the next attempt (docs/how-it-works.md).
"""

import random
import time
from collections.abc import Callable

import psycopg

from bluegreen_etl import db, errors, queries
from bluegreen_etl.activity import LastingHolders
from bluegreen_etl.catalog import Relation
from bluegreen_etl.cutover import blockers
from bluegreen_etl.cutover.plan import Plan, Terms
from bluegreen_etl.cutover.steps import LASTING, LONGEST_WAIT
from bluegreen_etl.cutover.strategy import Patience, Say
from bluegreen_etl.model import Via

# Attempts with NOWAIT: each holds its locks for well under a millisecond, so an idle instant is enough.
BURST = 10
BETWEEN = 3  # such attempts between two that wait: readers with conflicting lock orders leave only idle instants
FIRST_WAIT = 0.02  # seconds
STEPS = 10  # after these, the timeout is the longest
BELOW_DEADLOCK = 0.7  # of deadlock_timeout: the server may cancel a reader that waits longer
BURST_PAUSE = (0.001, 0.02)  # seconds between attempts of the burst, while no lock is held
REPORT_EVERY = 10  # attempts
AUTOVACUUM_WAIT = 1.0  # seconds, the default deadlock_timeout, after which the server cancels autovacuum for DDL


class Locks:
    """The strategy with ACCESS EXCLUSIVE locks: it needs only the server."""

    via = Via.LOCKS

    def __init__(self, plan: Plan, patience: Patience, say: Say) -> None:
        self.max_wait = patience.max_wait
        self._plan = plan
        self._cancel_after = patience.cancel_after
        self._say = say
        self._begun = time.monotonic()
        self._order = plan.locks
        self._longest: float | None = None
        self._may_cancel_autovacuum = True
        self._holders = LastingHolders((relation.oid for relation in plan.locks), LASTING)

    def hold(self, connection: db.Connection, number: int, send: Callable[[Terms], float]) -> float:
        """Send the transaction, which takes the locks itself and releases them at its end."""
        return send(self.terms(connection, number))

    def terms(self, connection: db.Connection, number: int) -> Terms:
        """Return how the attempt of this number takes its locks: it waits only for holders that come and go."""
        timeout = _lock_timeout(number, self._longest_wait(connection))
        if timeout is not None and self._holders.found(connection):
            timeout = None
        return Terms(timeout=timeout, order=self._order)

    def learn(self, connection: db.Connection, number: int, error: BaseException) -> None:
        """Put the relation that timed out first in its group, and cancel blockers if the settings say so."""
        name = error.diag.table_name if isinstance(error, psycopg.Error) else None
        self._order = tuple(
            sorted(
                self._order, key=lambda relation: (self._rank(relation), f"{relation.schema}.{relation.name}" != name)
            )
        )
        waited = time.monotonic() - self._begun
        if self._may_cancel_autovacuum and waited >= AUTOVACUUM_WAIT:
            self._may_cancel_autovacuum = blockers.cancel_autovacuum(connection, self._plan, say=self._say)
        if self._cancel_after is not None and waited >= self._cancel_after:
            found = blockers.find(connection, self._plan)
            blockers.cancel(connection, found, after=self._cancel_after, say=self._say)
        if number % REPORT_EVERY == 0 and number > BURST:
            self._say(f"still waiting for locks after {number} attempts; blocked by: {self._blockers(connection)}")

    def rest(self, number: int) -> float:
        """Leave readers alone for at least as long as they had to wait."""
        timeout = _lock_timeout(number, self._longest or LONGEST_WAIT)
        return random.uniform(*BURST_PAUSE) if timeout is None else timeout

    def given_up(self, connection: db.Connection) -> errors.LockNotObtained:
        """Name the sessions that hold locks on live, or are changing its schema."""
        return errors.LockNotObtained(
            f"could not lock {self._plan.live_schema} within {self.max_wait:g} s; "
            f"blocked by: {self._blockers(connection)}",
            hint="Live is unchanged. Run it again, end those sessions or prepared transactions, or raise `--max-wait`.",
        )

    def _longest_wait(self, connection: db.Connection) -> float:
        if self._longest is None:
            deadlock_timeout = queries.value(connection, float, "session.deadlock_timeout")
            assert deadlock_timeout is not None
            self._longest = min(LONGEST_WAIT, deadlock_timeout * BELOW_DEADLOCK)
        return self._longest

    def _rank(self, relation: Relation) -> tuple[bool, bool]:
        """Return the rank of a relation's group: dependents before live, views before tables, as readers lock them."""
        return relation.schema == self._plan.live_schema, relation.kind not in {"v", "m"}

    def _blockers(self, connection: db.Connection) -> str:
        return blockers.show_blockers(connection, self._plan)


def _lock_timeout(number: int, longest: float) -> float | None:
    """Return the lock timeout of an attempt in seconds: None at first, then growing, with jitter."""
    round_, place = divmod(number - BURST - 1, BETWEEN + 1)
    if round_ < 0 or place > 0:
        return None
    upper = min(FIRST_WAIT * 1.5 ** min(round_, STEPS), longest)
    return random.uniform(upper / 2, upper)
