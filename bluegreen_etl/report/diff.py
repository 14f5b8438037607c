"""Live beside a release as a table that one reads at a glance: by table, what matters most first."""

import itertools
from collections.abc import Iterator

import msgspec

from bluegreen_etl import model
from bluegreen_etl.commands import diff as diff_command
from bluegreen_etl.commands.diff import Difference
from bluegreen_etl.report import humanize

# What a reader of live would notice first; whatever else differs comes after it.
_RANKS = ("table", "column", "rows", "nulls")


class Line(model.Record, frozen=True, kw_only=True):
    """A difference as it is shown; `change`, from the one to the other, says it in a word or two."""

    what: str
    before: str | None
    after: str | None
    change: str


class Group(model.Record, frozen=True, kw_only=True):
    """What differs in one table."""

    table: str
    lines: tuple[Line, ...]


def groups(diff: diff_command.Diff, *, backwards: bool = False) -> list[Group]:
    """Return the differences by table: what is lost and the structure first, then by how much the rows changed.

    From live to the release; `backwards`, from a release that was live before to the one that is.
    """
    items = list(diff.differences)
    if backwards:
        items = [msgspec.structs.replace(item, live=item.release, release=item.live) for item in items]
    items.sort(key=lambda item: (item.table, _rank(item), item.what))
    found = [list(group) for _, group in itertools.groupby(items, key=lambda item: item.table)]
    found.sort(key=lambda group: (min(map(_weight, group)), group[0].table))
    return [Group(table=group[0].table, lines=tuple(map(_line, group))) for group in found]


def text_of(diff: diff_command.Diff, *, backwards: bool = False) -> str:
    """Return the differences as a table, with what they mean below it."""
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
    """Yield what the table of differences does not say by itself."""
    tables = "1 table" if diff.tables == 1 else f"{diff.tables} tables"
    if not diff.differences:
        yield f"no difference in {tables}"
    if not diff.counted:
        yield "row counts were not compared: those of one of the two are not known, because bluegreen has not loaded it"
    if diff.prepared:
        yield (
            f"SELECT * that clients have prepared fails with SQLSTATE 0A000 on {', '.join(diff.prepared)}: "
            "a column or its type is another one"
        )
    if any(item.what.startswith("nulls ") for item in diff.differences):
        yield "shares of nulls are the planner's estimates"


def _rank(item: Difference) -> int:
    kind = item.what.split(" ", 1)[0]
    if kind in _RANKS:
        return _RANKS.index(kind)
    return _RANKS.index("column") if item.release is None else len(_RANKS)


def _weight(item: Difference) -> tuple[int, float]:
    """Return what a difference is sorted by: its kind, then how much a row count has changed."""
    if item.what != "rows":
        return _rank(item), 0.0
    before, after = int(item.live or 0), int(item.release or 0)
    return _rank(item), -abs(after - before) / max(before, 1)


def _line(item: Difference) -> Line:
    live, release = item.live, item.release
    change = "new" if live is None else "dropped" if release is None else "another type"
    if item.what == "table":
        live, release = (f"{humanize.count(v)} rows" if v and v.isdecimal() else v for v in (live, release))
    elif item.what == "rows" and live and release:
        change = humanize.change(int(live), int(release))
        live, release = humanize.count(live), humanize.count(release)
    elif item.what.startswith("nulls ") and live and release:
        change = f"{float(release.rstrip('%')) - float(live.rstrip('%')):+.1f} points"
    return Line(what=item.what, before=live, after=release, change=change)
