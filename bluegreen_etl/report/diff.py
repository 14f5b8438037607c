"""The differences between live and a release, by table, the most important first."""

import itertools
from collections.abc import Iterator

import msgspec

from bluegreen_etl import model
from bluegreen_etl.commands import diff as diff_command
from bluegreen_etl.commands.diff import Difference
from bluegreen_etl.report import humanize
from bluegreen_etl.wording import counted

# The differences that a reader of live notices first; all others come after them.
_RANKS = ("table", "column", "rows", "nulls")


class Line(model.Record, frozen=True, kw_only=True):
    """A difference as it is shown; `change` summarises it in a word or two."""

    what: str
    before: str | None
    after: str | None
    change: str


class Group(model.Record, frozen=True, kw_only=True):
    """The differences of one table."""

    table: str
    lines: tuple[Line, ...]


def groups(diff: diff_command.Diff, *, backwards: bool = False) -> list[Group]:
    """Return the differences by table: losses and structure first, then the largest changes of row counts.

    From live to the release; if `backwards`, from a previous release to live.
    """
    items = list(diff.differences)
    if backwards:
        items = [msgspec.structs.replace(item, live=item.release, release=item.live) for item in items]
    items.sort(key=lambda item: (item.table, _rank(item), item.what))
    found = [list(group) for _, group in itertools.groupby(items, key=lambda item: item.table)]
    found.sort(key=lambda group: (min(map(_weight, group)), group[0].table))
    return [Group(table=group[0].table, lines=tuple(map(_line, group))) for group in found]


def text_of(diff: diff_command.Diff, *, backwards: bool = False) -> str:
    """Return the differences as a table, with notes below it."""
    sides = ("live", f"release {diff.number}")
    heads = ("table", "what", *(reversed(sides) if backwards else sides), "change")
    rows = [
        ("" if number else group.table, line.what, line.before, line.after, line.change)
        for group in groups(diff, backwards=backwards)
        for number, line in enumerate(group.lines)
    ]
    parts = [humanize.table(heads, rows)] if rows else []
    return "\n\n".join([*parts, *notes(diff)])


def notes(diff: diff_command.Diff) -> Iterator[str]:
    """Yield the notes that explain the table of differences."""
    if not diff.differences:
        yield f"no difference in {counted(diff.tables, 'table')}"
    if not diff.counted:
        yield "row counts were not compared: bluegreen did not load one of the two, so its counts are unknown"
    if not diff.defined:
        yield "definitions of objects were not compared: a session holds a table of live exclusively"
    if diff.prepared:
        yield (
            f"SELECT * that clients have prepared fails with SQLSTATE 0A000 on {', '.join(diff.prepared)}: "
            "a column or its type has changed"
        )
    if any(item.what.startswith("nulls ") for item in diff.differences):
        yield "shares of nulls are estimates of the planner"


def _rank(item: Difference) -> int:
    kind = item.what.split(" ", 1)[0]
    if kind in _RANKS:
        return _RANKS.index(kind)
    return _RANKS.index("column") if item.release is None else len(_RANKS)


def _weight(item: Difference) -> tuple[int, float]:
    """Return the sort key of a difference: its kind, then the change of a row count."""
    if item.what != "rows":
        return _rank(item), 0.0
    before, after = int(item.live or 0), int(item.release or 0)
    return _rank(item), -abs(after - before) / max(before, 1)


def _rows(number: str) -> str:
    return "1 row" if number == "1" else f"{humanize.count(number)} rows"


def _line(item: Difference) -> Line:
    live, release = item.live, item.release
    change = "new" if live is None else "dropped" if release is None else "differs"
    if item.what == "table":
        live, release = (_rows(v) if v and v.isdecimal() else v for v in (live, release))
    elif item.what == "rows" and live and release:
        change = humanize.change(int(live), int(release))
        live, release = humanize.count(live), humanize.count(release)
    elif item.what.startswith("column "):
        change = "another type" if live and release else change
    elif item.what.startswith("nulls ") and live and release:
        change = f"{float(release.rstrip('%')) - float(live.rstrip('%')):+.1f} points"
    return Line(what=item.what, before=live, after=release, change=change)
