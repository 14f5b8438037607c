"""Ctrl-C and termination: both raise KeyboardInterrupt in the main thread, except during a commit.

An event stops other threads; code that may wait for long in one of them calls `stopped`.
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
    """Handle SIGTERM and SIGHUP like Ctrl-C."""
    global _finished
    _finished = False
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _arrived)


@contextmanager
def deferred() -> Iterator[None]:
    """Defer interrupts until the body has ended, so that its outcome is known.

    An interrupt that arrived during the body is dropped: either the work is done, or an exception is already raised.
    The body calls `check` at points where it may stop.
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
    """Allow interrupts inside `deferred`; raise a deferred one at once."""
    global _depth
    check()
    depth, _depth = _depth, 0
    try:
        yield
    finally:
        _depth = depth


def finish() -> None:
    """Ignore interrupts from now on: the work is done, and the exit code must say so."""
    global _finished
    _finished = True


def arrived() -> bool:
    """Return whether an interrupt is deferred."""
    return _pending


def check() -> None:
    """Raise the deferred interrupt, if there is one."""
    if _pending:
        raise KeyboardInterrupt


@contextmanager
def stopped_by(stop: threading.Event) -> Iterator[None]:
    """Make `stopped` return whether this event is set, in the body."""
    token = _stop.set(stop)
    try:
        yield
    finally:
        _stop.reset(token)


def stopped() -> bool:
    """Return whether the work of this thread should stop."""
    stop = _stop.get()
    return stop is not None and stop.is_set()


def _arrived(_number: int, _frame: FrameType | None) -> None:
    global _pending
    if _depth:
        _pending = True
    elif not _finished:
        raise KeyboardInterrupt
