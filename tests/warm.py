"""Run the program in a child process that has already imported it.

The suite runs thousands of commands, and starting one costs more than most of them do. What a fork server has imported,
its children share; each is a process of its own with its own arguments, directory, environment and streams, as
`python -m bluegreen_etl` is.
"""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TextIO

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.preload", __name__])


def start() -> None:
    """Start the fork server now, while the working directory is the one from which it can import the tests."""
    forkserver.ensure_running()


class Command:
    """A running command, with the part of subprocess.Popen that the tests use; `stdin` is piped into it."""

    def __init__(
        self, arguments: Sequence[str], *, directory: Path, environment: Mapping[str, str], stdin: bytes = b""
    ) -> None:
        self.args = tuple(arguments)
        given, feed = CONTEXT.Pipe(duplex=False) if stdin else (Connection(os.open(os.devnull, os.O_RDONLY)), None)
        out, to_out = CONTEXT.Pipe(duplex=False)
        err, to_err = CONTEXT.Pipe(duplex=False)
        with given, to_out, to_err:
            streams = (given, to_out, to_err)
            self._process = CONTEXT.Process(target=_run, args=(self.args, str(directory), dict(environment), streams))
            self._process.start()
        self.pid = self._process.pid or 0
        self.stdout, self.stderr = _opened(out), _opened(err)
        self._texts: dict[TextIO, str] = {}
        self._readers: list[threading.Thread] = []
        if feed:
            threading.Thread(target=_feed, args=(feed, stdin), daemon=True).start()

    @property
    def returncode(self) -> int | None:
        """The exit code, or minus the number of the signal that ended the command; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return the exit code, or None while the command runs."""
        return self._process.exitcode

    def wait(self, timeout: float) -> int | None:
        """Wait for the command to end, and return its exit code."""
        self._process.join(timeout)
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the command, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the command."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float = 60) -> tuple[str, str]:
        """Wait for the end, and return what was written to stdout and stderr and not read before.

        Raises:
            subprocess.TimeoutExpired: it took longer than `timeout` seconds; it was killed.
        """
        if not self._readers:
            streams = (self.stdout, self.stderr)
            self._readers = [threading.Thread(target=self._read, args=(stream,), daemon=True) for stream in streams]
            for reader in self._readers:
                reader.start()
        deadline = time.monotonic() + timeout
        for reader in self._readers:
            reader.join(max(0, deadline - time.monotonic()))
        self.wait(max(0, deadline - time.monotonic()))
        if self.poll() is None or len(self._texts) < len(self._readers):
            self.kill()
            for reader in self._readers:
                reader.join(1)  # the output explains the timeout
            raise subprocess.TimeoutExpired(
                self.args, timeout, self._texts.get(self.stdout), self._texts.get(self.stderr)
            )
        return self._texts[self.stdout], self._texts[self.stderr]

    def _read(self, stream: TextIO) -> None:
        with stream:
            self._texts[stream] = stream.read()


def _opened(end: Connection) -> TextIO:
    """Return one end of a pipe as a text stream."""
    with end:
        return os.fdopen(os.dup(end.fileno()), encoding="utf-8", newline="")


def _feed(end: Connection, data: bytes) -> None:
    # A command that refuses its input may end before it has read all of it.
    with end, contextlib.suppress(BrokenPipeError), os.fdopen(end.fileno(), "wb", closefd=False) as pipe:
        pipe.write(data)


def _run(
    arguments: tuple[str, ...],
    directory: str,
    environment: dict[str, str],
    streams: tuple[Connection, Connection, Connection],
) -> None:
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    for number, stream in enumerate(streams):
        os.dup2(stream.fileno(), number)
        stream.close()
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    sys.argv = ["bluegreen", *arguments]

    from bluegreen_etl.__main__ import run as program  # noqa: PLC0415 - the fork server has it, the tests need not

    program()
