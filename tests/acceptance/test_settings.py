"""Settings and connections that lead nowhere: exit code 2 for what the user wrote, 1 for what the server says."""

from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo
from psycopg.rows import TupleRow

from tests.acceptance.refusals import refused
from tests.support import Bluegreen, Live

CONNECTION = "no connection to the server: "


@pytest.fixture
def offline(tmp_path: Path) -> Bluegreen:
    """The executable where there is no server: what is refused here is refused before anybody connects."""
    return Bluegreen("host=/nowhere/at/all dbname=x", tmp_path)


# ---- bluegreen.toml


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("schema = league", "bluegreen.toml cannot be read: Invalid value (at line 1, column 10)"),
        ("\xff", "bluegreen.toml cannot be read: "),
        ("[load]\njbos = 2", "bluegreen.toml: contains unknown field `jbos` - at `$.load`"),
        ("[load]\njobs = 0", "bluegreen.toml, line 2: Expected `int` >= 1 - at `$.load.jobs`"),
        (
            "[tables.teams]\nallow_empty = 'yes'",
            "bluegreen.toml, line 2: Expected `bool`, got `str` - at `$.tables[...].allow",
        ),
        ("[environments]\nx = 'postgresql://h/d'", "bluegreen.toml: `environments` contains a value that is no table"),
        ("[checks]\npath = '${NOT_SET}/checks'", "bluegreen.toml uses ${NOT_SET}, which is not set"),
    ],
)
def test_bad_configuration_is_refused_with_the_place(offline: Bluegreen, text: str, sentence: str) -> None:
    """A misspelt key is an error, because a setting that is passed over in silence is a trap."""
    offline.write("bluegreen.toml", text.encode("latin-1"))
    assert refused(offline, "status", code=2).sentence.startswith(sentence)


def test_unknown_environment_is_refused_with_those_there_are(offline: Bluegreen) -> None:
    """The name comes from a flag or a variable, and a wrong one must not mean the default."""
    offline.write("bluegreen.toml", "[environments.staging]\n[environments.production]\n")
    for said in (
        refused(offline, "status", "-e", "prod", code=2),
        refused(offline, "status", code=2, BLUEGREEN_ENVIRONMENT="prod"),
    ):
        assert said.sentence == 'no environment "prod" in bluegreen.toml'
        assert "production, staging" in said.hint


def test_configuration_file_that_is_named_must_exist(offline: Bluegreen) -> None:
    """Only the default file may be missing."""
    assert refused(offline, "status", "-c", "bg.toml", code=2).sentence == "no such configuration file: bg.toml"


# ---- the command line


def test_schema_must_be_named(offline: Bluegreen) -> None:
    """There is no default: to replace the wrong schema would be the worst of mistakes."""
    said = refused(offline, "status", code=2, BLUEGREEN_SCHEMA="")
    assert said.sentence == "no schema was named"
    assert "--schema" in said.hint


@pytest.mark.parametrize("schema", ["pg_temp", "bluegreen"])
def test_reserved_schema_is_refused(offline: Bluegreen, schema: str) -> None:
    """PostgreSQL's own schemas and the ledger are nobody's to replace."""
    offline.write_league()
    said = refused(offline, "load", "data", "-s", schema, code=2)
    assert said.sentence == f'schema "{schema}" cannot be replaced: the name is reserved'


@pytest.mark.parametrize("schema", ["ł" * 30, "x" * 64])
def test_schema_name_without_room_for_a_release_is_refused(offline: Bluegreen, schema: str) -> None:
    """PostgreSQL would cut the longer name in silence; the length is in bytes."""
    offline.write_league()
    said = refused(offline, "load", "data", "-s", schema, code=2)
    assert said.sentence.startswith(f'schema name "{schema}" is too long: the name of its release 1 would be')
    assert "at most 59 bytes" in said.hint


@pytest.mark.parametrize(
    "arguments",
    [
        ("load", "--promot"),
        ("lode",),
        ("promote", "newest"),
        ("prune", "--keep", "-1"),
    ],
)
def test_what_the_command_line_does_not_know_is_a_usage_error(offline: Bluegreen, arguments: tuple[str, ...]) -> None:
    """Exit code 2 and the way to the help, as every command line does."""
    said = offline(*arguments, code=2).stderr
    assert "Usage: bluegreen" in said
    assert arguments[-1] in said or "range" in said or "Did you mean" in said


# ---- the server


@pytest.mark.parametrize(
    ("dsn", "what"),
    [
        ("host=127.0.0.1 port=1 dbname=x", "Connection refused"),
        ("postgresql://u@/x?host=/nowhere/at/all", "No such file or directory"),
    ],
)
def test_server_that_is_not_there_is_one_sentence(offline: Bluegreen, dsn: str, what: str) -> None:
    """libpq's own words, on one line, and where the connection comes from."""
    offline.write_league()
    said = refused(offline, "load", "data", "--dsn", dsn)
    assert said.sentence.startswith(CONNECTION)
    assert what in said.sentence


def test_database_that_does_not_exist_is_named(bluegreen: Bluegreen) -> None:
    """A typing error in the connection."""
    dsn = conninfo.make_conninfo(bluegreen.dsn, dbname="no_such_database")
    said = refused(bluegreen, "status", "--dsn", dsn)
    assert 'database "no_such_database" does not exist' in said.sentence


def test_structure_from_a_schema_that_is_not_there_is_refused(bluegreen: Bluegreen) -> None:
    """There is nothing to clone before the first load."""
    bluegreen.write_league()
    said = refused(bluegreen, "load", "data", "--structure", "live")
    assert said.sentence == "cannot take the structure from live: there is no schema league with tables"


def test_ddl_that_fails_is_named_with_its_line(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """While the DDL runs, live bears another name; when it fails nobody has seen that."""
    bluegreen.write_league()
    bluegreen.write("schema.sql", "CREATE TABLE league.teams (id int);\nCREATE TABLE league.players (\n  id itn\n);\n")
    bluegreen.write("bluegreen.toml", '[structure]\nddl = ["schema.sql"]\n')
    said = refused(bluegreen, "load", "data", live=live)
    assert said.sentence == 'schema.sql, line 3: type "itn" does not exist'
    bluegreen.write("schema.sql", "CREATE TABLE league.teams (id int);\nCOMMIT;\n")
    assert refused(bluegreen, "load", "data", live=live).sentence.startswith("schema.sql")
    rows = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ '^(league|bluegreen)' ORDER BY 1")
    assert rows.fetchall() == [("bluegreen",), ("league",)]


# ---- privileges


def test_link_that_leads_nowhere_is_refused(bluegreen: Bluegreen, live: Live, tmp_path: Path) -> None:
    """The file is there by its name and cannot be read."""
    bluegreen.write_league()
    (tmp_path / "data" / "coaches.csv").symlink_to("nowhere.csv")
    said = refused(bluegreen, "load", "data/coaches.csv", "data/teams.csv", live=live)
    assert said.sentence.startswith("data/coaches.csv")
