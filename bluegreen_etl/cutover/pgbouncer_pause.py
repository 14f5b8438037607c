"""Holds readers off by pausing the PgBouncers that they come through: no transaction runs, so that none is mixed.

Sessions that do not come through them are held off by locks, and named; so are the readers of replicas. What the body
of a `with` cannot guarantee, a watchdog does.
"""

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

import msgspec
import psycopg
from psycopg import sql

from bluegreen_etl import activity, child_process, db, errors, model, pgbouncer, replicas
from bluegreen_etl.cutover import blockers
from bluegreen_etl.cutover.locks import Locks
from bluegreen_etl.cutover.plan import Fence, Plan, Terms
from bluegreen_etl.cutover.strategy import Patience, Say
from bluegreen_etl.model import Via

HELD = 3.0  # seconds within which the paused server has to carry the transaction out
MARGIN = 1.0  # seconds between the last moment for a commit and the one at which the watchdog lets readers go on
LOCK_TIMEOUT = 0.5  # seconds for the locks of the renames themselves
LEAVING = 0.2  # seconds until the sessions that a paused pooler has closed are gone from the server
LOOK_EVERY = 0.005
_RETRY_EVERY, _RETRY_FOR = 0.2, 600.0  # seconds: a pooler that cannot be reached now may be soon
_PAUSING, _SENT, _DONE = b"pausing", b"sent", b"done"


_CALL = "bluegreen_etl.cutover.pgbouncer_pause:serve"


class Watchdog:
    """The other process, as the one sees it that pauses."""

    def __init__(self, companion: child_process.Companion) -> None:
        self._companion = companion

    def pausing(self, bound: float) -> None:
        """Say that a pause begins, which is to end after so many seconds whatever happens.

        Raises:
            ServerFailed: the other process has died, so that nothing would guarantee it.
        """
        self._companion.tell(b"%s %f" % (_PAUSING, bound))

    def sent(self) -> None:
        """Say that the server gets the swap: it may commit before the bound, although nobody is there to see it."""
        self._companion.tell(_SENT)

    def done(self) -> None:
        """Say that the pause is over; where nobody hears it, the bound passes for nothing."""
        with contextlib.suppress(errors.ServerFailed):
            self._companion.tell(_DONE)


_CONSOLES = list[pgbouncer.Console]


class Pause:
    """The way by PAUSE and RESUME on the admin consoles of all poolers."""

    via = Via.PGBOUNCER

    def __init__(
        self,
        plan: Plan,
        patience: Patience,
        say: Say,
        *,
        poolers: Sequence[pgbouncer.Pooler],
        dog: Watchdog,
        wait: float,
        own: int,
    ) -> None:
        self.max_wait = patience.max_wait
        self._locks = Locks(plan, patience, say)
        self._say = say
        self._poolers = poolers
        self._dog = dog
        self._wait = wait
        self._own = own  # the pid of the session that has planned the cut-over and is idle now
        self._cancel_after = patience.cancel_after
        self._begun = time.monotonic()
        self._busy: list[model.Session] | None = None
        self._told: set[int] = set()
        self._replicated = False

    def hold(self, connection: db.Connection, number: int, send: Callable[[Terms], float]) -> float:
        """Pause, send, resume."""
        own = (self._own, connection.info.backend_pid)
        known = self._direct_before(connection, own)
        replicated = self._is_replicated(connection)
        until = _clock(connection) + timedelta(seconds=self._wait + HELD)
        begun = time.monotonic()
        bound = self._wait + HELD + MARGIN
        with self._paused(connection, own, bound):
            direct = self._direct(connection, own, known)
            fence = Fence(until=until, own=None if direct else own)
            locked = direct or replicated
            terms = self._locks.terms(connection, number) if locked else Terms(timeout=LOCK_TIMEOUT, order=())
            self._dog.sent()
            try:
                send(Terms(timeout=terms.timeout, order=terms.order, fence=fence))
            except psycopg.Error:
                if connection.closed:  # the server may be at it still, and may commit until the fence
                    time.sleep(max(0.0, begun + bound - time.monotonic()))
                raise
        return time.monotonic() - begun

    def learn(self, connection: db.Connection, number: int, error: BaseException) -> None:
        """Learn as the locks do; cancel who keeps a pooler from pausing where that is wanted."""
        if self._busy is None:
            self._locks.learn(connection, number, error)
        elif self._cancel_after is not None and time.monotonic() - self._begun >= self._cancel_after:
            blockers.cancel(connection, self._busy, after=self._cancel_after, say=self._say)

    def rest(self, number: int) -> float:
        """Give readers at least as long as they had to wait."""
        return self._locks.rest(number) if self._busy is None else self._wait

    def given_up(self, connection: db.Connection) -> errors.LockNotObtained:
        """Name whose transaction kept a pooler from pausing, or who was in the way of the locks."""
        if self._busy is None:
            return self._locks.given_up(connection)
        return errors.NotPaused(
            f"PgBouncer could not be paused within {self._wait:g} s, tried for {self.max_wait:g} s; "
            f"in the way: {model.sessions_shown(self._busy)}",
            hint="Live is unchanged, and readers go on. Run it again, end those sessions, or raise --max-wait or "
            "promote.pgbouncer.pause_wait.",
        )

    @contextmanager
    def _paused(self, connection: db.Connection, own: Sequence[int], bound: float) -> Iterator[None]:
        """Pause all poolers, and let clients go on at the end of the body, whichever way it ends.

        Raises:
            NotPaused: a transaction has not ended in time.
        """
        for pooler in self._poolers:
            pooler.prepare()
        self._dog.pausing(bound)
        deadline = time.monotonic() + self._wait
        try:
            for pooler in self._poolers:
                pooler.begin_pause()
            paused = [pooler.is_paused(deadline) for pooler in self._poolers]
            self._busy = None if all(paused) else self._still_busy(connection, own)
            if self._busy is not None:
                raise self.given_up(connection)
            yield
        finally:
            if pgbouncer.resume_all(self._poolers, self._say):
                self._dog.done()
            else:
                self._say("the watchdog goes on trying to resume")

    def _still_busy(self, connection: db.Connection, own: Sequence[int]) -> list[model.Session]:
        """Return the sessions that the poolers still wait for: they have closed all others."""
        backends = set().union(*(pooler.backends() for pooler in self._poolers))
        return [session for session in _sessions(connection, own) if session.pid in backends]

    def _is_replicated(self, connection: db.Connection) -> bool:
        """Say whether the log is replayed elsewhere: the readers there are held off by its locks alone."""
        found = bool(replicas.find(connection, None))
        if found and not self._replicated:
            self._say("replicas have readers of their own, whom only the locks hold off: these are taken too")
        self._replicated = found
        return found

    def _direct_before(self, connection: db.Connection, own: Sequence[int]) -> set[int]:
        """Return the sessions that come through none of the poolers, as far as these tell before the pause."""
        deadline = time.monotonic() + LEAVING
        # Those that a pooler has closed of late, as in the try before, are leaving; nobody is held off yet.
        while (found := self._not_pooled(connection, own)) and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY)
        return found

    def _not_pooled(self, connection: db.Connection, own: Sequence[int]) -> set[int]:
        found = {session.pid for session in _sessions(connection, own)}
        return found.difference(*(pooler.backends() for pooler in self._poolers))

    def _direct(self, connection: db.Connection, own: Sequence[int], known: set[int]) -> list[model.Session]:
        """Return the sessions that are there although all poolers have closed theirs, and name them once."""
        deadline = time.monotonic() + LEAVING
        found = _sessions(connection, own)
        # Those that the poolers have just closed are leaving.
        while not known.issuperset(session.pid for session in found) and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY)
            found = _sessions(connection, own)
        if new := [session for session in found if session.pid not in self._told]:
            self._told.update(session.pid for session in new)
            self._say(f"through no paused pooler, so held off by locks: {model.sessions_shown(new)}")
        return found


