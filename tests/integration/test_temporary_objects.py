"""Temporary objects of other sessions that depend on live are named and waited for, as locks are."""

import threading

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("CREATE TEMP VIEW tv AS SELECT id, name FROM league.teams", "view pg_temp_"),
        ("CREATE TEMP TABLE tt AS SELECT * FROM league.feelings", ".tt"),
        ("CREATE TEMP TABLE td (LIKE league.numbered INCLUDING DEFAULTS)", ".td"),
    ],
)
def test_temporary_object_is_waited_for(
    bluegreen: Bluegreen, live: Live, connection: Connection, dsn: str, statement: str, name: str
) -> None:
    """Exit code 4 while the session is there; promote goes on when it ends. A load and its plan take no notice."""
    connection.execute("""
        CREATE TYPE league.mood AS ENUM ('ok'); CREATE TABLE league.feelings (m league.mood);
        CREATE TABLE league.numbered (id serial)
    """)
    bluegreen.write_league()
    bluegreen.write("data/feelings.csv", "m\nok\n")
    bluegreen.write("data/numbered.csv", "id\n1\n")
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute(statement.encode())
        bluegreen("load", "data")
        done = bluegreen("promote", "--max-wait", "0.3", code=4)
        assert "temporary objects of other sessions depend on live; still there after 0.3 s: " in done.stderr
        assert name in done.stderr
        if other.info.server_version >= 160000:
            assert f"pid {other.info.backend_pid}" in done.stderr
        closing = threading.Timer(1, other.close)
        closing.start()
        done = bluegreen("promote")
        closing.join()
    assert "waiting for temporary objects of other sessions" in done.stderr
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute(statement.encode())
        bluegreen("rollback", "--max-wait", "0", code=4)


def test_rollback_takes_the_options_of_promote(bluegreen: Bluegreen, live: Live) -> None:
    """A script can give both commands the same options."""
    bluegreen.write_league()
    options = ("--allow-drop", "--discard-writes", "--no-backup", "--on-orphans", "delete", "--max-wait", "5")
    bluegreen("load", "data")
    bluegreen("promote", *options)
    bluegreen("rollback", *options)
