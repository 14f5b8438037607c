"""The program in a child that has already imported it.

The suite runs thousands of commands, and starting one costs more than most of them do. What a fork server has imported,
its children share; each is a process of its own with its own arguments, directory, environment and streams, as
`python -m bluegreen_etl` is, which is how Bluegreen.start still starts it.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["bluegreen_etl.__main__"])


def run(
    arguments: Sequence[str], *, directory: Path, environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end, without standard input.

    Raises:
        subprocess.TimeoutExpired: it took longer than `timeout` seconds; it was killed.
    """
    with tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as err:
        streams = (os.devnull, out.name, err.name)
        child = _CONTEXT.Process(target=_run, args=(tuple(arguments), str(directory), dict(environment), streams))
        child.start()
        child.join(timeout)
        if child.exitcode is None:
            child.kill()
            child.join()
            raise subprocess.TimeoutExpired(list(arguments), timeout, out.read(), err.read())
        code = child.exitcode
        child.close()
        return subprocess.CompletedProcess(list(arguments), code, out.read(), err.read())


def _run(
    arguments: tuple[str, ...], directory: str, environment: dict[str, str], streams: tuple[str, str, str]
) -> None:
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    for number, (path, flags) in enumerate(zip(streams, (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY), strict=True)):
        opened = os.open(path, flags | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    sys.argv = ["bluegreen", *arguments]

    from bluegreen_etl.__main__ import run as program  # noqa: PLC0415 - the fork server has it, the tests need not

    program()
