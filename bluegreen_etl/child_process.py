"""Child processes: PostgreSQL's own client programs, and the user's.

Secrets travel by environment, never by argument list.
"""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from bluegreen_etl import config, errors, interrupts

_HINT_INSTALL = "Check the installation."
_READY = 30.0  # seconds until a process of our own is ready
_START = "import sys; sys.path[:] = {path!r}; from {module} import {name}; {name}()"
_GRACE = 5.0  # seconds between asking a program to end and ending it
_DIED = "the process that would let readers go on after a crash of this one has died"
_HINT_DIED = "Run it again; --via locks needs no such process."


def output(command: Sequence[str | Path], *, environment: Mapping[str, str]) -> str:
    """Run a program to its end and return its standard output.

    Raises:
        ServerFailed: it cannot be started, or ends with another code than 0; the message is its own last line.
    """
    try:
        done = subprocess.run(
            [str(part) for part in command],
            env=config.child_environment(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise errors.NoProgram(f"{command[0]} cannot be started: {error}", hint=_HINT_INSTALL) from error
    if done.returncode != 0:
        raise _failed(command, done.stderr)
    return done.stdout.decode()


@contextlib.contextmanager
def stream(command: Sequence[str | Path], *, environment: Mapping[str, str]) -> Iterator[BinaryIO]:
    """Run a program and let the body read its standard output; it ends with the body.

    Raises:
        ServerFailed: it cannot be started, or ends with another code than 0 although all of it was read.
    """
    with tempfile.TemporaryFile() as said:
        try:
            child = subprocess.Popen(
                [str(part) for part in command],
                env=config.child_environment(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
            )
        except OSError as error:
            raise errors.NoProgram(f"{command[0]} cannot be started: {error}", hint=_HINT_INSTALL) from error
        assert child.stdout is not None
        with child:
            try:
                yield cast("BinaryIO", child.stdout)
            except BaseException:
                child.kill()
                raise
        if child.returncode != 0:
            said.seek(0)
            raise _failed(command, said.read())


def visible(command: Sequence[str | Path], *, directory: Path, environment: Mapping[str, str]) -> int:
    """Run a program in `directory` with its output shown as it comes; return its exit code."""
    sys.stdout.flush()
    full = config.child_environment(environment)
    return subprocess.run([str(part) for part in command], cwd=directory, env=full, check=False).returncode


def find(name: str) -> None:
    """Refuse a program that there is not.

    Raises:
        UsageError: no such program, or it may not be run.
    """
    if shutil.which(name) is None:
        raise errors.UsageError(f"no such command: {name}", hint="Give its path, or look at PATH.")


def attend(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    given: bytes | None = None,
    directory: str | None = None,
) -> int:
    """Run a program of the user's to its end, its output on stderr as it comes; return its exit code.

    It reads `given` from its standard input, by default what this program would.

    Whatever it has started ends with it, and all of it ends where this is interrupted.
    """
    out = sys.stderr.fileno() if sys.stderr is not None else subprocess.DEVNULL
    try:
        # A session of its own: a Ctrl-C reaches it through here, once, and not at the same time from the terminal.
        child = subprocess.Popen(
            list(command),
            env=config.child_environment(environment),
            cwd=directory,
            stdin=None if given is None else subprocess.PIPE,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    except OSError as error:
        raise errors.UsageError(
            f"{command[0]} cannot be started: {error.strerror}", hint="Check the command."
        ) from error
    try:
        child.communicate(given)
        return child.returncode
    finally:
        with interrupts.deferred():
            _end_group(child)


class Companion:
    """A process that calls a function of ours and outlives this one."""

    def __init__(self, child: "subprocess.Popen[bytes]") -> None:
        self._child = child

    def tell(self, line: bytes) -> None:
        """Send it a line.

        Raises:
            ServerFailed: it has died.
        """
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(line + b"\n")
            self._child.stdin.flush()
        except OSError as error:
            raise errors.ServerFailed(_DIED, hint=_HINT_DIED) from error

    def wait_until_ready(self) -> None:
        """Wait for its first line.

        Raises:
            ServerFailed: it has died.
        """
        assert self._child.stdout is not None
        if not select.select([self._child.stdout], [], [], _READY)[0] or not self._child.stdout.readline():
            raise errors.ServerFailed(_DIED, hint=_HINT_DIED)


@contextlib.contextmanager
def companion(call: str) -> Iterator[Companion]:
    """Let a process of its own call a function, named `module:name`, which hears from its standard input.

    It is in a session of its own, so that what ends this process by its terminal or its group does not reach it. Its
    input ends with the body, or with this process.
    """
    module, _, name = call.partition(":")
    child = subprocess.Popen(
        [sys.executable, "-c", _START.format(path=sys.path, module=module, name=name)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield Companion(child)
    finally:
        with contextlib.suppress(OSError):
            child.communicate()


def _failed(command: Sequence[str | Path], said: bytes) -> errors.ServerFailed:
    lines = said.decode(errors="replace").strip().splitlines() or ["it said nothing"]
    return errors.ServerFailed(
        f"{Path(command[0]).name} failed: {lines[0]}", hint="Run `bluegreen` with --debug to see all it said."
    )


def _end_group(child: "subprocess.Popen[bytes]") -> None:
    """End a process group, politely first."""
    deadline = time.monotonic() + _GRACE
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGTERM)
        while time.monotonic() < deadline:
            child.poll()
            os.killpg(child.pid, 0)
            time.sleep(0.02)
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
