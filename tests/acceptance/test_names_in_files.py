"""Files whose names differ from the table's: `sources` maps them, `ignore_columns` leaves columns out."""

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.acceptance.refusals import refused
from tests.support import TEAMS, Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
RENAMED = """
[tables.players]
sources = { team_id = "/team/id", name = "fullName", note = "/~1notes/first" }
ignore_columns = ["shirt", "internal"]
"""


def players(connection: Connection) -> list[TupleRow]:
    return connection.execute("SELECT id, team_id, name, note FROM league.players ORDER BY id").fetchall()


@pytest.mark.parametrize("file", ["players.json", "players.ndjson"])
def test_json_keys_are_mapped_and_followed_into_objects(
    bluegreen: Bluegreen, live: Live, connection: Connection, file: str
) -> None:
    """Renamed keys, pointers into objects that may be missing or null, and keys that are passed over."""
    bluegreen.write("bluegreen.toml", RENAMED)
    bluegreen.write("data/teams.csv", TEAMS)
    elements = [
        '{"id": 1, "team": {"id": 1, "city": "x"}, "fullName": "Ann", "shirt": [1, {}], "/notes": {"first": "a\\nb"}}',
        '{"id": 2, "team": {"id": 2}, "fullName": "Zo\\u00eb", "internal": null, "/notes": null}',
        '{"id": 3, "team": {"id": 1}, "fullName": "Bob", "/notes": {}}',
    ]
    text = "\n".join(elements) if file.endswith("ndjson") else f"[{','.join(elements)}]"
    bluegreen.write(f"data/{file}", text)
    bluegreen("load", "data", "--promote")
    assert players(connection) == [(1, 1, "Ann", "a\nb"), (2, 2, "Zoë", None), (3, 1, "Bob", None)]


def test_what_a_pointer_meets_must_be_an_object(bluegreen: Bluegreen, live: Live) -> None:
    """The element, and what is there instead."""
    bluegreen.write("bluegreen.toml", RENAMED)
    bluegreen.write("data/teams.csv", TEAMS)
    bluegreen.write("data/players.json", '[{"id": 1, "team": {"id": 1}, "fullName": "a"}, {"id": 2, "team": 7}]')
    sentence = refused(bluegreen, "load", "data", live=live).sentence
    assert 'players.json, element 2: a value is a number at "team", not an object with "id"' in sentence


def test_other_keys_are_refused_still(bluegreen: Bluegreen, live: Live) -> None:
    """Only those listed are passed over; "*" passes over all that the table lacks."""
    bluegreen.write("bluegreen.toml", RENAMED)
    bluegreen.write("data/teams.csv", TEAMS)
    bluegreen.write("data/players.json", '[{"id": 1, "team": {"id": 1}, "fullName": "a", "agent": "b"}]')
    assert "column agent" in refused(bluegreen, "load", "data", live=live).sentence
    bluegreen.write("bluegreen.toml", RENAMED.replace('"shirt"', '"*"'))
    bluegreen("load", "data")


def test_columns_of_a_delimited_file_are_renamed_and_left_out(
    bluegreen: Bluegreen, live: Live, connection: Connection
) -> None:
    """COPY cannot leave out a column, so it is cut out of each record; every other byte stays."""
    bluegreen.write("bluegreen.toml", '[tables.players]\nsources = { name = "full" }\nignore_columns = ["x", "y"]\n')
    bluegreen.write("data/teams.csv", TEAMS)
    bluegreen.write(
        "data/players.csv",
        'x,id,full,team_id,y,note\n"a ""b"", c\nd",1,"A, ""n""",1,,"two\nlines"\n,2,Zoë,2,"\n",\n,3,Bob,1,,\n',
    )
    bluegreen("load", "data", "--promote")
    assert players(connection) == [(1, 1, 'A, "n"', "two\nlines"), (2, 2, "Zoë", None), (3, 1, "Bob", None)]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_bad_row_is_found_although_columns_were_left_out(bluegreen: Bluegreen, live: Live, end: str) -> None:
    """The line is the file's, whatever lines the ignored values had."""
    bluegreen.write("bluegreen.toml", '[tables.players]\nignore_columns = ["x"]\n')
    bluegreen.write("data/teams.csv", TEAMS)
    records = ["x,id,team_id,name", '"a', 'b",1,1,Ann', '"', '",2,1,"two', 'lines"', ",three,1,Bob", ",4,1,Eve", ""]
    bluegreen.write("data/players.csv", end.join(records))
    sentence = refused(bluegreen, "load", "data", live=live).sentence
    assert "players.csv, line 7, column id: invalid input syntax" in sentence


def test_a_record_of_another_length_is_refused_where_columns_are_left_out(bluegreen: Bluegreen, live: Live) -> None:
    """Without its fields nobody knows which to leave out."""
    bluegreen.write("bluegreen.toml", '[tables.players]\nignore_columns = ["x"]\n')
    bluegreen.write("data/teams.csv", TEAMS)
    many = "".join(f"x,{number},1,p\n" for number in range(1, 2000))
    bluegreen.write("data/players.csv", f"x,id,team_id,name\n{many}2000,1,short\n")
    said = refused(bluegreen, "load", "data", live=live)
    assert "players.csv, line 2001: the record does not have 4 fields" in said.sentence
