"""Rows written to live since the load began are found before the swap."""

import psycopg
from psycopg.rows import TupleRow

from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]


def test_rows_written_since_the_load_are_refused_with_their_counts(bluegreen: Bluegreen, live: Live, dsn: str) -> None:
    """Promote names the tables and leaves live alone; --discard-writes goes on."""
    bluegreen.write_league()
    bluegreen("load", "data")
    with psycopg.connect(dsn) as other:
        other.execute("INSERT INTO league.players (team_id, name) VALUES (1, 'new'), (2, 'new')")
        other.execute("UPDATE league.players SET note = 'seen' WHERE name = 'old player'")
    before = live.dump()
    done = bluegreen("promote", code=1)
    assert "rows of league were written since the load of release 2 began: players (3)" in done.stderr
    assert live.dump() == before
    bluegreen("promote", "--discard-writes")


def test_writer_that_has_not_committed_is_found(bluegreen: Bluegreen, live: Live, dsn: str) -> None:
    """The writer's lock shows it before the server has counted anything."""
    bluegreen.write_league()
    bluegreen("load", "data")
    with psycopg.connect(dsn) as other:
        other.execute("DELETE FROM league.players")
        done = bluegreen("promote", code=1)
        assert f"sessions are writing to league now: pid {other.info.backend_pid}" in done.stderr
        other.rollback()


def test_rollback_is_not_held_up_by_writes(bluegreen: Bluegreen, live: Live, connection: Connection) -> None:
    """A rollback is for emergencies: rows written since the promote stay in the release that it retires."""
    bluegreen.write_league()
    bluegreen("load", "data", "--promote")
    connection.execute("INSERT INTO league.teams VALUES (7, 'new')")
    bluegreen("rollback")
    assert connection.execute("SELECT count(*) FROM league__r2.teams").fetchone() == (3,)


def test_empty_live_schema_takes_its_structure_from_the_files(bluegreen: Bluegreen, connection: Connection) -> None:
    """So that a new database's public can be the live schema."""
    bluegreen.write_league()
    bluegreen("load", "data", "--promote", "--schema", "public")
    assert connection.execute("SELECT count(*) FROM public.players").fetchone() == (3,)
