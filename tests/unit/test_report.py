"""Outcomes as tables and as JSON."""

import importlib
import inspect
import json
import pkgutil
import re
from datetime import timedelta
from typing import get_type_hints
from uuid import UUID

import msgspec
import pytest

from bluegreen_etl import commands, model
from bluegreen_etl.commands import diff as diff_command
from bluegreen_etl.commands import history, load, promote, protect
from bluegreen_etl.commands import status as status_command
from bluegreen_etl.commands.diff import Difference
from bluegreen_etl.commands.status import Condition
from bluegreen_etl.ledger import Event
from bluegreen_etl.model import CheckResult, CheckStatus, Direction, Release, Severity, Status, StructureFrom
from bluegreen_etl.releases import lifecycle, retention, verify
from bluegreen_etl.releases.context import Context
from bluegreen_etl.report import text
from tests.records import NOON, release

AT = NOON.astimezone().strftime("%Y-%m-%d %H:%M:%S")
FILE = model.SourceFile(
    path="data/teams.csv.gz",
    table="teams",
    format=model.Format.CSV,
    compression=model.Compression.GZIP,
    size=1234,
)
CUTOVER = model.Cutover(
    live_schema="league",
    direction=Direction.PROMOTE,
    to_number=2,
    from_number=1,
    committed_at=NOON,
    held=0.0042,
    tries=3,
    waited=0.5,
    by="ann",
    token=UUID(int=7),
    via=model.Via.LOCKS,
    lsn="0/15D6A30",
)


def cells(outcome: object) -> list[list[str]]:
    """Return a table's cells, line by line, the rule below its heads left out."""
    lines = text.text_of(outcome).splitlines()
    return [re.split(r" {2,}", line.strip()) for line in lines if line.strip("- ")]


def loaded() -> lifecycle.Loaded:
    """A load of two tables."""
    tables = [
        model.TableLoad(table=name, files=1, rows=rows, bytes=size, seconds=0.126, frozen=True)
        for name, rows, size in (("teams", 2, 999), ("players", 1000, 12_345_678))
    ]
    return lifecycle.Loaded(
        schema="league", release=release(2), structure=StructureFrom.LIVE, files=(FILE,), tables=tuple(tables)
    )


def test_a_load_is_shown_by_table() -> None:
    """Sorted by name, sizes in decimal units."""
    assert cells(loaded()) == [
        ["table", "rows", "files", "size", "seconds"],
        ["players", "1000", "1", "12.3 MB", "0.13 s"],
        ["teams", "2", "1", "999 B", "0.13 s"],
    ]


def test_a_dry_run_shows_the_files() -> None:
    """What would be loaded, and how it is read."""
    dry = load.LoadPreview(schema="league", structure=StructureFrom.FILES, files=(FILE,))
    assert cells(dry) == [
        ["table", "file", "format", "compression", "size"],
        ["teams", "data/teams.csv.gz", "csv", "gz", "1.2 kB"],
    ]
    unknown = msgspec.structs.replace(FILE, size=None)
    assert cells(msgspec.structs.replace(dry, files=(unknown,)))[1][-1] == "unknown"


def test_a_cutover_says_how_long_readers_were_held() -> None:
    """And what was pruned after it."""
    assert cells(promote.Promoted(schema="league", cutover=CUTOVER, pruned=(1, 3))) == [
        ["schema", "live", "before", "readers blocked", "tries", "waited for locks", "pruned"],
        ["league", "2", "1", "4.2 ms", "3", "0.50 s", "1, 3"],
    ]


def test_a_dry_run_of_promote_is_its_script() -> None:
    """stdout can be piped into psql."""
    assert text.text_of(promote.Promoted(schema="league", script="BEGIN;\nCOMMIT;\n")) == "BEGIN;\nCOMMIT;\n"


def test_load_with_promote_shows_both() -> None:
    """One below the other."""
    promoted = promote.Promoted(schema="league", cutover=CUTOVER)
    both = text.text_of(promote.Released(loaded=loaded(), promoted=promoted))
    assert both == text.text_of(loaded()) + "\n\n" + text.text_of(promoted)


def result(**values: object) -> CheckResult:
    """A failed check with two rows, except for what is given."""
    standard = {
        "name": "shirts",
        "table": "players",
        "severity": Severity.ERROR,
        "status": CheckStatus.FAILED,
        "failures": 2,
        "seconds": 0.004,
        "columns": ("id", "shirt"),
        "sample": (("007", "1e5"), (None, "12,5")),
    }
    return CheckResult(**{**standard, **values})  # type: ignore[arg-type] # the test gives what the record wants


