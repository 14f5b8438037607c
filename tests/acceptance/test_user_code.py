"""Code of the user that writes to live: what is said of live afterwards is what it is."""

import psycopg
import pytest
from psycopg.rows import TupleRow

import bluegreen_etl
from bluegreen_etl import errors
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
PSQL = ("psql", "-v", "ON_ERROR_STOP=1", "-q", "-f")


@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ("DELETE FROM league.players; SELECT 1/0;", 6, "players (1 deleted)"),
        ("TRUNCATE league.players; SELECT 1/0;", 6, "players (truncated or rewritten)"),
        ("INSERT INTO league.teams VALUES (7, 'x'), (8, 'y'); SELECT 1/0;", 6, "teams (2 inserted)"),
        ("UPDATE league.teams SET name = name || '!'; SELECT 1/0;", 6, "teams (2 updated)"),
        ("ALTER TABLE league.teams ADD note text; SELECT 1/0;", 6, "columns of teams"),
        ("DROP VIEW league.squads; SELECT 1/0;", 6, "view squads"),
        ("BEGIN; DELETE FROM league.players; INSERT INTO league.teams VALUES (7, 'x'); SELECT 1/0;", 1, "is unchanged"),
        ("INSERT INTO teams VALUES (7, 'x'); SELECT 1/0;", 1, "is unchanged"),
        ("SELECT 1/0;", 1, "is unchanged"),
    ],
)
def test_program_that_fails(
    bluegreen: Bluegreen, live: Live, connection: Connection, script: str, code: int, said: str
) -> None:
    """Exit code 6 if it has written to live before, with tables and numbers; rolled back writes do not count."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    before = live.dump()
    bluegreen.write("etl.sql", script)
    stderr = bluegreen("run", "--", *PSQL, "etl.sql", code=code).stderr
    assert said in stderr
    assert ("live league is unchanged" in stderr) == (live.dump() == before) == (code == 1)
    assert "release 2 failed; live league" in stderr


def test_program_that_succeeds_is_warned_of(bluegreen: Bluegreen, live: Live, connection: Connection) -> None:
    """The release is ready, and promote refuses to lose the rows."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    bluegreen.write(
        "etl.sql",
        "INSERT INTO teams VALUES (1, 'a'), (2, 'b'); INSERT INTO players (team_id, name) VALUES (1, 'b');"
        "INSERT INTO league.teams VALUES (7, 'x');",
    )
    stderr = bluegreen("run", "--", *PSQL, "etl.sql").stderr
    assert "warning: live league was written to since the load began: teams (1 inserted)" in stderr
    assert "warning: etl.sql, line 1, names league.teams" in stderr
    bluegreen("promote", code=1)


def test_python_code_that_writes_to_live(live: Live, connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of the caller is the cause of LiveWritten."""
    connection.execute("SELECT pg_stat_force_next_flush()")

    def fill() -> None:
        with bluegreen_etl.release(live.dsn, schema="league") as release:
            release.connection.execute("DELETE FROM league.players")
            raise ZeroDivisionError

    with pytest.raises(errors.LiveWritten) as caught:
        fill()
    assert "players (1 deleted)" in caught.value.message
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("-- league.teams\nSELECT 'league.teams';\nDELETE FROM league . teams;", 3),
        ('/* league.teams */\nDELETE\nFROM "league"."teams";', 3),
        ("DELETE FROM LEAGUE.teams;", 1),
        ("DELETE FROM teams; -- not league.teams", None),
        ("DELETE FROM my_league.teams; SELECT leagues.id FROM leagues;", None),
    ],
)
def test_name_of_live_in_a_script_is_warned_of(bluegreen: Bluegreen, live: Live, text: str, line: int | None) -> None:
    """Before the program runs; comments, strings and other names do not count."""
    bluegreen.write("etl.sql", text)
    done = bluegreen("run", "--", "sh", "-c", "exit 1", "etl.sql", code=1).stderr
    warned = f"warning: etl.sql, line {line}, names league" in done
    assert warned == (line is not None)
    assert ("`--isolate database`" in done) == warned
    assert "exit 1" not in done
