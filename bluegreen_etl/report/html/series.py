"""The data of a report's charts: when each release was live, and figures by release."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from bluegreen_etl import model
from bluegreen_etl.commands import report as report_command
from bluegreen_etl.commands.report import Figures
from bluegreen_etl.commands.status import Condition
from bluegreen_etl.model import Direction, Status

_DIED = "its process was killed; the next load or prune drops the release"


class Span(model.Record, frozen=True, kw_only=True):
    """A time in which a release was live; `end` None means now; `left` and `width` are shares of the time line."""

    begin: datetime
    end: datetime | None
    by: Direction | None
    left: float
    width: float


class Lane(model.Record, frozen=True, kw_only=True):
    """A release on the time line: `begun` is the position of its load as a share, `took` the seconds of the load."""

    release: Condition
    status: str
    begun: float
    spans: tuple[Span, ...]
    took: float | None
    failure: str | None
    failed_in: str | None


class Point(model.Record, frozen=True, kw_only=True):
    """A figure of a release, or of a cut-over to it; `height` is its share of the largest of its series."""

    number: int
    value: float | None
    height: float
    live: bool


class Course(model.Record, frozen=True, kw_only=True):
    """A table in all releases; `now` is its load in live or the newest release, `before` in the previous one."""

    table: str
    loads: tuple[tuple[int, model.TableLoad | None], ...]
    rows: tuple[Point, ...]
    bytes: tuple[Point, ...]
    now: model.TableLoad | None
    before: model.TableLoad | None


def begin(report: report_command.Report) -> datetime:
    """Return the start of the time line."""
    shown = {item.number for item in report.figures}
    return min((r.created_at for r in report.state.releases if r.number in shown), default=report.at)


def lanes(report: report_command.Report) -> list[Lane]:
    """Return the releases of the report, the newest first."""
    figures = {item.number: item for item in report.figures}
    spans = list(_spans(report))
    found = []
    for release in reversed(report.state.releases):
        if release.number not in figures:
            continue
        stages = figures[release.number].stages
        unended = [name for name, seconds in stages.items() if seconds is None]
        failure = _DIED if release.dead else release.failure
        found.append(
            Lane(
                release=release,
                status="stale" if release.dead else "failed" if failure else release.status,
                begun=_share(report, release.created_at),
                spans=tuple(span for number, span in spans if number == release.number),
                took=total(figures[release.number]),
                failure=failure,
                failed_in=unended[-1] if unended and failure else None,
            )
        )
    return found


def total(figures: Figures) -> float | None:
    """Return the duration of a load; None if it is unknown, or the load did not end."""
    known = [seconds for seconds in figures.stages.values() if seconds is not None]
    return sum(known) if known and len(known) == len(figures.stages) else None


def complete(report: report_command.Report) -> list[Figures]:
    """Return the figures of the releases whose load has ended."""
    return [item for item in report.figures if item.tables]


def courses(report: report_command.Report) -> list[Course]:
    """Return every table of the releases, the largest first; tables that live lacks come last."""
    figures = complete(report)
    loads = {item.number: {load.table: load for load in item.tables} for item in figures}
    now = loads.get(report.state.live or 0) or (loads[figures[-1].number] if figures else {})
    before = loads.get(report.before or 0, {})
    names = {table for item in loads.values() for table in item}
    found = []
    for name in sorted(names, key=lambda name: (name not in now, -(now[name].rows if name in now else 0), name)):
        own = [(number, tables.get(name)) for number, tables in loads.items()]
        found.append(
            Course(
                table=name,
                loads=tuple(own[::-1]),
                rows=points(report, ((number, load.rows if load else None) for number, load in own)),
                bytes=points(report, ((number, load.bytes if load else None) for number, load in own)),
                now=now.get(name),
                before=before.get(name),
            )
        )
    return found


def points(report: report_command.Report, values: Iterable[tuple[int, float | None]]) -> tuple[Point, ...]:
    """Return a series of figures with their relative heights."""
    known = list(values)
    most = max((value for _, value in known if value is not None), default=0) or 1
    return tuple(
        Point(number=number, value=value, height=(value or 0) / most, live=number == report.state.live)
        for number, value in known
    )


def _spans(report: report_command.Report) -> Iterator[tuple[int, Span]]:
    """Yield when each release was live, oldest first, with its number."""
    releases = {release.number: release for release in report.state.releases}
    moves: list[tuple[int, datetime, Direction | None]] = []
    first = report.cutovers[0].from_number if report.cutovers else report.state.live
    # The release that was live before the first cut-over of the report; an adopted release was never promoted.
    if first is not None:
        since = releases[first].promoted_at or releases[first].created_at
        until = report.cutovers[0].committed_at if report.cutovers else report.at
        moves.append((first, min(since if since < until else begin(report), until), None))
    moves += [(cutover.to_number, cutover.committed_at, cutover.direction) for cutover in report.cutovers]
    ends = [*(at for _, at, _ in moves[1:]), None]
    for (number, at, by), end in zip(moves, ends, strict=False):  # a schema without releases has no moves
        if end is None and releases[number].status is not Status.LIVE:
            continue  # dropped or replaced by hand
        left = _share(report, at)
        yield number, Span(begin=at, end=end, by=by, left=left, width=_share(report, end or report.at) - left)


def _share(report: report_command.Report, at: datetime) -> float:
    start = begin(report)
    whole = (report.at - start).total_seconds() or 1.0
    return min(max((at - start).total_seconds() / whole, 0.0), 1.0)
