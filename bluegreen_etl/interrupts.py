"""Ctrl-C and termination: both raise KeyboardInterrupt in the main thread, except while a commit is under way.

Other threads are told by an event; what may wait for long in one of them asks `stopped` meanwhile.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType

_stop: ContextVar[threading.Event | None] = ContextVar("stop", default=None)
_depth = 0
_pending = False
_finished = False


def install() -> None:
    """Let SIGTERM and SIGHUP end a command in the same orderly way as Ctrl-C."""
    global _finished
    _finished = False
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _arrived)


@contextmanager
def deferred() -> Iterator[None]:
    """Hold interrupts back until the body has ended: what it does must not be left half known.

    One that has arrived meanwhile is dropped at the end: either the work is done, or an exception is on its way
    already. The body calls `check` where it may stop.
    """
    global _depth, _pending
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
        _pending = _pending and _depth > 0


@contextmanager
def allowed() -> Iterator[None]:
    """Let interrupts through again inside of `deferred`; one that was held back is raised at once."""
    global _depth
    check()
    depth, _depth = _depth, 0
    try:
        yield
    finally:
        _depth = depth


def finish() -> None:
    """Ignore interrupts from here on: the work is done, and an exit that says otherwise would be a lie."""
    global _finished
    _finished = True


def arrived() -> bool:
    """Say whether an interrupt is held back."""
    return _pending


def check() -> None:
    """Raise the interrupt that was held back, if one was."""
    if _pending:
        raise KeyboardInterrupt


@contextmanager
def heeding(stop: threading.Event) -> Iterator[None]:
    """Let `stopped` in the body go by an event."""
    token = _stop.set(stop)
    try:
        yield
    finally:
        _stop.reset(token)


def stopped() -> bool:
    """Say whether the work that this thread takes part in is to end."""
    stop = _stop.get()
    return stop is not None and stop.is_set()


def _arrived(_number: int, _frame: FrameType | None) -> None:
    global _pending
    if _depth:
        _pending = True
    elif not _finished:
        raise KeyboardInterrupt
