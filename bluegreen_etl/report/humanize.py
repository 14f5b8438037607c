"""Format numbers, sizes, durations, times and tables for people."""

from collections.abc import Sequence
from datetime import datetime

import tabulate

from bluegreen_etl.wording import printable

Row = Sequence[object]


def table(heads: Sequence[str], rows: Sequence[Row], *, optional: str | None = None) -> str:
    """Return rows as a table, without the column `optional` if it is empty in every row."""
    if not rows:
        return "(none)"
    place = heads.index(optional) if optional else 0
    if optional and not any(row[place] for row in rows):
        heads, rows = [*heads[:place], *heads[place + 1 :]], [[*row[:place], *row[place + 1 :]] for row in rows]
    # Texts stay as they are: tabulate would turn "1e5" or "007" into a number.
    return tabulate.tabulate(_printable(rows), headers=heads, tablefmt="simple", missingval="", disable_numparse=True)


def plain(rows: Sequence[Row]) -> str:
    """Return rows of a name and a value, without a header."""
    return tabulate.tabulate(_printable(rows), tablefmt="plain", missingval="", disable_numparse=True)


def _printable(rows: Sequence[Row]) -> list[list[object]]:
    """Return the rows with escaped control characters, so that columns get the width of the shown text."""
    return [[printable(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]


def size(count: int | None) -> str:
    """Return a number of bytes in decimal units."""
    if count is None:
        return "unknown"
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def seconds(duration: float) -> str:
    """Return a duration in seconds with two decimals."""
    return f"{duration:.2f} s"


def milliseconds(duration: float | None) -> str | None:
    """Return a duration in milliseconds; None if it is unknown."""
    return None if duration is None else f"{duration * 1000:.1f} ms"


def time(at: datetime | None) -> str | None:
    """Return a time in the local time zone."""
    return None if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def count(number: int | str) -> str:
    """Return a number with thousands separators."""
    return f"{int(number):,}"


def change(before: int, after: int) -> str:
    """Return the change of a number, absolute and as a share."""
    share = f" ({(after - before) / before:+.1%})" if before else ""
    return f"{after - before:+,}{share}"


def duration(length: float) -> str:
    """Return a duration with a precision that fits its length."""
    return f"{length:.2f} s" if length < 10 else about(length)


def about(length: float) -> str:
    """Return a duration rounded to the second."""
    if length < 59.5:
        return f"{length:.0f} s"
    minutes, rest = divmod(round(length), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
