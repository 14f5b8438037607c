"""Write a report as one HTML page: self-contained, without scripts, accessible, and readable on phones and paper."""

import importlib.resources
from datetime import datetime
from pathlib import Path
from typing import Any

from bluegreen_etl import atomic_file, errors
from bluegreen_etl.commands import report as report_command
from bluegreen_etl.commands.report import NEWEST
from bluegreen_etl.model import CheckStatus
from bluegreen_etl.report import diff, humanize
from bluegreen_etl.report.html import series
from bluegreen_etl.wording import printable

_TEMPLATE = importlib.resources.files("bluegreen_etl.report.html") / "page.html.jinja"
_BAD = (CheckStatus.FAILED, CheckStatus.BROKEN, CheckStatus.WARNED, CheckStatus.SKIPPED, CheckStatus.PASSED)


def write(file: Path, report: report_command.Report) -> None:
    """Write the page into the file atomically.

    Raises:
        Refused: the file cannot be written.
    """
    try:
        atomic_file.write(file, html(report), mode=0o600)  # it has offending rows
    except OSError as error:
        raise errors.Refused(
            f"could not write the report to {file}: {error.strerror}", hint="Name another file with `--html`."
        ) from error


def html(report: report_command.Report) -> str:
    """Return the page; the template engine escapes all values of the database."""
    import jinja2  # noqa: PLC0415 - slow to import, and only one command needs it

    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,  # not Markup, which is the page's own
    )
    environment.filters |= {
        "count": humanize.count,
        "size": humanize.size,
        "duration": humanize.duration,
        "milliseconds": humanize.milliseconds,
        "moment": _moment,
    }
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(report=report, **_values(report))


def _values(report: report_command.Report) -> dict[str, Any]:
    """Return the values that the template needs in addition to the report."""
    figures = {item.number: item for item in series.complete(report)}
    newest = max(figures, default=None)
    shown = figures.get(report.state.live or 0) or figures.get(newest or 0)
    stages = list(dict.fromkeys(name for item in report.figures for name in item.stages))
    loads = [(item.number, series.total(item)) for item in figures.values()]
    return {
        "zone": report.at.astimezone().strftime("%Z"),
        "ends": _ends(series.begin(report), report.at),
        "lanes": series.lanes(report),
        "courses": series.courses(report),
        "shown": shown,
        "before": figures.get(report.before or 0),
        "rows": sum(load.rows for load in shown.tables) if shown else None,
        "rows_before": sum(load.rows for load in figures[report.before].tables) if report.before in figures else None,
        "bytes": sum(load.bytes for load in shown.tables) if shown else None,
        "took": series.total(shown) if shown else None,
        "loads": series.points(report, loads),
        "stages": stages,
        "held": series.points(report, [(item.to_number, item.held) for item in report.cutovers]),
        "longest": max((item.held for item in report.cutovers if item.held is not None), default=None),
        "checks": [(item.number, sorted(item.checks, key=lambda c: _BAD.index(c.status))) for item in report.checks],
        "changes": diff.groups(report.changes, backwards=True) if report.changes else [],
        "notes": list(diff.notes(report.changes)) if report.changes else [],
        "rejected": [load for load in shown.tables if load.rejected] if shown else [],
        "failures": [lane for lane in series.lanes(report) if lane.failure],
        "change": humanize.change,
        "newest": NEWEST,
    }


def _moment(at: datetime) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M")


def _ends(begin: datetime, end: datetime) -> tuple[str, str]:
    """Return the labels of the time line's ends: days, or times if both are on one day."""
    first, last = _moment(begin), _moment(end)
    return (first[11:], last[11:]) if first[:10] == last[:10] else (first[:10], last[:10])
