"""Messages and progress on stderr: a bar on a terminal, plain lines elsewhere."""

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

_UPDATE = 0.1  # seconds between two updates of the bar


def write_line(text: str = "") -> None:
    """Write one line to stderr; a closed stderr changes nothing."""
    with contextlib.suppress(OSError):
        click.echo(printable(text), err=True)


def listener(form: str) -> TextProgress | JsonProgress:
    """Return the watcher that reports the progress of a command, as text or as JSON."""
    return JsonProgress() if form == "json" else TextProgress()


class JsonProgress:
    """The watcher for machines: write one JSON object a line."""

    def say(self, text: str) -> None:
        """Write a message."""
        self._write("info", "said", text=text)

    def stage(self, name: str, *, total: int = 0) -> None:
        """Write that a stage begins."""
        self._write("info", "stage", stage=name, bytes=total or None)

    def copied(self, table: str, size: int) -> None:
        """Write nothing: a load has thousands of blocks."""

    def confirm(self, question: str, answer: str) -> bool:
        """Return False: nobody can answer."""
        self._write("warning", "not confirmed", text=question, wanted=answer)
        return False

    def fail(self, error: errors.BluegreenError) -> None:
        """Write the error."""
        self._write(
            "error", "failed", text=error.message, hint=error.hint, exit_code=error.exit_code, kind=type(error).__name__
        )

    def end(self) -> None:
        """Do nothing: every line is already written."""

    def _write(self, level: str, event: str, **more: object) -> None:
        line = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "level": level, "event": event, **more}
        write_line(printable_json(model.to_json({key: value for key, value in line.items() if value is not None})))


class TextProgress:
    """The watcher for people: write text, and a progress bar on a terminal."""

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
                write_line()
            write_line(text)

    def stage(self, name: str, *, total: int = 0) -> None:
        """End the bar of the previous stage; draw a new one if the size of the work is known."""
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
            write_line(f"{name} …")

    def copied(self, table: str, size: int) -> None:
        """Advance the bar."""
        with self._guard:
            self._pending += size
            now = time.monotonic()
            if self._bar is not None and now - self._drawn >= _UPDATE:
                self._total += self._pending
                rate = self._total / max(now - self._begun, 0.001) / 1e6
                self._bar.update(self._pending, f"{rate:.1f} MB/s {printable(table)}")
                self._pending, self._drawn = 0, now

    def confirm(self, question: str, answer: str) -> bool:
        """Ask on a terminal; return False elsewhere."""
        if not sys.stdin.isatty():
            return False
        self.end()
        try:
            return bool(click.prompt(printable(question), err=True, default="", show_default=False) == answer)
        except click.Abort:  # Ctrl-C or the end of input
            write_line()
            return False

    def fail(self, error: errors.BluegreenError) -> None:
        """Write the error as one sentence, and its hint, which ends with the command that explains the error."""
        write_line(f"bluegreen: error: {error.message}")
        write_line(" ".join(["HINT:", *filter(None, [error.hint]), f"(bluegreen explain {type(error).__name__})"]))

    def end(self) -> None:
        """End the bar."""
        with self._guard:
            if self._bar is not None:
                self._bar.update(self._pending)
                self._bar.__exit__(None, None, None)
                self._bar = None
            self._pending = 0
