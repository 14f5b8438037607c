"""The library as a program uses it: a release filled from Python, promoted at the end or discarded."""

import datetime
from collections.abc import Callable
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest
from psycopg.rows import TupleRow

import bluegreen_etl
from bluegreen_etl import errors
from tests.concurrency import scene
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
TEAMS = [{"id": 1, "name": "Ajax"}, {"id": 2, "name": "Łódź \t\\N"}]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a directory without a bluegreen.toml, and without the developer's own variables."""
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "BLUEGREEN_DSN", "BLUEGREEN_SCHEMA"):
        monkeypatch.delenv(name, raising=False)


def test_rows_arrow_files_and_sql_fill_a_release_that_is_promoted_at_the_end(
    bluegreen: Bluegreen, live: Live, connection: Connection
) -> None:
    """All kinds of data fill one release; live shows nothing before the end, and keeps its structure after it."""
    before, definition = live.dump(), live.definition()
    bluegreen.write("more.csv", "id,team_id,name\n7,2,seven\n")
    arrow = pa.table({"team_id": [1], "name": ["Ann"], "born": [datetime.date(1999, 2, 28)]})
    with bluegreen_etl.release(live.dsn, schema="league") as release:
        assert release.copy("teams", TEAMS) == 2
        assert release.copy("teams", iter([(3, "three")])) == 1
        assert release.copy("players", arrow) == 1
        assert release.copy("players", bluegreen.directory / "more.csv") == 1
        assert release.copy("players", []) == 0
        release.connection.execute("UPDATE players SET note = 'x' WHERE id = 7")
        assert live.dump() == before
        assert release.schema == "league__r2"
    assert live.definition() == definition
    assert connection.execute("SELECT name FROM league.teams ORDER BY id").fetchall() == [
        ("Ajax",),
        ("Łódź \t\\N",),
        ("three",),
    ]
    rows = connection.execute("SELECT id, name, born::text, note FROM league.players ORDER BY id").fetchall()
    assert rows == [(1, "Ann", "1999-02-28", None), (7, "seven", None, "x")]
    assert release.loaded is not None
    assert release.loaded.files[0].sha256
    assert {load.table: load.rows for load in release.loaded.tables} == {"players": 2, "teams": 3}
    assert connection.execute("SELECT path FROM bluegreen.source").fetchone() == (
        str(bluegreen.directory / "more.csv"),
    )
    assert release.promoted is not None


def test_exception_in_the_block_discards_the_release(live: Live, connection: Connection) -> None:
    """It comes out as it was raised, live is untouched, and nothing of the release is left."""
    before = live.dump()
    with pytest.raises(psycopg.errors.UndefinedTable), bluegreen_etl.release(live.dsn, schema="league") as release:
        release.connection.execute("SELECT %s FROM nowhere", (release.copy("teams", TEAMS),))
    with pytest.raises(KeyboardInterrupt), bluegreen_etl.release(live.dsn, schema="league"):
        raise KeyboardInterrupt
    assert live.dump() == before
    assert scene.statuses(connection) == {1: "live", 2: "pruned", 3: "failed"}
    scene.assert_whole(connection)


def test_release_that_is_not_promoted_is_ready(live: Live, connection: Connection) -> None:
    """As after `load` without --promote."""
    with bluegreen_etl.release(live.dsn, schema="league", promote=False) as release:
        release.copy("teams", TEAMS)
        release.copy("players", [{"team_id": 1, "name": "Ann"}])
    assert release.promoted is None
    assert scene.statuses(connection) == {1: "live", 2: "ready"}


@pytest.mark.parametrize(
    ("copy", "kind", "message"),
    [
        (lambda r: r.copy("coaches", []), errors.Refused, "release 2 has no table coaches"),
        (lambda r: r.copy("teams", [(1,)]), errors.BadRow, "row 1 for table teams has other columns than id, name"),
        (lambda r: r.copy("teams", [{"idd": 1}]), errors.BadRow, "table teams has no column idd to fill"),
        (lambda r: r.copy("teams", [(1, "a"), ("x", "b")]), errors.BadRow, "row 2 for table teams, column id: invalid"),
        (lambda r: r.copy("teams", [(1, None)]), errors.BadRow, "row 1 for table teams: null value in column"),
        (lambda r: r.copy("teams", 7), errors.UsageError, "cannot copy int into table teams"),
        (lambda r: r.copy("teams", "no.csv"), errors.BadSource, "no.csv"),
        (lambda r: r.copy("teams", pa.table({"x": [1]})), errors.BadSource, 'the rows for table teams: "x" is not a'),
        (lambda r: r.copy("teams", [(1, "a"), (1, "b")]), errors.BadRow, "duplicate key in table teams"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(
    live: Live, copy: Callable[[bluegreen_etl.OpenRelease], int], kind: type[Exception], message: str
) -> None:
    """As a file's row would be; duplicates are found when the keys are built, at the end."""
    before = live.dump()
    with pytest.raises(kind) as raised, bluegreen_etl.release(live.dsn, schema="league") as release:
        copy(release)
    assert str(raised.value).startswith(message)
    assert live.dump() == before


def test_protected_database_needs_force(bluegreen: Bluegreen, live: Live) -> None:
    """As of a command, and before the block begins."""
    bluegreen("protect")
    with pytest.raises(errors.NotPermitted), bluegreen_etl.release(live.dsn, schema="league"):
        pytest.fail("the block was entered")
    with bluegreen_etl.release(live.dsn, schema="league", force=True) as release:
        release.copy("teams", TEAMS)
        release.copy("players", [{"team_id": 1, "name": "Ann"}])