def _sessions(connection: db.Connection, own: Sequence[int]) -> list[model.Session]:
    return activity.sessions(connection, "cutover.other_readers", own=sql.Literal(list(own)))


def _clock(connection: db.Connection) -> datetime:
    row = connection.execute("SELECT pg_catalog.clock_timestamp()").fetchone()
    assert row is not None
    moment: datetime = row[0]
    return moment


@contextmanager
def opened(
    connection: db.Connection,
    plan: Plan,
    patience: Patience,
    say: Say,
    *,
    consoles: Sequence[pgbouncer.Console],
    wait: float,
) -> Iterator[Pause]:
    """Open the consoles and start the watchdog, for as long as the body.

    Args:
        connection: the session that has planned the cut-over.

    Raises:
        PoolerBetween: this session comes through a pooler itself.
        AlreadyPaused, BadConsole: as Pooler.open.
    """
    own = db.backend(connection)
    if own != connection.info.backend_pid:
        raise errors.PoolerBetween(
            "a pooler lies between, which would wait for this very session before it is paused",
            hint="Connect to the server itself: see docs/scaling.md.",
        )
    with pgbouncer.opened(consoles) as poolers, watching(consoles) as dog:
        yield Pause(plan, patience, say, poolers=poolers, dog=dog, wait=wait, own=own)


@contextmanager
def watching(consoles: Sequence[pgbouncer.Console]) -> Iterator[Watchdog]:
    """Run the other process as long as the body, and have it connected before that begins.

    Raises:
        ServerFailed: it has not come up.
    """
    with child_process.companion(_CALL) as companion:
        companion.tell(msgspec.json.encode(consoles))
        companion.wait_until_ready()
        yield Watchdog(companion)


def serve() -> None:
    """Hear from standard input how the pause goes, and let clients go on when that is due: the life of the process."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the end of the pipe says when it is time
    ear = _LineReader(sys.stdin.fileno())
    poolers = [pgbouncer.Pooler(console) for console in msgspec.json.decode(ear.line(None) or b"[]", type=_CONSOLES)]
    for pooler in poolers:
        pooler.open()
    os.write(sys.stdout.fileno(), b"ready\n")
    deadline: float | None = None
    sent = False
    while True:
        line = ear.line(deadline)
        if not line:
            if line == b"" and sent and deadline is not None:
                time.sleep(max(0.0, deadline - time.monotonic()))
            if deadline is not None:
                _resume(poolers)
            if line == b"":
                return
            deadline = None
        elif line.startswith(_PAUSING):
            deadline, sent = time.monotonic() + float(line.split()[1]), False
        else:
            sent = line == _SENT
            deadline = None if line == _DONE else deadline


class _LineReader:
    """Hears lines from a pipe."""

    def __init__(self, fileno: int) -> None:
        self._fileno = fileno
        self._heard = b""

    def line(self, deadline: float | None) -> bytes | None:
        """Return the next line, b"" at the end of the pipe, or None when the deadline has passed before."""
        while b"\n" not in self._heard:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([self._fileno], [], [], left)[0]:
                return None
            more = os.read(self._fileno, 1 << 16)
            if not more:
                return b""
            self._heard += more
        line, _, self._heard = self._heard.partition(b"\n")
        return line


def _resume(poolers: Sequence[pgbouncer.Pooler]) -> None:
    """Let clients go on, again and again where a pooler cannot be told."""
    deadline = time.monotonic() + _RETRY_FOR
    while not pgbouncer.resume_all(poolers, lambda _text: None) and time.monotonic() < deadline:
        time.sleep(_RETRY_EVERY)
