"""The state of a live schema as text: the head of `status`, results of checks, and a short report."""

from collections.abc import Iterable, Iterator
from textwrap import shorten

from bluegreen_etl import model
from bluegreen_etl.commands import report as report_command
from bluegreen_etl.commands import status
from bluegreen_etl.model import CheckResult, CheckStatus
from bluegreen_etl.report import diff, humanize
from bluegreen_etl.report.html import series
from bluegreen_etl.wording import counted

_SHOWN = 10  # cut-overs and failures


def head(state: status.State) -> str:
    """Return the database and its live release."""
    lines = [
        ("schema", state.schema),
        ("live release", state.live if state.live is not None else "none"),
        ("database", f"{state.database} on {state.server}{', protected' if state.protected else ''}"),
        ("connection", state.connection),
        ("environment", f"{state.environment}, by {state.environment_origin}" if state.environment else "none"),
    ]
    if state.drifted:
        lines.append(("attention", "the live schema is not the one that the ledger says is live"))
    lines += [("attention", doubt) for doubt in state.doubts]
    if state.unvalidated:
        keys = ", ".join(state.unvalidated)
        lines.append(("attention", f"not validated, the next promote or rollback retries: foreign key {keys}"))
    lines += [("replica", str(replica)) for replica in state.replicas]
    lines += [
        (
            "open for parts",
            f"release {item.number}, with {counted(item.parts or 0, 'part')}, until {humanize.time(item.open_until)}",
        )
        for item in state.releases
        if item.open_until
    ]
    return humanize.plain(lines)


def checks(results: Iterable[CheckResult]) -> str:
    """Return the results of checks as a table."""
    rows = [
        (
            check.name,
            check.table,
            check.severity,
            check.status,
            check.failures,
            humanize.seconds(check.seconds),
            check.message or model.rows_shown(check),
        )
        for check in results
    ]
    return humanize.table(("check", "table", "severity", "status", "failures", "seconds", "first offending rows"), rows)


def text_of(report: report_command.Report) -> str:
    """Return a short report: the live release, the newest cut-overs and the failures."""
    return "\n\n".join([head(report.state), *_sections(report)])


def _sections(report: report_command.Report) -> Iterator[str]:
    courses = [course for course in series.courses(report) if course.now]
    if courses:
        yield _titled("tables", _tables(courses))
    if report.changes:
        title = f"from release {report.changes.number}, which was live before, to live"
        yield _titled(title, diff.text_of(report.changes, backwards=True))
    for checked in report.checks:
        bad = [check for check in checked.checks if check.status is not CheckStatus.PASSED]
        title = f"checks of release {checked.number}: {len(checked.checks) - len(bad)} of {len(checked.checks)} passed"
        yield _titled(title, checks(bad) if bad else "")
    shown = next((item for item in report.figures if item.number == report.state.live), None)
    if shown and shown.stages:
        stages = [(name, seconds and humanize.seconds(seconds)) for name, seconds in shown.stages.items()]
        yield _titled(f"load of release {shown.number}", humanize.plain(stages))
    if report.cutovers:
        yield _titled("promotes and rollbacks, the newest last", _cutovers(report))
    failures = [lane for lane in series.lanes(report) if lane.failure][:_SHOWN]
    if failures:
        rows = [
            (lane.release.number, humanize.time(lane.release.created_at), lane.failed_in, _short(lane.failure))
            for lane in failures
        ]
        yield _titled("failed loads, the newest first", humanize.table(("release", "begun", "stage", "failure"), rows))


def _tables(courses: Iterable[series.Course]) -> str:
    rows = [
        (
            course.table,
            humanize.count(course.now.rows),
            course.now.rejected,
            humanize.change(course.before.rows, course.now.rows) if course.before else None,
            humanize.size(course.now.bytes),
            humanize.seconds(course.now.seconds),
        )
        for course in courses
        if course.now
    ]
    return humanize.table(("table", "rows", "rejected", "change", "size", "seconds"), rows, optional="rejected")


def _cutovers(report: report_command.Report) -> str:
    rows = [
        (
            humanize.time(item.committed_at),
            item.direction,
            item.from_number,
            item.to_number,
            humanize.milliseconds(item.held),
            item.by,
        )
        for item in report.cutovers[-_SHOWN:]
    ]
    return humanize.table(("when", "what", "from", "to", "readers blocked", "by"), rows)


def _titled(title: str, text: str) -> str:
    return f"{title}\n{text}".rstrip()


def _short(text: str | None) -> str:
    return shorten(text or "", 100, placeholder=" …")
