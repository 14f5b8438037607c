"""Runs tasks over several connections; one failure stops all of them, and the first cause is what is raised."""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from typing import Generic, TypeVar

from bluegreen_etl import db

T = TypeVar("T")
_CANCEL_EVERY = 0.2  # seconds
Task = Callable[[db.Connection, threading.Event], T]


def run(
    server: db.Server, purpose: str, tasks: Sequence[Task[T]], *, jobs: int, settings: Mapping[str, str]
) -> list[T]:
    """Run every task on one of at most `jobs` connections, begun in the given order; return their results in it.

    A task gets its connection and an event: once that is set, another task has failed or the user has interrupted,
    and the task should end soon.

    Raises:
        BaseException: the first failure, after all tasks have ended.
    """
    crew = _Crew(tasks)
    workers = min(jobs, len(tasks))
    with futures.ThreadPoolExecutor(max(workers, 1), thread_name_prefix="bluegreen") as pool:
        running = [pool.submit(crew.work, server, purpose, settings) for _ in range(workers)]
        try:
            futures.wait(running, return_when=futures.FIRST_EXCEPTION)
        except BaseException:  # an interrupt: the threads must not outlive it
            crew.stop.set()
            raise
        finally:
            # Again and again: a statement that begins a moment after its connection was cancelled is not cancelled.
            while crew.stop.is_set() and futures.wait(running, timeout=_CANCEL_EVERY).not_done:
                server.cancel_all()
    if crew.failure is not None:
        raise crew.failure
    return [crew.results[index] for index in range(len(tasks))]


class _Crew(Generic[T]):
    """The tasks of one run, and what became of them."""

    def __init__(self, tasks: Sequence[Task[T]]) -> None:
        self.stop = threading.Event()
        self.failure: BaseException | None = None
        self.results: dict[int, T] = {}
        self._waiting = deque(enumerate(tasks))
        self._guard = threading.Lock()

    def work(self, server: db.Server, purpose: str, settings: Mapping[str, str]) -> None:
        """Take tasks until none is left or one has failed."""
        try:
            with server.connect(purpose, settings) as connection:
                while (taken := self._take()) is not None:
                    index, task = taken
                    self.results[index] = task(connection, self.stop)
        except BaseException as error:
            with self._guard:
                if not self.stop.is_set():
                    self.failure = error
                    self.stop.set()
            raise

    def _take(self) -> tuple[int, Task[T]] | None:
        with self._guard:
            return self._waiting.popleft() if self._waiting and not self.stop.is_set() else None
