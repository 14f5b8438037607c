"""Runs tasks over several connections, each as soon as those before it are done.

One failure stops all of them, and the first cause is what is raised. Where only a connection was lost, a task that can
be done again from its beginning is.
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
    """What is done on one connection, once every task in `after` is done.

    `work` gets the connection and an event: once that is set, another task has failed or the user has interrupted,
    and the work should end soon. `repeatable`: what was done before a connection was lost is rolled back with it, and
    the work can be done again from its beginning.
    """

    def __init__(self, work: Work, *, after: Sequence["Task"] = (), repeatable: bool = False) -> None:
        self.work = work
        self.after = tuple(after)
        self.repeatable = repeatable


def run(server: db.Server, purpose: str, tasks: Sequence[Task], *, jobs: int, settings: Mapping[str, str]) -> None:
    """Run every task on one of at most `jobs` connections; of those that can begin, the first in the list begins.

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
            # Again and again: a statement that begins a moment after its connection was cancelled is not cancelled.
            while crew.stop.is_set() and futures.wait(running, timeout=_CANCEL_EVERY).not_done:
                server.cancel_all()
    if crew.failure is not None:
        raise crew.failure


class _Crew:
    """The tasks of one run, and what became of them."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.stop = threading.Event()
        self.failure: BaseException | None = None
        self._rank = {task: rank for rank, task in enumerate(tasks)}
        self._order = TopologicalSorter({task: task.after for task in tasks})
        self._order.prepare()
        self._ready: list[Task] = []
        self._changed = threading.Condition()

    def work(self, server: db.Server, purpose: str, settings: Mapping[str, str]) -> None:
        """Take tasks until none is left or one has failed."""
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
                # A server that says why it ends a session (SQLSTATE 57P01 and the like) means it.
                if not task.repeatable or not connection.closed or error.sqlstate or self.stop.is_set():
                    raise
                with self._changed:
                    self._ready.append(task)
                    self._changed.notify_all()
                raise db.ConnectionLost(error) from error
            with self._changed:
                self._order.done(task)
                self._changed.notify_all()

    def end(self, failure: BaseException | None = None) -> None:
        """Let no task begin any more."""
        with self._changed:
            if not self.stop.is_set():
                self.failure = failure
                self.stop.set()
            self._changed.notify_all()

    def _take(self) -> Task | None:
        """Wait for a task that can begin; None when there will be none."""
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
