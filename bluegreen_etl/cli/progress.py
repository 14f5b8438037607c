"""Talk and progress on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from bluegreen_etl import errors, model
from bluegreen_etl.wording import printable, printable_json

if TYPE_CHECKING:
    from click._termui_impl import ProgressBar

_UPDATE = 0.1  # seconds between two drawings of the bar


def tell(text: str = "") -> None:
    """Write one line to stderr; what is done does not depend on whether anybody reads of it."""
    with contextlib.suppress(OSError):
        click.echo(printable(text), err=True)


def listener(form: str) -> Talker | LogLines:
    """Return who tells how a command goes: for people, or as JSON."""
    return LogLines() if form == "json" else Talker()


class LogLines:
    """The watcher of a command whose talk a machine reads: one JSON object a line."""

    def say(self, text: str) -> None:
        """Write what would be a line of talk."""
        self._write("info", "said", text=text)

    def stage(self, name: str, *, total: int = 0) -> None:
        """Write that a stage begins."""
        self._write("info", "stage", stage=name, bytes=total or None)

    def copied(self, table: str, size: int) -> None:
        """Write nothing: there are thousands of blocks."""

    def confirm(self, question: str, answer: str) -> bool:
        """Nobody is there to answer."""
        self._write("warning", "not confirmed", text=question, wanted=answer)
        return False

    def fail(self, error: errors.BluegreenError) -> None:
        """Write the error."""
        self._write(
            "error", "failed", text=error.message, hint=error.hint, exit_code=error.exit_code, kind=type(error).__name__
        )

    def end(self) -> None:
        """Nothing is held back."""

    def _write(self, level: str, event: str, **more: object) -> None:
        line = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "level": level, "event": event, **more}
        tell(printable_json(model.to_json({key: value for key, value in line.items() if value is not None})))


class Talker:
    """The watcher of a command that a person, cron or CI has started."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._bar: ProgressBar[str | None] | None = None
        self._guard = threading.Lock()
        self._pending = 0
        self._drawn = 0.0

    def say(self, text: str) -> None:
        """Write one line."""
        with self._guard:
            if self._bar is not None:
                tell()
            tell(text)

    def stage(self, name: str, *, total: int = 0) -> None:
        """End the bar of the stage before; begin one where the size of the work is known."""
        self.end()
        if self._terminal and total:
            bar = click.progressbar(
                length=total,
                label=printable(name),
                file=sys.stderr,
                show_pos=False,
                show_eta=True,
                item_show_func=lambda item: item if isinstance(item, str) else None,
            )
            bar.__enter__()
            self._bar = bar
            self._begun, self._total = time.monotonic(), 0
        else:
            tell(f"{name} …")

    def copied(self, table: str, size: int) -> None:
        """Move the bar on."""
        with self._guard:
            self._pending += size
            now = time.monotonic()
            if self._bar is not None and now - self._drawn >= _UPDATE:
                self._total += self._pending
                rate = self._total / max(now - self._begun, 0.001) / 1e6
                self._bar.update(self._pending, f"{rate:.1f} MB/s {printable(table)}")
                self._pending, self._drawn = 0, now

    def confirm(self, question: str, answer: str) -> bool:
        """Ask on a terminal; elsewhere nobody can answer."""
        if not sys.stdin.isatty():
            return False
        self.end()
        try:
            return bool(click.prompt(printable(question), err=True, default="", show_default=False) == answer)
        except click.Abort:  # Ctrl-C or the end of input
            tell()
            return False

    def fail(self, error: errors.BluegreenError) -> None:
        """Write the error as one sentence, and its hint, which ends in where more is said."""
        tell(f"bluegreen: error: {error.message}")
        tell(" ".join(["HINT:", *filter(None, [error.hint]), f"(bluegreen explain {type(error).__name__})"]))

    def end(self) -> None:
        """Finish the bar that is drawn."""
        with self._guard:
            if self._bar is not None:
                self._bar.update(self._pending)
                self._bar.__exit__(None, None, None)
                self._bar = None
            self._pending = 0
