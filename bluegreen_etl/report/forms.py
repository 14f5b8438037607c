"""How numbers, sizes, durations and times are written for people, and how tables are drawn."""

from collections.abc import Sequence
from datetime import datetime

import tabulate

Row = Sequence[object]


def table(heads: Sequence[str], rows: Sequence[Row]) -> str:
    """Return rows as a table."""
    # Numbers are shown as they are: tabulate would turn a text "1e5" or "007" into a number.
    if not rows:
        return "(none)"
    return tabulate.tabulate(rows, headers=heads, tablefmt="simple", missingval="", disable_numparse=True)


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
    """Return a duration that may be short."""
    return f"{duration:.2f} s"


def milliseconds(duration: float | None) -> str | None:
    """Return a duration that is short."""
    return None if duration is None else f"{duration * 1000:.1f} ms"


def time(at: datetime | None) -> str | None:
    """Return a time in the zone of this machine."""
    return None if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def count(number: int | str) -> str:
    """Return a number of things with its thousands apart."""
    return f"{int(number):,}"


def change(before: int, after: int) -> str:
    """Return how much a number has grown, in all and as a share."""
    share = f" ({(after - before) / before:+.1%})" if before else ""
    return f"{after - before:+,}{share}"
