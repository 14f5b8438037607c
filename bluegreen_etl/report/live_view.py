"""Show a running load: redraw in place on a terminal, write one line per refresh elsewhere."""

import shutil
import sys
from collections.abc import Iterator

from bluegreen_etl import model
from bluegreen_etl.commands import watch
from bluegreen_etl.commands.watch import Flow
from bluegreen_etl.report import humanize
from bluegreen_etl.wording import printable, printable_json

_UP = "\x1b[{}A"  # moves the cursor up so many lines
_CLEAR = "\x1b[J"  # clears to the end of the screen


class Screen:
    """Show the progress of a load; each display replaces the previous one."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._terminal = sys.stdout.isatty() and not as_json
        self._drawn = 0

    def show(self, progress: watch.Progress) -> None:
        """Write the progress."""
        if self._terminal:
            width, height = shutil.get_terminal_size()
            # A wrapped line, or a line off the screen, cannot be redrawn.
            lines = [line[: width - 1] for line in printable(text_of(progress)).split("\n")][: height - 1]
            sys.stdout.write((_UP.format(self._drawn) if self._drawn else "") + "\r" + _CLEAR)
            self._drawn = len(lines)
            text = "\n".join(lines)
        else:
            text = printable_json(model.to_json(progress)) if self._as_json else printable(line_of(progress))
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        sys.stdout.flush()


def line_of(progress: watch.Progress) -> str:
    """Return the progress of a load in one line."""
    at = humanize.time(progress.at)
    if progress.status != model.Status.LOADING:
        return f"{at} {_ended(progress)}"
    doing = [f"{each.does or 'something'}{f' {each.table}' if each.table else ''}" for each in progress.sessions]
    busy = "; ".join(sorted({text for text in doing if not text.startswith("idle")}))
    parts = [_stage(progress), *_amounts(progress)]
    return f"{at} release {progress.number}: {', '.join(parts)}{f': {busy}' if busy else ''}"


def text_of(progress: watch.Progress) -> str:
    """Return the progress of a load, by table and by session."""
    if progress.status != model.Status.LOADING:
        return _ended(progress)
    begun = humanize.about(progress.seconds)
    head = f"{progress.schema}, release {progress.number}: {_stage(progress)}, begun {begun} ago"
    parts = [head, *filter(None, [", ".join(_amounts(progress))])]
    # Unfinished tables first: with hundreds of tables, the others may leave the screen.
    tables = sorted(progress.tables.items(), key=lambda item: item[1].done == item[1].total)
    rows = [
        (
            name,
            humanize.size(flow.done),
            humanize.size(flow.total),
            _share(flow.done / flow.total if flow.total else None),
            *_speed(flow),
        )
        for name, flow in tables
    ]
    work = [
        (
            each.pid,
            each.does or "not shown to this role",
            each.table,
            None if each.rows is None else humanize.count(each.rows),
            _share(each.share),
            each.seconds and humanize.about(each.seconds),
        )
        for each in progress.sessions
    ]
    if work:
        parts += ["", humanize.table(("session", "does", "table", "rows", "done", "for"), work)]
    if rows:
        parts += ["", humanize.table(("table", "read", "of", "done", "rate", "left"), rows)]
    return "\n".join(parts)


def _stage(progress: watch.Progress) -> str:
    return f"{progress.stage} for {humanize.about(progress.stage_seconds)}" if progress.stage else "begins"


def _ended(progress: watch.Progress) -> str:
    why = f": {progress.failure}" if progress.failure else ""
    return f"release {progress.number} of {progress.schema} is {progress.status}{why}"


def _amounts(progress: watch.Progress) -> Iterator[str]:
    whole = progress.whole
    if not progress.tables:
        return
    share = f"{_share(whole.done / whole.total)} of " if whole.total else ""
    yield f"{share}{humanize.size(whole.total)} read" if whole.total else f"{humanize.size(whole.done)} read"
    if progress.stage == "copy":
        rate, left = _speed(whole)
        yield rate or "no rate yet"
        yield f"{left} left" if left else "time left unknown"


def _speed(flow: Flow) -> tuple[str | None, str | None]:
    """Return the rate and the time left; None if unknown or finished."""
    if flow.done == flow.total or not flow.rate:
        return None, None
    return f"{humanize.size(round(flow.rate))}/s", None if flow.left is None else humanize.about(flow.left)


def _share(share: float | None) -> str | None:
    return None if share is None else f"{min(share, 1):.0%}"
