"""Reports for tests, of any size, with names and values that could break an HTML page."""

from datetime import timedelta
from uuid import UUID

from bluegreen_etl import model
from bluegreen_etl.commands import diff
from bluegreen_etl.commands import report as report_command
from bluegreen_etl.commands import status as status_command
from bluegreen_etl.commands.diff import Difference
from bluegreen_etl.commands.report import NEWEST, NEWEST_CUTOVERS, Figures
from bluegreen_etl.commands.status import Condition
from bluegreen_etl.model import CheckResult, CheckStatus, Direction, Severity, Status
from bluegreen_etl.releases import verify
from tests.records import NOON

EVIL = '"><script>document.title = "evil"</script><img src=x onerror="document.title=1">{{ 7 * 7 }}'
LONG = "an_unbroken_name_of_" + "x" * 43


def report(releases: int, tables: int = 3, *, name: str = "league") -> report_command.Report:
    """Return a report of nightly loads: every seventh load fails, every tenth swap is a rollback."""
    names = [f"table_{number}" for number in range(tables - 2)] + [EVIL, LONG][: min(tables, 2)]
    states = [_condition(number, live=number == releases) for number in range(1, releases + 1)]
    whole = [state.number for state in states if not state.failure]
    cutovers = [_cutover(old, new) for old, new in zip([None, *whole], whole, strict=False)]
    told = states[-NEWEST:]
    return report_command.Report(
        at=NOON + timedelta(days=releases, hours=3),
        version="1.2.3",
        state=status_command.State(
            schema=name,
            database="app",
            server="PostgreSQL 18.6",
            connection="--dsn",
            environment="production",
            protected=True,
            live=releases or None,
            drifted=False,
            releases=tuple(states),
        ),
        live_since=NOON + timedelta(days=releases, hours=1) if releases else None,
        before=whole[-2] if len(whole) > 1 else None,
        figures=tuple(_figures(state, names) for state in told),
        cutovers=tuple(cutovers[-NEWEST_CUTOVERS:]),
        checks=(_checked(name, releases),) if releases else (),
        changes=_changes(name, whole[-2]) if len(whole) > 1 else None,
        releases_left_out=len(states) - len(told),
        cutovers_left_out=max(len(cutovers) - NEWEST_CUTOVERS, 0),
    )


def _condition(number: int, *, live: bool) -> Condition:
    failed = number % 7 == 0 and not live
    begun = NOON + timedelta(days=number)
    return Condition(
        number=number,
        status=Status.LIVE if live else Status.PRUNED,
        schema="league" if live else None,
        rows=None if failed else number * 1000,
        rejected=None if failed else number % 3,
        created_at=begun,
        created_by=EVIL if number % 5 == 0 else "nightly",
        ready_at=None if failed else begun + timedelta(minutes=40),
        promoted_at=None if failed else begun + timedelta(hours=1),
        dead=False,
        failure=f"data/players.csv, line 5: invalid input syntax for type integer: {EVIL}" if failed else None,
        open_until=None,
        parts=None,
    )


def _figures(state: Condition, names: list[str]) -> Figures:
    number = state.number
    if state.failure:
        return Figures(number=number, tables=(), stages={"structure": 0.5, "copy": None})
    loads = [
        model.TableLoad(
            table=name,
            files=1,
            rows=number * 1000 + place,
            bytes=number * 12_345 if place else 0,
            seconds=place / 3,
            frozen=True,
            rejected=number % 3 if place == 1 else 0,
            rejects=EVIL if place == 1 and number % 3 else None,
        )
        for place, name in enumerate(names)
    ]
    stages: dict[str, float | None] = {"structure": 0.5, "copy": 90.0 + number, "finish": 42.0, "check": 3723.0}
    return Figures(number=number, tables=tuple(loads), stages=stages)


def _cutover(old: int | None, new: int) -> model.Cutover:
    return model.Cutover(
        live_schema="league",
        direction=Direction.ROLLBACK if new % 10 == 0 else Direction.PROMOTE,
        to_number=new,
        from_number=old,
        committed_at=NOON + timedelta(days=new, hours=1),
        held=None if new % 9 == 0 else 0.001 * new,
        tries=1,
        waited=0.25,
        by="nightly",
        token=UUID(int=new),
        via=model.Via.LOCKS,
        lsn=None,
    )


def _checked(schema: str, number: int) -> verify.Checked:
    results = [
        CheckResult(
            name=f"{status} {EVIL if status == CheckStatus.FAILED else ''}",
            table=None,
            severity=Severity.ERROR,
            status=status,
            failures=2 if columns else 0,
            seconds=0.25,
            columns=columns,
            sample=(("1", EVIL), ("2", None)) if columns else (),
            message=EVIL if status == CheckStatus.BROKEN else None,
        )
        for status in CheckStatus
        for columns in [("id", EVIL) if status in {CheckStatus.FAILED, CheckStatus.WARNED} else ()]
    ]
    return verify.Checked(schema=schema, number=number, checks=tuple(results))


def _changes(schema: str, number: int) -> diff.Diff:
    differences = (
        Difference(table=EVIL, what=f"column {EVIL}", live="text", release=EVIL),
        Difference(table="new_one", what="table", live="12", release=None),
        Difference(table="players", what="rows", live="1500", release="1000"),
        Difference(table="players", what="nulls in born", live="12.5%", release="1.0%"),
        Difference(table="teams", what="index (name)", live=None, release="there"),
    )
    return diff.Diff(schema=schema, number=number, differences=differences, prepared=(EVIL,), tables=4)