def test_checks_show_offending_rows_as_they_are() -> None:
    """A text that looks like a number is not turned into one."""
    assert cells(verify.Checked(schema="league", number=2, checks=(result(),))) == [
        ["check", "table", "severity", "status", "failures", "seconds", "first offending rows"],
        ["shirts", "players", "error", "failed", "2", "0.00 s", "id=007, shirt=1e5"],
        ["id=null, shirt=12,5"],
    ]


def test_a_broken_check_shows_its_message() -> None:
    """It has no rows to show."""
    broken = result(status=CheckStatus.BROKEN, failures=0, sample=(), message="a.sql, line 1: no such table")
    assert cells(verify.Checked(schema="league", number=2, checks=(broken,)))[1][-1] == "a.sql, line 1: no such table"


def test_no_rows_are_no_table() -> None:
    """A head above nothing says nothing."""
    assert text.text_of(verify.Checked(schema="league", number=2, checks=())) == "(none)"


def condition(number: int, status: Status, **values: object) -> Condition:
    """A release as `status` knows it."""
    standard = {
        "number": number,
        "status": status,
        "schema": f"league__r{number}",
        "rows": None,
        "rejected": None,
        "created_at": NOON,
        "created_by": "ann",
        "ready_at": None,
        "promoted_at": None,
        "dead": False,
        "failure": None,
        "open_until": None,
        "parts": None,
    }
    return Condition(**{**standard, **values})  # type: ignore[arg-type] # as above


def state(**values: object) -> status_command.State:
    """A schema with a live, a dead and a failed release."""
    standard = {
        "schema": "1e5",
        "database": "007",
        "server": "PostgreSQL 18.6",
        "connection": "--dsn",
        "environment": None,
        "protected": True,
        "live": 1,
        "drifted": False,
        "releases": (
            condition(1, Status.LIVE, schema="1e5", rows=3, promoted_at=NOON),
            condition(2, Status.LOADING, dead=True),
            condition(3, Status.FAILED, schema=None, failure="1e5"),
        ),
    }
    return status_command.State(**{**standard, **values})  # type: ignore[arg-type] # as above


def test_status_shows_target_and_releases() -> None:
    """Names that look like numbers included."""
    assert cells(state()) == [
        ["schema", "1e5"],
        ["live release", "1"],
        ["database", "007 on PostgreSQL 18.6, protected"],
        ["connection", "--dsn"],
        ["environment", "none"],
        ["release", "status", "schema", "rows", "begun", "by", "promoted", "failure"],
        ["1", "live", "1e5", "3", AT, "ann", AT],
        ["2", "stale", "league__r2", AT, "ann"],
        ["3", "failed", AT, "ann", "1e5"],
    ]


def test_status_calls_attention_to_a_schema_replaced_by_hand() -> None:
    """And says so when nothing is live."""
    shown = text.text_of(state(drifted=True, live=None, protected=False, releases=()))
    assert "attention" in shown
    assert re.search(r"live release +none\n", shown)
    assert "protected" not in shown
    assert shown.endswith("\n\n(none)")


def test_history_gives_each_cutover_its_time() -> None:
    """Also when both fall into one second, and in spite of the events between them."""
    kinds = ["load began", "ready", "promoted", "pruned", "rolled back to"]
    events = tuple(Event(at=NOON, number=2, kind=kind, by="ann", detail="1e5") for kind in kinds)
    back = model.Cutover(
        live_schema="league",
        direction=Direction.ROLLBACK,
        to_number=1,
        from_number=2,
        committed_at=NOON + timedelta(seconds=2),
        held=None,
        tries=1,
        waited=0,
        by="ann",
        token=UUID(int=8),
        via=model.Via.LOCKS,
        lsn=None,
    )
    assert cells(history.History(schema="league", events=events, cutovers=(CUTOVER, back))) == [
        ["when", "release", "what", "by", "detail", "readers blocked"],
        [AT, "2", "load began", "ann", "1e5"],
        [AT, "2", "ready", "ann", "1e5"],
        [AT, "2", "promoted", "ann", "1e5", "4.2 ms"],
        [AT, "2", "pruned", "ann", "1e5"],
        [AT, "2", "rolled back to", "ann", "1e5"],
    ]


