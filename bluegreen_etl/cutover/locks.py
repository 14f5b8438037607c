"""Holds readers off by locks on what they read, with growing patience.

The order in which readers take their tables is not known, but each failed wait teaches it: the relation that was
waited for comes first in the next try (docs/how-it-works.md).
"""

import random
import time
from collections.abc import Callable

import psycopg

from bluegreen_etl import db, errors, model, queries
from bluegreen_etl.catalog import Relation
from bluegreen_etl.cutover import blockers
from bluegreen_etl.cutover.plan import Plan, Terms
from bluegreen_etl.cutover.strategy import Patience, Say
from bluegreen_etl.model import Via

# Tries that do not wait: each holds anything for well under a millisecond, so an idle instant is enough.
BURST = 10
BETWEEN = 3  # such tries between two that wait: readers in conflicting orders leave nothing but idle instants
FIRST_WAIT, LONGEST_WAIT = 0.02, 0.5  # seconds
STEPS = 10  # by then the longest is reached
BELOW_DEADLOCK = 0.7  # of deadlock_timeout: a reader that waits longer may be ended by the server
BURST_PAUSE = (0.001, 0.02)  # seconds between tries of the burst, when nothing is held
TELL_EVERY = 10  # tries


class Locks:
    """The way by ACCESS EXCLUSIVE locks: it needs nothing but the server."""

    via = Via.LOCKS

    def __init__(self, plan: Plan, patience: Patience, say: Say) -> None:
        self.max_wait = patience.max_wait
        self._plan = plan
        self._cancel_after = patience.cancel_after
        self._say = say
        self._begun = time.monotonic()
        self._order = plan.locks
        self._longest: float | None = None

    def hold(self, connection: db.Connection, number: int, send: Callable[[Terms], float]) -> float:
        """Let the transaction itself take the locks, which end with it."""
        return send(self.terms(connection, number))

    def terms(self, connection: db.Connection, number: int) -> Terms:
        """Return how the try of this number takes its locks."""
        return Terms(timeout=_patience(number, self._longest_wait(connection)), order=self._order)

    def learn(self, connection: db.Connection, number: int, error: BaseException) -> None:
        """Put the relation that was waited for first among its like, and cancel blockers where that is wanted."""
        name = error.diag.table_name if isinstance(error, psycopg.Error) else None
        self._order = tuple(
            sorted(
                self._order, key=lambda relation: (self._rank(relation), f"{relation.schema}.{relation.name}" != name)
            )
        )
        if self._cancel_after is not None and time.monotonic() - self._begun >= self._cancel_after:
            found = blockers.find(connection, self._plan)
            blockers.cancel(connection, found, after=self._cancel_after, say=self._say)
        if number % TELL_EVERY == 0 and number > BURST:
            self._say(f"still waiting for locks after {number} tries: {self._blockers(connection)}")

    def rest(self, number: int) -> float:
        """Give readers at least as long as they had to wait."""
        patience = _patience(number, self._longest or LONGEST_WAIT)
        return random.uniform(*BURST_PAUSE) if patience is None else patience

    def given_up(self, connection: db.Connection) -> errors.LockNotObtained:
        """Name who holds locks on live, or is changing its schema."""
        return errors.LockNotObtained(
            f"the locks on {self._plan.live_schema} were not to be had within {self.max_wait:g} s; "
            f"in the way: {self._blockers(connection)}",
            hint="Live is unchanged. Run it again, end those sessions, or raise --max-wait.",
        )

    def _longest_wait(self, connection: db.Connection) -> float:
        if self._longest is None:
            row = connection.execute(queries.get("session.deadlock_timeout")).fetchone()
            self._longest = min(LONGEST_WAIT, row[0] * BELOW_DEADLOCK) if row else LONGEST_WAIT
        return self._longest

    def _rank(self, relation: Relation) -> tuple[bool, bool]:
        """Say where a relation's like comes: outside before live and views before tables, as readers take them."""
        return relation.schema == self._plan.live_schema, relation.kind not in {"v", "m"}

    def _blockers(self, connection: db.Connection) -> str:
        return model.sessions_shown(blockers.find(connection, self._plan))


def _patience(number: int, longest: float) -> float | None:
    """Return how long a try may wait for its locks, in seconds: not at all at first, then growing, with jitter."""
    round_, place = divmod(number - BURST - 1, BETWEEN + 1)
    if round_ < 0 or place > 0:
        return None
    upper = min(FIRST_WAIT * 1.5 ** min(round_, STEPS), longest)
    return random.uniform(upper / 2, upper)
