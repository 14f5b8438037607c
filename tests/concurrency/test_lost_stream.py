"""A connection is lost during COPY: the table is copied again on a new connection, and no row is there twice."""

from pathlib import Path

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.concurrency import proxy, scene
from tests.concurrency.proxy import Cut
from tests.support import Bluegreen

Connection = psycopg.Connection[TupleRow]


@pytest.mark.usefixtures("live")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_table_begins_again_when_its_connection_was_lost(
    dsn: str, tmp_path: Path, connection: Connection, jobs: str
) -> None:
    """One line reports the retry; each row is there once."""
    bluegreen = Bluegreen(dsn, tmp_path)
    bluegreen.write_league()
    with proxy.between(dsn, Cut.IN_A_COPY) as between:
        loaded = Bluegreen(between.dsn, tmp_path)("load", "data", "--jobs", jobs, "--promote")
        assert between.happened.is_set()
    assert loaded.stderr.count("a connection was lost; repeating its work") == 1
    assert connection.execute("SELECT count(*), count(DISTINCT id) FROM league.players").fetchone() == (3, 3)
    assert connection.execute("SELECT count(*) FROM league.teams").fetchone() == (2,)
    scene.assert_whole(connection)


@pytest.mark.usefixtures("live")
def test_standard_input_cannot_begin_again(dsn: str, tmp_path: Path, connection: Connection) -> None:
    """Input that can be read only once is lost: exit code 1, live unchanged."""
    bluegreen = Bluegreen(dsn, tmp_path)
    bluegreen.write_league(players="id,team_id,name,born,note\n")  # no rows are sent for this table
    with proxy.between(dsn, Cut.IN_A_COPY) as between:
        through = Bluegreen(between.dsn, tmp_path)
        arguments = ("--jobs", "1", "--table", "teams", "--format", "csv")
        failed = through("load", "-", "data/players.csv", *arguments, code=1, stdin="id,name\n1,A\n2,B\n")
    assert "the connection was lost" in failed.stderr
    assert "(bluegreen explain ConnectionLost)" in failed.stderr
    assert scene.statuses(connection) == {1: "live", 2: "failed"}


@pytest.mark.usefixtures("live")
def test_server_that_ends_every_session_is_not_asked_for_ever(dsn: str, tmp_path: Path, connection: Connection) -> None:
    """A thread uses at most three connections."""
    bluegreen = Bluegreen(dsn, tmp_path)
    bluegreen.write_league()
    with proxy.between(dsn, Cut.IN_A_COPY, times=9) as between:
        failed = Bluegreen(between.dsn, tmp_path)("load", "data", "--jobs", "1", code=1)
    assert failed.stderr.count("a connection was lost; repeating its work") == 2
    assert scene.statuses(connection) == {1: "live", 2: "failed"}
    bluegreen("load", "data", "--promote")
    scene.assert_whole(connection)
