"""What was changed in live's definition since the load began is not forgotten."""

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.support import Bluegreen, Live


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("GRANT SELECT ON league.teams TO PUBLIC", "table teams"),
        ("GRANT SELECT (name) ON league.teams TO PUBLIC", "columns of teams"),
        ("GRANT USAGE ON SCHEMA league TO PUBLIC", "schema league"),
        ("CREATE INDEX named ON league.players (name)", "index named"),
        ("COMMENT ON TABLE league.teams IS 'they play'", "comment on table teams"),
        (
            "CREATE OR REPLACE VIEW league.squads AS SELECT name, 1::bigint AS players FROM league.teams",
            "query of squads",
        ),
        ("ALTER TABLE league.players ALTER note SET DEFAULT 'none'", "default of players"),
        ("ALTER DEFAULT PRIVILEGES IN SCHEMA league GRANT SELECT ON TABLES TO PUBLIC", "default privileges"),
        ("CREATE FUNCTION league.one() RETURNS int LANGUAGE sql AS 'SELECT 1'", "routine one"),
    ],
)
def test_change_of_live_since_the_load_conflicts(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow], change: str, named: str
) -> None:
    """Promote refuses with exit code 5, names what was changed, and live keeps it."""
    bluegreen.write_league()
    bluegreen("load", "data")
    connection.execute(change.encode())
    before = live.dump()
    done = bluegreen("promote", code=5)
    assert named in done.stderr
    assert live.dump() == before


def test_forced_promote_goes_without_the_change(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """A user who has read the list may continue with --force."""
    bluegreen.write_league()
    bluegreen("load", "data")
    connection.execute("COMMENT ON TABLE league.teams IS 'they play'")
    bluegreen("promote", "--force")


def test_reading_and_analyzing_live_is_no_change(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """Statistics are not part of a definition."""
    bluegreen.write_league()
    bluegreen("load", "data")
    connection.execute("ANALYZE league.players")
    connection.execute("VACUUM league.players")
    bluegreen("promote")
    bluegreen("load", "data", "--promote")
