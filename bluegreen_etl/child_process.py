"""Child processes: PostgreSQL's client programs, and programs of the user.

Secrets are in the environment, never in the argument list.
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
_READY = 30.0  # seconds for a companion process to become ready
_START = "import sys; sys.path[:] = {path!r}; from {module} import {name}; {name}()"
_GRACE = 5.0  # seconds between SIGTERM and SIGKILL
_DIED = "the watchdog process, which resumes the poolers after a crash, has died"
_HINT_DIED = "Run it again, or promote with `--via locks`, which needs no watchdog."


def output(command: Sequence[str | Path], *, environment: Mapping[str, str]) -> str:
    """Run a program and return its standard output.

    Raises:
        ServerFailed: it cannot be started, or fails; the message has its first line of stderr.
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
        raise errors.NoProgram(f"cannot start {command[0]}: {error}", hint=_HINT_INSTALL) from error
    if done.returncode != 0:
        raise _failed(command, done.stderr)
    return done.stdout.decode()


@contextlib.contextmanager
def stream(command: Sequence[str | Path], *, environment: Mapping[str, str]) -> Iterator[BinaryIO]:
    """Run a program for the body, which reads its standard output.

    Raises:
        ServerFailed: it cannot be started, or fails after the body has read all of its output.
    """
    with tempfile.TemporaryFile() as stderr:
        try:
            child = subprocess.Popen(
                [str(part) for part in command],
                env=config.child_environment(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        except OSError as error:
            raise errors.NoProgram(f"cannot start {command[0]}: {error}", hint=_HINT_INSTALL) from error
        assert child.stdout is not None
        with child:
            try:
                yield cast("BinaryIO", child.stdout)
            except BaseException:
                child.kill()
                raise
        if child.returncode != 0:
            stderr.seek(0)
            raise _failed(command, stderr.read())


def visible(command: Sequence[str | Path], *, directory: Path, environment: Mapping[str, str]) -> int:
    """Run a program in `directory` with its output on the terminal; return its exit code."""
    sys.stdout.flush()
    full = config.child_environment(environment)
    return subprocess.run([str(part) for part in command], cwd=directory, env=full, check=False).returncode


def require_program(name: str) -> None:
    """Refuse a missing program.

    Raises:
        UsageError: PATH has no such executable.
    """
    if shutil.which(name) is None:
        raise errors.UsageError(f"no such command: {name}", hint="Give its path, or check PATH.")


def run_attached(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    given: bytes | None = None,
    directory: str | None = None,
) -> int:
    """Run a program of the user with its output on stderr; return its exit code.

    Args:
        given: its standard input; by default it inherits ours.

    Its child processes end with it, and all of them end if we are interrupted.
    """
    out = sys.stderr.fileno() if sys.stderr is not None else subprocess.DEVNULL
    try:
        # A session of its own: Ctrl-C reaches it once, through us, and not from the terminal too.
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
        raise errors.UsageError(f"cannot start {command[0]}: {error.strerror}", hint="Check the command.") from error
    try:
        child.communicate(given)
        return child.returncode
    finally:
        with interrupts.deferred():
            _end_group(child)


class Companion:
    """A process that runs one of our functions and survives this process."""

    def __init__(self, child: "subprocess.Popen[bytes]") -> None:
        self._child = child

    def send(self, line: bytes) -> None:
        """Send a line to the process.

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
        """Wait for the first line of its output.

        Raises:
            ServerFailed: it has died.
        """
        assert self._child.stdout is not None
        if not select.select([self._child.stdout], [], [], _READY)[0] or not self._child.stdout.readline():
            raise errors.ServerFailed(_DIED, hint=_HINT_DIED)


@contextlib.contextmanager
def companion(call: str) -> Iterator[Companion]:
    """Run a function, named `module:name`, in a process for the body; it reads lines from its standard input.

    The process has a session of its own, so that signals from the terminal or to our process group do not reach it. Its
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


def _failed(command: Sequence[str | Path], stderr: bytes) -> errors.ServerFailed:
    lines = stderr.decode(errors="replace").strip().splitlines() or ["no output on stderr"]
    return errors.ServerFailed(
        f"{Path(command[0]).name} failed: {lines[0]}", hint="Run `bluegreen` with `--debug` to see its whole output."
    )


def _end_group(child: "subprocess.Popen[bytes]") -> None:
    """End a process group: SIGTERM first, then SIGKILL."""
    deadline = time.monotonic() + _GRACE
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGTERM)
        while time.monotonic() < deadline:
            child.poll()
            os.killpg(child.pid, 0)
            time.sleep(0.02)
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