def test_a_diff_is_shown_next_to_live() -> None:
    """By table, the most important first; what one side lacks is empty, and the meaning follows below."""
    differences = (
        Difference(table="cups", what="rows", live="1000", release="999"),
        Difference(table="goals", what="rows", live="0", release="7"),
        Difference(table="old", what="table", live="1234567", release=None),
        Difference(table="players", what="nulls in born", live="1.0%", release="12.5%"),
        Difference(table="players", what="rows", live="1000", release="1500"),
        Difference(table="teams", what="column shirt", live=None, release="007"),
        Difference(table="teams", what="index (name)", live="there", release=None),
        Difference(table="teams", what="rows", live="2", release="3"),
        Difference(table="teams", what="column born", live="date", release="text"),
    )
    diff = diff_command.Diff(schema="league", number=2, differences=differences, prepared=("squads", "teams"), tables=9)
    assert cells(diff) == [
        ["table", "what", "live", "release 2", "change"],
        ["old", "table", "1,234,567 rows", "dropped"],
        ["teams", "column born", "date", "text", "another type"],
        ["column shirt", "007", "new"],
        ["index (name)", "there", "dropped"],
        ["rows", "2", "3", "+1 (+50.0%)"],
        ["goals", "rows", "0", "7", "+7"],
        ["players", "rows", "1,000", "1,500", "+500 (+50.0%)"],
        ["nulls in born", "1.0%", "12.5%", "+11.5 points"],
        ["cups", "rows", "1,000", "999", "-1 (-0.1%)"],
        [
            "SELECT * that clients have prepared fails with SQLSTATE 0A000 on squads, teams: "
            "a column or its type has changed"
        ],
        ["shares of nulls are estimates of the planner"],
    ]
    assert cells(diff_command.Diff(schema="league", number=2, differences=(), tables=1)) == [
        ["no difference in 1 table"]
    ]


def test_prune_says_what_became_of_each_release() -> None:
    """The reason of those that could not be dropped included."""
    assert cells(retention.Pruned(schema="league", dropped=(1,), kept=(3,), refused={2: "in use"})) == [
        ["release", "what", "why"],
        ["1", "dropped"],
        ["2", "not dropped", "in use"],
        ["3", "kept"],
    ]


@pytest.mark.parametrize(("protected", "shown"), [(True, "yes"), (False, "no")])
def test_protection_is_yes_or_no(protected: bool, shown: str) -> None:
    """A database called 007 keeps its name."""
    assert cells(protect.Protection(database="007", protected=protected))[1] == ["007", shown]


def test_a_rehearsal_tells_how_long_readers_would_be_held() -> None:
    """As a cut-over does, under another head."""
    rehearsal = model.Rehearsal(
        live_schema="league",
        direction=Direction.PROMOTE,
        to_number=2,
        held=0.0042,
        tries=3,
        waited=0.5,
        via=model.Via.LOCKS,
    )
    shown = cells(promote.Promoted(schema="league", rehearsal=rehearsal))
    assert shown[0] == ["schema", "rehearsed", "readers blocked", "tries", "waited for locks"]
    assert shown[1] == ["league", "2", "4.2 ms", "3", "0.50 s"]


def test_json_is_the_record_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """Durations in seconds, sizes in bytes, times with their zone, one object."""
    text.show(promote.Promoted(schema="league", cutover=CUTOVER), as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "schema": "league",
        "cutover": {
            "live_schema": "league",
            "direction": "promote",
            "to_number": 2,
            "from_number": 1,
            "committed_at": "2026-01-02T12:00:00Z",
            "held": 0.0042,
            "tries": 3,
            "waited": 0.5,
            "by": "ann",
            "token": "00000000-0000-0000-0000-000000000007",
            "via": "locks",
            "lsn": "0/15D6A30",
        },
        "pruned": [],
        "replicas": [],
        "script": None,
        "rehearsal": None,
    }


def test_every_outcome_has_a_table() -> None:
    """Whatever a command returns can be shown."""
    modules = [
        importlib.import_module(f"{commands.__name__}.{found.name}")
        for found in pkgutil.iter_modules(commands.__path__)
    ]
    functions = [each for module in modules for _, each in inspect.getmembers(module, inspect.isfunction)]
    public = [each for each in functions if each.__module__.startswith(commands.__name__) and each.__name__[0] != "_"]
    hints = [get_type_hints(each) for each in public]
    kinds = {hint["return"] for hint in hints if hint.get("context") is Context}
    outcomes = {kind for kind in kinds if isinstance(kind, type) and issubclass(kind, model.Record)} - {Release}
    assert len(outcomes) > 12
    assert [kind.__name__ for kind in outcomes if kind not in text.text_of.registry] == []
    with pytest.raises(TypeError):
        text.text_of(object())


def test_output_ends_with_one_line_end(capsys: pytest.CaptureFixture[str]) -> None:
    """A script is not followed by an empty line."""
    text.show(promote.Promoted(schema="league", script="COMMIT;\n"), as_json=False)
    assert capsys.readouterr().out == "COMMIT;\n"
