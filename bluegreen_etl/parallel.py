"""Run tasks on several connections, each as soon as the tasks before it are done.

One failure stops all of them, and the first failure is raised. If only a connection was lost, a repeatable task starts
again on another one.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from graphlib import TopologicalSorter

import psycopg

from bluegreen_etl import db

_CANCEL_EVERY = 0.2  # seconds
Work = Callable[[db.Connection, threading.Event], object]


class Task:
    """Work on one connection, to start when every task in `after` is done.

    Args:
        work: gets the connection and an event; when that is set, another task has failed or the user has interrupted,
            and the work should end soon.
        repeatable: a lost connection rolls the work back, and it can start again.
    """

    def __init__(self, work: Work, *, after: Sequence["Task"] = (), repeatable: bool = False) -> None:
        self.work = work
        self.after = tuple(after)
        self.repeatable = repeatable


def run(server: db.Server, purpose: str, tasks: Sequence[Task], *, jobs: int, settings: Mapping[str, str]) -> None:
    """Run every task on one of at most `jobs` connections; of the tasks that can start, start the first in the list.

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
            crew.end()
            raise
        finally:
            # Repeatedly: a cancel misses a statement that starts a moment after it.
            while crew.stop.is_set() and futures.wait(running, timeout=_CANCEL_EVERY).not_done:
                server.cancel_all()
    if crew.failure is not None:
        raise crew.failure


class _Crew:
    """The tasks of one run, and their state."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.stop = threading.Event()
        self.failure: BaseException | None = None
        self._rank = {task: rank for rank, task in enumerate(tasks)}
        self._order = TopologicalSorter({task: task.after for task in tasks})
        self._order.prepare()
        self._ready: list[Task] = []
        self._changed = threading.Condition()

    def work(self, server: db.Server, purpose: str, settings: Mapping[str, str]) -> None:
        """Run tasks until none is left or one has failed."""
        try:
            server.persist(purpose, settings, self._work)
        except BaseException as error:
            self.end(error)
            raise

    def _work(self, connection: db.Connection) -> None:
        while (task := self._take()) is not None:
            try:
                task.work(connection, self.stop)
            except psycopg.OperationalError as error:
                # A server that gives a reason for ending a session (SQLSTATE 57P01 …) ended it on purpose.
                if not task.repeatable or not connection.closed or error.sqlstate or self.stop.is_set():
                    raise
                with self._changed:
                    self._ready.append(task)
                    self._changed.notify_all()
                raise db.RetryOnNewConnection(error) from error
            with self._changed:
                self._order.done(task)
                self._changed.notify_all()

    def end(self, failure: BaseException | None = None) -> None:
        """Start no more tasks."""
        with self._changed:
            if not self.stop.is_set():
                self.failure = failure
                self.stop.set()
            self._changed.notify_all()

    def _take(self) -> Task | None:
        """Wait for a task that can start, and return it; None if there will be none."""
        with self._changed:
            while not self.stop.is_set():
                self._ready += self._order.get_ready() if self._order.is_active() else ()
                if self._ready:
                    self._ready.sort(key=self._rank.__getitem__)
                    return self._ready.pop(0)
                if not self._order.is_active():
                    return None
                self._changed.wait()
        return None
