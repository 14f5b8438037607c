"""Lets the clients of paused poolers go on when the process that has paused them cannot.

It is a process of its own that hears from that one over a pipe: the pipe ends however the other died, and a bound
passes whatever the other does.
"""

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from bluegreen_etl import errors, pgbouncer, process

_CALL = "bluegreen_etl.cutover.watchdog:serve"
_RETRY_EVERY, _RETRY_FOR = 0.2, 600.0  # seconds: a pooler that cannot be reached now may be soon
_PAUSING, _SENT, _DONE = b"pausing", b"sent", b"done"


class Watchdog:
    """The other process, as the one sees it that pauses."""

    def __init__(self, companion: process.Companion) -> None:
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


@contextmanager
def watching(consoles: Sequence[pgbouncer.Console]) -> Iterator[Watchdog]:
    """Run the other process as long as the body, and have it connected before that begins.

    Raises:
        ServerFailed: it has not come up.
    """
    with process.companion(_CALL) as companion:
        companion.tell(msgspec.json.encode(consoles))
        companion.wait_until_ready()
        yield Watchdog(companion)


def serve() -> None:
    """Hear from standard input how the pause goes, and let clients go on when that is due: the life of the process."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the end of the pipe says when it is time
    ear = _Ear(sys.stdin.fileno())
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


_CONSOLES = list[pgbouncer.Console]


class _Ear:
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
