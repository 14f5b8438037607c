"""Python processes that share work which one interpreter would do on a single core.

They are children that run functions of this package and answer over pipes; they end when their pipe does, however
the parent died. multiprocessing would import the caller's own program in every child, and its pools outlive a parent
that was killed.
"""

import contextlib
import ctypes
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, TypeVar, cast

from bluegreen_etl import errors

T = TypeVar("T")
K = TypeVar("K")
# The parent has prepared a smaller file before another process has started.
SHARED_SIZE = 8 << 20
# About the size of a message; with the default of 64 KB the two sides would take turns far more often.
_PIPE_SIZE = 1 << 20
# glibc's mallopt: how much free memory, and which size of block, goes back to the kernel; and how many heaps the
# threads have, each of which keeps as much.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_KEPT = 16 << 20
_START = "import sys; sys.path[:] = {path!r}; from bluegreen_etl import workers; workers.serve()"


class Workers:
    """A number of processes, each started when it is needed first."""

    def __init__(self, count: int) -> None:
        # Enough that no process waits for the next call, few enough that little memory is held.
        self.ahead = 2 * count
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="worker")
        self._own = threading.local()
        self._guard = threading.Lock()
        self._children: list[subprocess.Popen[bytes]] = []
        self._closed = False

    def submit(self, call: Callable[[], T]) -> Future[T]:
        """Let a free process make a call; pickle must be able to hold the call and its result.

        The future raises what the call raised, or Interrupted if the process has died.
        """
        return self._threads.submit(self._call, call)

    def in_order(self, calls: Iterable[tuple[K, Callable[[], T]]]) -> Iterator[tuple[K, T]]:
        """Make calls, some of them ahead; yield key and result of each call in the given order."""
        running: deque[tuple[K, Future[T]]] = deque()
        for key, call in calls:
            running.append((key, self.submit(call)))
            if len(running) > self.ahead:
                first, future = running.popleft()
                yield first, future.result()
        for first, future in running:
            yield first, future.result()

    def close(self) -> None:
        """Kill the processes."""
        with self._guard:
            self._closed = True
            for child in self._children:
                child.kill()
        self._threads.shutdown(cancel_futures=True)
        for child in self._children:
            with child:
                pass

    def _call(self, call: Callable[[], T]) -> T:
        child = self._child()
        try:
            pickle.dump(call, cast("BinaryIO", child.stdin), protocol=5)
            cast("BinaryIO", child.stdin).flush()
            succeeded, answer = pickle.load(cast("BinaryIO", child.stdout))
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            raise errors.Interrupted(
                f"a process that prepared data has died with code {child.wait()}",
                hint="Check whether the kernel has killed it because memory ran out, and load again.",
            ) from error
        if not succeeded:
            raise answer
        return cast("T", answer)

    def _child(self) -> subprocess.Popen[bytes]:
        """Return this thread's process; start it if necessary."""
        if not hasattr(self._own, "child"):
            with self._guard:
                if self._closed:
                    raise errors.Interrupted("stopped")
                self._own.child = subprocess.Popen(
                    [sys.executable, "-c", _START.format(path=sys.path)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    pipesize=_PIPE_SIZE,
                )
                self._children.append(self._own.child)
        return cast("subprocess.Popen[bytes]", self._own.child)


def serve() -> None:
    """Answer calls from standard input on standard output until it ends: the life of a child."""
    # Ctrl-C reaches every process of the terminal; the parent decides what happens.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_memory()
    calls = sys.stdin.buffer
    with os.fdopen(os.dup(1), "wb", _PIPE_SIZE) as answers:
        os.dup2(2, 1)  # printed text must not come between the answers
        while True:
            try:
                call = pickle.load(calls)
            except EOFError:
                return
            try:
                answer = (True, call())
            except Exception as error:  # the parent raises it
                answer = (False, error)
            pickle.dump(answer, answers, protocol=5)
            answers.flush()


def keep_memory() -> None:
    """Keep freed memory for the next block: page faults cost as much as filling the page."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _KEPT)
        library.mallopt(_M_TRIM_THRESHOLD, _KEPT)
        library.mallopt(_M_ARENA_MAX, 2)
