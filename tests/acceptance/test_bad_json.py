"""JSON that cannot be loaded: each refusal says which file, element and value, and live stays as it was."""

import psycopg
from psycopg.rows import TupleRow

from tests.acceptance.refusals import refused
from tests.support import Bluegreen, Live

GOOD = '{"id": 1, "name": "Ajax"}'


def test_json_that_is_no_array_of_objects_is_refused(bluegreen: Bluegreen, live: Live) -> None:
    """What was found is said in a word, with the element's number."""
    before = live.dump()
    bluegreen.write("players.csv", "id,team_id,name\n1,1,Ann\n")
    for text, sentence in (
        ('{"teams": [{"id": 1, "name": "Ajax"}]}', "teams.json is a JSON object, not an array of objects"),
        (f"[{GOOD}, 7]", "teams.json, element 2: is a number, not an object"),
        (f'[{GOOD}, {{"id": 2, "na', "teams.json, element 2: the array is not closed at the end of the file"),
        (f'[{GOOD}, {{"id": 2, "name": "A", "city": "B"}}]', "teams.json has column city, which table teams lacks"),
    ):
        bluegreen.write("teams.json", text)
        assert refused(bluegreen, "load", "teams.json", "players.csv").sentence.startswith(sentence)
    assert live.dump() == before


def test_empty_array_is_refused_as_an_empty_table(bluegreen: Bluegreen, live: Live) -> None:
    """An array without elements is good JSON and a table without rows."""
    bluegreen.write("players.json", "[]")
    bluegreen.write("teams.json", f"[{GOOD}]")
    said = refused(bluegreen, "load", "teams.json", "players.json", code=3, live=live)
    assert "no_empty_table: 1 offending row, first empty_table=players" in said.sentence


def test_broken_line_of_ndjson_is_named(bluegreen: Bluegreen, live: Live) -> None:
    """Empty lines are passed over and counted."""
    before = live.dump()
    bluegreen.write("players.csv", "id,team_id,name\n1,1,Ann\n")
    for text, sentence in (
        (f"{GOOD}\n7\n", "teams.ndjson, line 2: is a number, not an object"),
        (f"{GOOD}\n\n\n[{GOOD}]\n", "teams.ndjson, line 4: is an array, not an object"),
    ):
        bluegreen.write("teams.ndjson", text)
        assert refused(bluegreen, "load", "teams.ndjson", "players.csv").sentence.startswith(sentence)
    assert live.dump() == before


def test_value_of_the_wrong_type_names_the_element(bluegreen: Bluegreen, live: Live) -> None:
    """The element is counted from 1, also far down, where names hold line ends."""
    before = live.dump()
    bluegreen.write("players.csv", "id,team_id,name\n1,1,Ann\n")
    for count, value, reason in (
        (1, '"two"', 'invalid input syntax for type integer: "two"'),
        (3000, "2.5", 'invalid input syntax for type integer: "2.5"'),
    ):
        elements = [f'{{"id": {number}, "name": "two\\nlines {number}"}}' for number in range(1, count + 1)]
        bluegreen.write("teams.json", f'[{",".join(elements)}, {{"id": {value}, "name": "A"}}]')
        said = refused(bluegreen, "load", "teams.json", "players.csv")
        assert said.sentence == f"teams.json, element {count + 1}, column id: {reason}"
    assert live.dump() == before


def test_key_that_only_comes_later_is_refused_not_lost(bluegreen: Bluegreen, live: Live) -> None:
    """Beyond the first records a stranger's key still stops the load."""
    bluegreen.write("players.csv", "id,team_id,name\n1,1,Ann\n")
    lines = "".join(f'{{"id": {number}, "name": "team {number}"}}\n' for number in range(1, 3001))
    bluegreen.write("teams.ndjson", lines + '{"id": 5000, "name": "A", "city": "B"}\n')
    said = refused(bluegreen, "load", "teams.ndjson", "players.csv", live=live)
    assert said.sentence == 'teams.ndjson, line 3001: key "city" is not a column of the table'


def test_key_that_the_table_needs_may_not_be_missing(bluegreen: Bluegreen, live: Live) -> None:
    """An element without it would be NULL where the table forbids that."""
    bluegreen.write("players.csv", "id,team_id,name\n1,1,Ann\n")
    bluegreen.write("teams.json", f'[{GOOD}, {{"id": 2}}]')
    said = refused(bluegreen, "load", "teams.json", "players.csv", live=live)
    assert said.sentence.startswith('teams.json, element 2, column name: null value in column "name"')


def test_json_and_csv_load_the_same(bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]) -> None:
    """The formats differ, the release does not."""
    before = live.dump()
    bluegreen.write("players.csv", 'id,team_id,name,note\n1,1,"Ann ""A""","two\nlines"\n')
    bluegreen.write("teams.json", f"[{GOOD}]")
    bluegreen("load", "teams.json", "players.csv")
    bluegreen.write("teams.csv", "id,name\n1,Ajax\n")
    bluegreen.write(
        "players.ndjson", '{"note": "two\\nlines", "id": 1, "team_id": 1, "name": "Ann \\"A\\"", "born": null}\n'
    )
    bluegreen("load", "teams.csv", "players.ndjson")
    assert live.dump() == before
    assert live.dump("league__r2").replace("__r2", "") == live.dump("league__r3").replace("__r3", "")
    assert connection.execute("SELECT name, note, born FROM league__r3.players").fetchall() == [
        ('Ann "A"', "two\nlines", None)
    ]
