"""Block readers by pausing the PgBouncers that they connect through: no transaction runs, so none sees both releases.

Locks block the sessions that connect directly, which are named, and the readers of replicas. A watchdog, a process of
its own, resumes the poolers if this process cannot.
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

from bluegreen_etl import activity, child_process, db, errors, model, pgbouncer, queries, replicas
from bluegreen_etl.cutover import blockers
from bluegreen_etl.cutover.locks import Locks
from bluegreen_etl.cutover.plan import Fence, Plan, Terms
from bluegreen_etl.cutover.strategy import Patience, Say
from bluegreen_etl.model import Via

HELD = 3.0  # seconds for the transaction while the poolers are paused
MARGIN = 1.0  # seconds between the last moment for a commit and the moment when the watchdog resumes
LOCK_TIMEOUT = 0.5  # seconds for the locks that the renames take
LEAVING = 0.2  # seconds until sessions that a paused pooler has closed have left the server
LOOK_EVERY = 0.005
_RETRY_EVERY, _RETRY_FOR = 0.2, 600.0  # seconds between attempts to reach a pooler, and for all of them
_PAUSING, _SENT, _DONE = b"pausing", b"sent", b"done"
_CALL = "bluegreen_etl.cutover.pgbouncer_pause:serve"


class Watchdog:
    """The watchdog process, seen from the process that pauses."""

    def __init__(self, companion: child_process.Companion) -> None:
        self._companion = companion

    def pausing(self, bound: float) -> None:
        """Announce a pause that must end after `bound` seconds.

        Raises:
            ServerFailed: the watchdog has died, so that nothing would guarantee the end.
        """
        self._companion.send(b"%s %f" % (_PAUSING, bound))

    def sent(self) -> None:
        """Announce that the swap is sent: it may commit until the bound, even if this process has died."""
        self._companion.send(_SENT)

    def done(self) -> None:
        """Announce the end of the pause; a watchdog that has died needs no announcement."""
        with contextlib.suppress(errors.ServerFailed):
            self._companion.send(_DONE)


_CONSOLES = list[pgbouncer.Console]


class Pause:
    """The strategy with PAUSE and RESUME on the admin consoles of all poolers."""

    via = Via.PGBOUNCER

    def __init__(
        self,
        plan: Plan,
        patience: Patience,
        say: Say,
        *,
        poolers: Sequence[pgbouncer.Pooler],
        watchdog: Watchdog,
        wait: float,
        planner: int,
    ) -> None:
        self.max_wait = patience.max_wait
        self._locks = Locks(plan, patience, say)
        self._say = say
        self._poolers = poolers
        self._watchdog = watchdog
        self._wait = wait
        self._planner = planner  # pid of the session that has planned the cut-over, now idle
        self._cancel_after = patience.cancel_after
        self._begun = time.monotonic()
        self._busy: list[model.Session] | None = None
        self._named: set[int] = set()
        self._replicated = False

    def hold(self, connection: db.Connection, number: int, send: Callable[[Terms], float]) -> float:
        """Pause, send, resume."""
        ours = (self._planner, connection.info.backend_pid)
        known = self._direct_before(connection, ours)
        replicated = self._is_replicated(connection)
        until = _clock(connection) + timedelta(seconds=self._wait + HELD)
        begun = time.monotonic()
        bound = self._wait + HELD + MARGIN
        with self._paused(connection, ours, bound):
            direct = self._direct(connection, ours, known)
            fence = Fence(until=until, allowed=None if direct else ours)
            locked = direct or replicated
            terms = self._locks.terms(connection, number) if locked else Terms(timeout=LOCK_TIMEOUT, order=())
            self._watchdog.sent()
            try:
                send(Terms(timeout=terms.timeout, order=terms.order, fence=fence))
            except psycopg.Error:
                if connection.closed:  # the server may still run the swap, and commit it until the fence
                    time.sleep(max(0.0, begun + bound - time.monotonic()))
                raise
        return time.monotonic() - begun

    def learn(self, connection: db.Connection, number: int, error: BaseException) -> None:
        """Adapt the locks, or cancel the sessions that keep a pooler from pausing if the settings say so."""
        if self._busy is None:
            self._locks.learn(connection, number, error)
        elif self._cancel_after is not None and time.monotonic() - self._begun >= self._cancel_after:
            blockers.cancel(connection, self._busy, after=self._cancel_after, say=self._say)

    def rest(self, number: int) -> float:
        """Leave readers alone for at least as long as they had to wait."""
        return self._locks.rest(number) if self._busy is None else self._wait

    def given_up(self, connection: db.Connection) -> errors.LockNotObtained:
        """Name the sessions that kept a pooler from pausing, or that blocked the locks."""
        if self._busy is None:
            return self._locks.given_up(connection)
        return errors.NotPaused(
            f"could not pause PgBouncer within {self._wait:g} s, in {self.max_wait:g} s of attempts; "
            f"blocked by: {model.sessions_shown(self._busy)}",
            hint="Live is unchanged, and readers are not blocked. Run it again, end those sessions, or raise "
            "`--max-wait` or `pause_wait` under [promote.pgbouncer].",
        )

    @contextmanager
    def _paused(self, connection: db.Connection, ours: Sequence[int], bound: float) -> Iterator[None]:
        """Pause all poolers for the body, and resume them however it ends.

        Raises:
            NotPaused: a transaction has not ended in time.
        """
        for pooler in self._poolers:
            pooler.prepare()
        self._watchdog.pausing(bound)
        deadline = time.monotonic() + self._wait
        try:
            for pooler in self._poolers:
                pooler.begin_pause()
            paused = [pooler.is_paused(deadline) for pooler in self._poolers]
            self._busy = None if all(paused) else self._still_busy(connection, ours)
            if self._busy is not None:
                raise self.given_up(connection)
            yield
        finally:
            if pgbouncer.resume_all(self._poolers, self._say):
                self._watchdog.done()
            else:
                self._say("the watchdog continues to resume the poolers")

    def _still_busy(self, connection: db.Connection, ours: Sequence[int]) -> list[model.Session]:
        """Return the sessions that the poolers still wait for."""
        backends = set().union(*(pooler.backends() for pooler in self._poolers))
        return [session for session in _sessions(connection, ours) if session.pid in backends]

    def _is_replicated(self, connection: db.Connection) -> bool:
        """Return whether there are replicas: only replayed locks block their readers."""
        found = bool(replicas.find(connection, None))
        if found and not self._replicated:
            self._say("there are replicas, and only locks block their readers: the swap locks the tables too")
        self._replicated = found
        return found

    def _direct_before(self, connection: db.Connection, ours: Sequence[int]) -> set[int]:
        """Return the pids of the sessions that connect through none of the poolers, before the pause."""
        deadline = time.monotonic() + LEAVING
        # Sessions that a pooler has just closed, as in the last attempt, are still leaving. Nobody is blocked yet.
        while (found := self._not_pooled(connection, ours)) and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY)
        return found

    def _not_pooled(self, connection: db.Connection, ours: Sequence[int]) -> set[int]:
        found = {session.pid for session in _sessions(connection, ours)}
        return found.difference(*(pooler.backends() for pooler in self._poolers))

    def _direct(self, connection: db.Connection, ours: Sequence[int], known: set[int]) -> list[model.Session]:
        """Return the sessions that remain after all poolers have closed theirs, and name each once."""
        deadline = time.monotonic() + LEAVING
        found = _sessions(connection, ours)
        # Sessions that the poolers have just closed are still leaving.
        while not known.issuperset(session.pid for session in found) and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY)
            found = _sessions(connection, ours)
        if new := [session for session in found if session.pid not in self._named]:
            self._named.update(session.pid for session in new)
            self._say(f"not connected through a paused pooler, so blocked by locks: {model.sessions_shown(new)}")
        return found


def _sessions(connection: db.Connection, own: Sequence[int]) -> list[model.Session]:
    return activity.sessions(connection, "cutover.other_readers", own=sql.Literal(list(own)))


def _clock(connection: db.Connection) -> datetime:
    moment = queries.value(connection, datetime, sql.SQL("SELECT pg_catalog.clock_timestamp()"))
    assert moment is not None
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
    """Open the consoles and start the watchdog, for the body.

    Args:
        connection: the session that has planned the cut-over.

    Raises:
        PoolerBetween: this session itself goes through a pooler.
        AlreadyPaused, BadConsole: as Pooler.open.
    """
    pid = db.backend(connection)
    if pid != connection.info.backend_pid:
        raise errors.PoolerBetween(
            "the connection goes through a pooler, whose PAUSE would wait for this session",
            hint="Connect to the server itself with `--dsn` (docs/scaling.md).",
        )
    with pgbouncer.opened(consoles) as poolers, watching(consoles) as watchdog:
        yield Pause(plan, patience, say, poolers=poolers, watchdog=watchdog, wait=wait, planner=pid)


@contextmanager
def watching(consoles: Sequence[pgbouncer.Console]) -> Iterator[Watchdog]:
    """Run the watchdog for the body; it is connected when the body begins.

    Raises:
        ServerFailed: the watchdog did not start.
    """
    with child_process.companion(_CALL) as companion:
        companion.send(msgspec.json.encode(consoles))
        companion.wait_until_ready()
        yield Watchdog(companion)


def serve() -> None:
    """Run the watchdog process: follow the pause on standard input, and resume the poolers when it is due."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the end of the pipe ends this process
    reader = _LineReader(sys.stdin.fileno())
    poolers = [pgbouncer.Pooler(console) for console in msgspec.json.decode(reader.line(None) or b"[]", type=_CONSOLES)]
    for pooler in poolers:
        pooler.open()
    os.write(sys.stdout.fileno(), b"ready\n")
    deadline: float | None = None
    sent = False
    while True:
        line = reader.line(deadline)
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
    """Read lines from a pipe, with a deadline."""

    def __init__(self, fileno: int) -> None:
        self._fileno = fileno
        self._buffer = b""

    def line(self, deadline: float | None) -> bytes | None:
        """Return the next line, b"" at the end of the pipe, or None if the deadline passes first."""
        while b"\n" not in self._buffer:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([self._fileno], [], [], left)[0]:
                return None
            more = os.read(self._fileno, 1 << 16)
            if not more:
                return b""
            self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line


def _resume(poolers: Sequence[pgbouncer.Pooler]) -> None:
    """Resume all poolers; retry those that cannot be reached."""
    deadline = time.monotonic() + _RETRY_FOR
    while not pgbouncer.resume_all(poolers, lambda _text: None) and time.monotonic() < deadline:
        time.sleep(_RETRY_EVERY)
