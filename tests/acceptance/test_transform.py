"""Transforms: the project's SQL builds tables of the release from loaded ones, and touches nothing else."""

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.acceptance.refusals import refused
from tests.support import TEAMS, Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
CONFIG = """
[transform]
files = ["transform/*.sql"]
[tables.raw_players]
temporary = true
types = { team = "text" }
"""
RAW = "id,team,name\n1,Ajax,Ann\n2,Łódź United,Zoë\n"
FILL = """
INSERT INTO players (id, team_id, name)
SELECT r.id, t.id, r.name FROM raw_players AS r JOIN teams AS t ON t.name = r.team;
"""


def prepare(bluegreen: Bluegreen, *scripts: str) -> None:
    bluegreen.write("bluegreen.toml", CONFIG)
    bluegreen.write("data/teams.csv", TEAMS)
    bluegreen.write("data/raw_players.csv", RAW)
    for number, script in enumerate(scripts, start=1):
        bluegreen.write(f"transform/{number}.sql", script)


def test_tables_are_built_from_temporary_ones(bluegreen: Bluegreen, live: Live, connection: Connection) -> None:
    """In the order of their names, before indexes and keys; the source is gone when the release is ready."""
    prepare(bluegreen, FILL, "UPDATE players SET note = 'from ' || name; ")
    done = bluegreen("load", "data", "--promote")
    assert "1.sql: " in done.stderr
    assert "transform …" in done.stderr
    rows = connection.execute("SELECT id, team_id, name, note FROM league.players ORDER BY id").fetchall()
    assert rows == [(1, 1, "Ann", "from Ann"), (2, 2, "Zoë", "from Zoë")]
    assert connection.execute("SELECT to_regclass('league.raw_players')").fetchone() == (None,)
    tables = connection.execute(
        "SELECT table_name, files, rows, frozen FROM bluegreen.loaded_table WHERE release_id = "
        "(SELECT id FROM bluegreen.release WHERE status = 'live') ORDER BY 1"
    ).fetchall()
    assert tables == [("players", 0, 2, False), ("teams", 1, 2, False)]
    estimate = connection.execute("SELECT reltuples FROM pg_class WHERE oid = 'league.players'::regclass").fetchone()
    assert estimate == (2,)


def test_a_first_load_may_make_its_tables_by_transforms(bluegreen: Bluegreen, connection: Connection) -> None:
    """Without a structure of their own, they are what CREATE TABLE AS makes."""
    prepare(bluegreen, "CREATE TABLE names AS SELECT name FROM raw_players UNION SELECT name FROM teams")
    bluegreen("load", "data", "--promote")
    assert connection.execute("SELECT count(*) FROM league.names").fetchone() == (4,)


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("SELECT 1;\nSELEC 2;", "transform/1.sql, line 2: syntax error"),
        ("INSERT INTO league.teams VALUES (9, 'x')", "a script writes rows to league.teams, outside of league__r2"),
        ("TRUNCATE league.players", "a script drops or changes league.players, outside of league__r2"),
        ("DROP TABLE league.players CASCADE", "a script drops or changes league.teams, league.players"),
        ("COMMIT", "transform/1.sql"),
        ("CREATE VIEW v AS SELECT * FROM raw_players", "temporary table raw_players cannot be dropped"),
    ],
)
def test_a_transform_that_goes_wrong_leaves_live_alone(
    bluegreen: Bluegreen, live: Live, script: str, sentence: str
) -> None:
    """A statement that fails, and one that would change something outside of the release."""
    prepare(bluegreen, script)
    assert sentence in refused(bluegreen, "load", "data", live=live).sentence


def test_a_transform_that_is_not_there_is_an_error_of_usage(bluegreen: Bluegreen, live: Live) -> None:
    """Before anything is written."""
    prepare(bluegreen)
    assert (
        "transform file transform/*.sql does not exist"
        in refused(bluegreen, "load", "data", live=live, code=2).sentence
    )
