"""A JSON Schema for a table's files: what does not conform is named before anything is loaded."""

import json

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.acceptance.refusals import refused
from tests.support import Bluegreen, Live

SCHEMA = {
    "type": "object",
    "properties": {
        "id": {"type": "integer", "minimum": 1},
        "name": {"$ref": "names.json#/$defs/name"},
        "founded": {"type": "string", "format": "date"},
    },
    "required": ["id", "name"],
}
NAMES = {"$defs": {"name": {"type": "string", "maxLength": 20}}}
TEAMS = [{"id": number, "name": f"Team {number}"} for number in range(1, 2001)]


@pytest.fixture
def teams(bluegreen: Bluegreen) -> Bluegreen:
    """A schema in two files, and no data yet."""
    bluegreen.write("schemas/team.json", json.dumps(SCHEMA))
    bluegreen.write("schemas/names.json", json.dumps(NAMES))
    bluegreen.write("bluegreen.toml", '[tables.teams]\njson_schema = "schemas/team.json"\n')
    return bluegreen


def array(teams: list[dict[str, object]]) -> str:
    """One array, a member a line."""
    return "[" + ",\n".join(map(json.dumps, teams)) + "]"


def lines(teams: list[dict[str, object]]) -> str:
    """One object a line, and an empty one before the last."""
    return "\n".join(map(json.dumps, teams[:-1])) + "\n\n" + json.dumps(teams[-1])


def test_objects_that_conform_are_loaded(teams: Bluegreen, connection: psycopg.Connection[TupleRow]) -> None:
    """References count from the schema's file; columns are the table's business."""
    teams.write("data/teams.json", array([{"id": 2001, "name": "New", "founded": "2001-02-03", "more": 1}, *TEAMS]))
    teams("load", "data", "--promote")
    assert connection.execute("SELECT count(*), max(founded)::text FROM league.teams").fetchone() == (
        2001,
        "2001-02-03",
    )


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        ({"id": 0, "name": "x"}, ", /id: 0 is less than the minimum of 1"),
        ({"id": 1, "name": "x" * 21}, f', /name: "{"x" * 21}" is longer than 20 characters'),
        ({"id": 1, "name": "x", "founded": "1900-02-30"}, ', /founded: "1900-02-30" is not a "date"'),
        ({"id": 1}, ': "name" is a required property'),
    ],
)
def test_object_that_does_not_conform_is_named(
    teams: Bluegreen, live: Live, last: dict[str, object], reason: str
) -> None:
    """The last of many, in an array and in lines; live is as before, and so is the ledger."""
    teams.write("teams.json", array([*TEAMS, last]))
    teams.write("teams.ndjson", lines([*TEAMS, last]))
    said = refused(teams, "load", "teams.json", "--structure", "files", live=live)
    assert said.sentence == f"teams.json, element 2001{reason}"
    assert "schemas/team.json" in said.hint
    said = refused(teams, "load", "teams.ndjson", "--structure", "files", "--dry-run", live=live)
    assert said.sentence == f"teams.ndjson, line 2002{reason}"
    with psycopg.connect(teams.dsn) as connection:
        assert connection.execute("SELECT to_regnamespace('bluegreen')").fetchone() == (None,)


def test_what_is_no_json_schema_is_refused(teams: Bluegreen) -> None:
    """A file that is not there, one that is not JSON, one that says nonsense, one that refers to nothing."""
    teams.write("data/teams.json", array(list(TEAMS[:2])))
    for text, sentence in (
        ("{", "schemas/team.json is not a JSON Schema: Input data was truncated"),
        ('{"type": "team"}', 'schemas/team.json is not a JSON Schema: "team" is not valid'),
        ('{"$ref": "none.json"}', "schemas/team.json is not a JSON Schema: Resource 'file://"),
    ):
        teams.write("schemas/team.json", text)
        assert refused(teams, "load", "data", code=2).sentence.startswith(sentence)
    (teams.directory / "schemas/team.json").unlink()
    assert refused(teams, "load", "data", code=2).sentence.startswith("schemas/team.json cannot be read: ")


def test_schema_is_for_json_that_can_be_read_twice(teams: Bluegreen) -> None:
    """Not for CSV, and not for standard input."""
    teams.write("data/teams.csv", "id,name\n1,Ajax\n")
    said = refused(teams, "load", "data", code=2)
    assert said.sentence == "[tables.teams] json_schema is for JSON, and data/teams.csv is csv"
    said = refused(teams, "load", "-", "--table", "teams", "--format", "json", code=2, stdin='[{"id": 1, "name": "x"}]')
    assert said.sentence == "[tables.teams] json_schema reads a file twice, and standard input can be read only once"


def test_schema_serves_two_tables(teams: Bluegreen, connection: psycopg.Connection[TupleRow]) -> None:
    """One file of it for both, in one load, and the files of both are held against it."""
    teams.write(
        "bluegreen.toml",
        "".join(f'[tables.{name}]\njson_schema = "schemas/team.json"\n' for name in ("teams", "clubs")),
    )
    for name in ("teams", "clubs"):
        teams.write(f"data/{name}.json", array(list(TEAMS)))
    teams("load", "data", "--promote")
    assert connection.execute("SELECT count(*) FROM league.clubs").fetchone() == (2000,)
    teams.write("data/clubs.json", '[{"id": 0, "name": "x"}]')
    assert "clubs.json" in teams("load", "data", code=1).stderr
