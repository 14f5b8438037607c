"""The main job, through the executable: load, promote, roll back, forward again."""

import psycopg
from psycopg.rows import TupleRow

from tests.support import Bluegreen, Live


def names(connection: psycopg.Connection[TupleRow]) -> list[str]:
    """Return the players that are live."""
    return [row[0] for row in connection.execute("SELECT name FROM league.players ORDER BY id")]


def test_load_promote_rollback_and_forward_again(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """A release replaces live, the schema that was live before the tool came returns, and the release after it."""
    before, without_sequences = live.dump(), live.dump(sequences=False)
    bluegreen.write_league()
    bluegreen("load", "data")
    assert live.dump() == before
    promoted = bluegreen.json("promote")
    assert promoted["cutover"]["to_number"] == 2
    assert names(connection) == ['Robert "Bobby" Øst', "Zoë", "Ann"]
    bluegreen("rollback")
    assert live.dump(sequences=False) == without_sequences
    bluegreen("promote", "2")
    assert names(connection) == ['Robert "Bobby" Øst', "Zoë", "Ann"]
    bluegreen("rollback")
    assert live.dump(sequences=False) == without_sequences


def test_first_load_needs_no_configuration_and_no_schema(
    bluegreen: Bluegreen, connection: psycopg.Connection[TupleRow]
) -> None:
    """Types are inferred from the files and the release goes live under a name that did not exist."""
    bluegreen.write_league()
    bluegreen("load", "data", "--promote")
    assert names(connection) == ['Robert "Bobby" Øst', "Zoë", "Ann"]
    rows = connection.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = 'league.players'::regclass AND attnum > 0 ORDER BY attnum"
    ).fetchall()
    assert rows == [("id", "integer"), ("team_id", "integer"), ("name", "text"), ("born", "date"), ("note", "text")]
