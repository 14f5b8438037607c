"""Exceptions that nobody expected: one sentence, the details in a private file, and an exit code that is true."""

import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import TupleRow

import bluegreen_etl
from bluegreen_etl import config, errors
from bluegreen_etl.commands import promote_plan
from bluegreen_etl.cutover import swap
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]

# Each function raises at its call, or after it has done its work.
FAULTS = {
    "plan": ("bluegreen_etl.releases.plan", "plan_load", "before"),
    "finish": ("bluegreen_etl.shadow.build_indexes", "set_sequences", "before"),
    "swap plan": ("bluegreen_etl.commands.promote_plan", "make_plan", "after"),
    "swap locks": ("bluegreen_etl.cutover.swap", "hold", "after"),
    "swap answer": ("bluegreen_etl.cutover.swap", "_seconds_between", "before"),
    "after the swap": ("bluegreen_etl.commands.promote", "_settle", "before"),
    "the outcome": ("bluegreen_etl.report.text", "show", "before"),
}
SITE = """
import sys
from importlib import import_module
module, name, when = {fault!r}
import_module("bluegreen_etl.cli.root")
for each in (module, "bluegreen_etl.commands.promote", "bluegreen_etl.commands.load"):
    import_module(each)
original = getattr(import_module(module), name)
def broken(*arguments, **options):
    result = original(*arguments, **options) if when == "after" else None
    raise {error}
for each in list(sys.modules.values()):
    if getattr(each, "__name__", "").startswith("bluegreen_etl") and getattr(each, name, None) is original:
        setattr(each, name, broken)
from bluegreen_etl.__main__ import run
run()
"""


def run(league: Bluegreen, fault: str, *arguments: str, error: str = "ZeroDivisionError('a bug')") -> tuple[int, str]:
    """Run a command with a bug in one place; return its exit code and stderr."""
    script = SITE.format(fault=FAULTS[fault], error=error)
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=league.directory,
        env=league.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stderr


@pytest.fixture
def league(bluegreen: Bluegreen, live: Live) -> Bluegreen:
    """A live league, and files for its next release."""
    bluegreen.write_league()
    return bluegreen


@pytest.mark.parametrize(
    "error", ["ZeroDivisionError('a bug')", "MemoryError()", "RecursionError('deep')", "OSError(5, 'x')"]
)
@pytest.mark.parametrize("fault", ["plan", "finish", "swap plan", "swap locks"])
def test_before_the_swap_live_is_unchanged(league: Bluegreen, live: Live, fault: str, error: str) -> None:
    """Exit code 1, one sentence that calls it a bug, and a private file with the traceback."""
    before = live.dump()
    code, stderr = run(league, fault, "load", "data", "--promote", error=error)
    assert code == 1, stderr
    assert "Traceback" not in stderr
    [sentence] = re.findall(r"^bluegreen: error: (.*)$", stderr, re.MULTILINE)
    assert sentence.endswith("this is a bug in bluegreen, and live is unchanged")
    details = Path(re.findall(r"The details are in (\S+)\.", stderr)[0])
    assert "Traceback (most recent call last)" in details.read_text()
    assert stat.S_IMODE(details.stat().st_mode) == 0o600
    details.unlink()
    assert live.dump() == before


@pytest.mark.parametrize("fault", ["swap answer", "after the swap", "the outcome"])
def test_from_the_swap_on_live_may_have_changed(league: Bluegreen, connection: Connection, fault: str) -> None:
    """Exit code 6: the release is live, and every reader sees all of it."""
    code, stderr = run(league, fault, "load", "data", "--promote", "--debug")
    assert code == 6, stderr
    assert "this is a bug in bluegreen, and live may have changed" in stderr
    assert "The details are in" not in stderr
    assert connection.execute("SELECT status FROM bluegreen.release WHERE number = 2").fetchone() == ("live",)


def test_outcome_that_cannot_be_shown_is_no_change_of_live(league: Bluegreen) -> None:
    """A command that only looks has exit code 1."""
    assert run(league, "the outcome", "status")[0] == 1


@pytest.mark.parametrize(
    ("module", "name", "expected"),
    [(promote_plan, "make_plan", errors.InternalError), (swap, "_seconds_between", errors.OutcomeUnknown)],
)
def test_python_raises_an_error_of_its_own(
    league: Bluegreen,
    monkeypatch: pytest.MonkeyPatch,
    dsn: str,
    module: object,
    name: str,
    expected: type[errors.BluegreenError],
) -> None:
    """The bug is the cause; the next command in the same process knows nothing of it."""
    league("load", "data")

    def broken(*_arguments: object, **_options: object) -> None:
        raise ZeroDivisionError("a bug")

    context = bluegreen_etl.Context(config.resolve({"schema": "league", "dsn": dsn}), _Silent())
    with monkeypatch.context() as patch:
        patch.setattr(module, name, broken)
        with pytest.raises(expected) as raised:
            bluegreen_etl.promote(context)
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
    with monkeypatch.context() as patch:
        patch.setattr("bluegreen_etl.commands.status.find_state", broken)
        with pytest.raises(errors.InternalError):
            bluegreen_etl.status(context)


class _Silent:
    """A watcher that nobody reads."""

    def say(self, text: str) -> None:
        """Drop the text."""

    def stage(self, name: str, *, total: int = 0) -> None:
        """Drop the stage."""

    def copied(self, table: str, size: int) -> None:
        """Drop the size."""

    def confirm(self, question: str, answer: str) -> bool:
        """Confirm nothing."""
        return False


def _obey_interrupts() -> None:
    """Undo what a shell does for its background jobs, from which the suite may have been started."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_during_the_imports_has_no_traceback(league: Bluegreen, number: signal.Signals) -> None:
    """In each phase of the start: exit code 1 and one sentence, or the end of a process that has not begun."""
    seen = set()
    for delay in (0.06, 0.1, 0.15, 0.2, 0.3):
        command = subprocess.Popen(
            [sys.executable, "-m", "bluegreen_etl", "status", "--schema", "league"],
            cwd=league.directory,
            env=league.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_obey_interrupts,
        )
        time.sleep(delay)
        command.send_signal(number)
        stderr = command.communicate(timeout=30)[1]
        seen.add(command.returncode)
        if command.returncode == 1:
            assert re.fullmatch(r"bluegreen: error: interrupted: live is unchanged\n(HINT: .*\n)?", stderr), stderr
            assert "Traceback" not in stderr
    assert seen <= {0, 1, -number}
    assert 1 in seen
