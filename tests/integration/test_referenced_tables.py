"""A load and prune do not block readers of a table in another schema that the release refers to."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]


def one(connection: Connection, query: str) -> object:
    """Return the only value of a query's only row."""
    row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


@pytest.fixture
def users(live: Live, connection: Connection) -> Connection:
    """Add a foreign key from live's teams to a table in another schema."""
    connection.execute("CREATE TABLE public.users (id int PRIMARY KEY); INSERT INTO public.users VALUES (1), (2)")
    connection.execute("ALTER TABLE league.teams ADD FOREIGN KEY (id) REFERENCES public.users")
    return connection


def test_reader_of_a_referenced_table_is_not_held_up_by_a_load(
    bluegreen: Bluegreen, users: Connection, dsn: str
) -> None:
    """A long transaction on the table delays the load, but later readers wait only briefly."""
    bluegreen.write_league()
    worst = 0.0
    with psycopg.connect(dsn) as long:
        long.execute("SELECT FROM public.users")
        load = bluegreen.start("load", "data")
        ended = threading.Timer(3, long.rollback)
        ended.start()
        while load.poll() is None:
            begun = time.monotonic()
            users.execute("SELECT FROM public.users")
            worst = max(worst, time.monotonic() - begun)
            time.sleep(0.01)
        ended.join()
    _, stderr = load.communicate()
    assert load.returncode == 0, stderr
    assert worst < 1


@contextmanager
def leftover_in_use(bluegreen: Bluegreen, dsn: str, seconds: float) -> Iterator[None]:
    """Leave release 2 failed, and read from the table that its foreign key references, for so many seconds at most."""
    bluegreen.write_league()
    bluegreen.write("checks/never.sql", "SELECT 1 AS always")
    bluegreen("load", "data", "--checks", "checks", code=3)
    with psycopg.connect(dsn) as long:
        long.execute("SELECT FROM public.users")
        ended = threading.Timer(seconds, long.rollback)
        ended.start()
        yield
        ended.cancel()


def test_leftover_whose_foreign_key_is_in_use_does_not_stop_a_load(
    bluegreen: Bluegreen, users: Connection, dsn: str
) -> None:
    """The release that cannot be dropped stays, and the next load takes the next number."""
    with leftover_in_use(bluegreen, dsn, 60):
        done = bluegreen("load", "data")
    assert "release 2 was not dropped" in done.stderr
    assert one(users, "SELECT max(number) FROM bluegreen.release WHERE status = 'ready'") == 3


def test_prune_waits_for_a_reader_who_is_soon_done(bluegreen: Bluegreen, users: Connection, dsn: str) -> None:
    """Prune retries, with a pause in which sessions queued behind it run."""
    with leftover_in_use(bluegreen, dsn, 2):
        assert bluegreen.json("prune")["dropped"] == [2]
