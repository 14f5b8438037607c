"""What one command takes: wall clock, CPU of it and its children, CPU of the server, memory."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.bench.server import Server

# Looking at the processes takes CPU itself; no more than one part in so many of one core.
SPARSE = 50
_OWN = ("PG", "BLUEGREEN", "DATABASE_URL")


class Way(NamedTuple):
    """A way of loading: what it is called in the table, and its command."""

    name: str
    form: str
    jobs: int | None
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()

    @property
    def label(self) -> str:
        """Its name for messages."""
        return f"{self.name}, {self.form}" + (f", --jobs {self.jobs}" if self.jobs else "")


class Run(NamedTuple):
    """What one run took, in seconds, MB and milliseconds.

    `worst` and `errors` if readers ran at the same time; `copying` is the part of `wall` in which rows were copied, if
    more than that was done.
    """

    wall: float
    client: float
    server: float
    memory: float
    worst: float | None = None
    errors: int | None = None
    copying: float | None = None


class Failed(Exception):
    """A way's command ended with an error; its last words."""


def say(text: str) -> None:
    """Write a message."""
    sys.stderr.write(f"{text}\n")


def run(way: Way, server: Server) -> Run:
    """Run a way's command in a directory of its own and measure it.

    Raises:
        Failed: it ended with another code than 0.
    """
    place = server.directory / "work"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    before = server.seconds()
    with (place / "output").open("wb") as output:
        begun = time.monotonic()
        child = subprocess.Popen(
            way.command,
            cwd=place,
            env=_environment(way),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        with _watched(child.pid) as tree:
            _, status, usage = os.wait4(child.pid, 0)
            wall = time.monotonic() - begun
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise Failed(f"{way.label}: exit code {child.returncode}: {_last_words(place / 'output')}")
    client = usage.ru_utime + usage.ru_stime + tree.survivors()
    return Run(wall, client, server.seconds() - before, tree.memory / 1e6)


class _Tree:
    """A process and its descendants, looked at again and again."""

    def __init__(self, pid: int) -> None:
        self.memory = 0
        self._root = psutil.Process(pid)
        self._seen: set[psutil.Process] = set()

    def look(self) -> None:
        """Count the memory that they have now; pages that they share count for each."""
        memory = 0
        for one in self._members():
            try:
                memory += one.memory_info().rss
            except psutil.Error:  # it has ended meanwhile
                continue
        self.memory = max(self.memory, memory)

    def survivors(self) -> float:
        """Return the CPU seconds of descendants that outlive the process: nobody has waited for them."""
        seconds = 0.0
        for one in self._seen:
            try:
                times = one.cpu_times()
            except psutil.Error:  # it has ended, and its parent has counted it
                continue
            seconds += times.user + times.system
        return seconds

    def _members(self) -> list[psutil.Process]:
        try:
            children = self._root.children(recursive=True)
        except psutil.Error:
            return []
        self._seen.update(children)
        return [self._root, *children]


@contextmanager
def _watched(pid: int) -> Iterator[_Tree]:
    """Measure a process and its descendants during the body."""
    tree, over = _Tree(pid), threading.Event()

    def watch() -> None:
        pause = 0.0
        while not over.wait(pause):
            begun = time.thread_time()
            tree.look()
            pause = max(0.005, SPARSE * (time.thread_time() - begun))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield tree
    finally:
        over.set()
        watcher.join()


def _environment(way: Way) -> dict[str, str]:
    """Return our environment without settings for PostgreSQL and bluegreen, with what the way adds."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith(_OWN)}, **dict(way.environment)}


def _last_words(file: Path) -> str:
    return " / ".join(file.read_text(errors="replace").strip().splitlines()[-3:]) or "it said nothing"
