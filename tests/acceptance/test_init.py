"""`init`: from data files to a first promote, without writing a line."""

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.acceptance.refusals import refused
from tests.support import Bluegreen

Connection = psycopg.Connection[TupleRow]


def test_load_works_right_after_init(bluegreen: Bluegreen, connection: Connection) -> None:
    """With types, keys and checks of its own; init itself needs no server."""
    bluegreen.write_league()
    bluegreen.write("data/order.json", '[{"id": 1, "user": "Ann", "group": {"a": 1}, "Odd name": 1.5}]')
    odd = "id;born;big;empty;number\n1;1999-02-28;9223372036854775808;;007\n2;;1;;1.5\n"
    bluegreen.write("data/odd.csv", odd)
    bluegreen.write("data/later.csv", "id,name\n")
    made = bluegreen("init", "data/", BLUEGREEN_DSN="host=/nowhere")
    for name in ("bluegreen.toml", "schema.sql", "checks/players_have_their_teams.sql"):
        assert name in made.stdout
    ddl = (bluegreen.directory / "schema.sql").read_text()
    assert "id integer PRIMARY KEY" in ddl
    assert "born date,\n    big numeric,\n    empty text,\n    number text\n" in ddl
    assert "-- ALTER TABLE players ADD FOREIGN KEY (team_id) REFERENCES teams;" in ddl
    done = bluegreen("load", "--promote", BLUEGREEN_SCHEMA="")
    assert "no custom checks" not in done.stderr
    keys = """
        SELECT c.relname FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid
        WHERE k.connamespace = 'league'::regnamespace AND k.contype = 'p' ORDER BY 1
    """
    assert connection.execute(keys).fetchall() == [("odd",), ("order",), ("players",), ("teams",)]
    assert bluegreen.json("check", "live")["checks"][-1]["name"] == "players_have_their_teams"


def test_schema_is_called_like_the_directory_where_none_is_named(bluegreen: Bluegreen) -> None:
    """And a table without a key has none."""
    bluegreen.write("x/rows.csv", "a,b\n1,2\n1,2\n")
    bluegreen("init", "x", BLUEGREEN_SCHEMA="")
    assert 'schema = "test_schema_is_called_like' in (bluegreen.directory / "bluegreen.toml").read_text()
    assert "PRIMARY" not in (bluegreen.directory / "schema.sql").read_text()
    bluegreen("load", "--promote", BLUEGREEN_SCHEMA="")


def test_init_replaces_no_file(bluegreen: Bluegreen) -> None:
    """Not even one of them, and then it writes none."""
    bluegreen.write_league()
    bluegreen.write("schema.sql", "-- mine")
    assert refused(bluegreen, "init", "data").sentence == "schema.sql already exists"
    assert not (bluegreen.directory / "bluegreen.toml").exists()
    assert refused(bluegreen, "init", code=2).sentence == "no data files were named"
    bluegreen.write("none/teams.json", "[]")
    said = "cannot infer the columns of table teams: none/teams.json holds no record"
    for command in ("init", "load"):
        assert refused(bluegreen, command, "none").sentence == said


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands(bluegreen: Bluegreen, shell: str) -> None:
    """As docs/cli.md says."""
    done = bluegreen(_BLUEGREEN_COMPLETE=f"{shell}_source")
    assert "_BLUEGREEN_COMPLETE" in done.stdout


def test_version_is_shown(bluegreen: Bluegreen) -> None:
    """For bug reports."""
    assert bluegreen("--version").stdout.startswith("bluegreen, version ")
