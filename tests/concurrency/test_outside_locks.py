"""Nobody who uses a table outside waits for a load, though foreign keys of the release refer to that table."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import TupleRow

from tests.support import Bluegreen

Connection = psycopg.Connection[TupleRow]
TABLES = 300
LONG = 0.1  # seconds
WATCH = """
    SELECT l.mode, EXTRACT(epoch FROM clock_timestamp() - a.xact_start)::float,
           (SELECT count(*) FROM pg_locks AS o WHERE o.pid = l.pid AND o.locktype = 'relation'), a.query
    FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
    WHERE l.relation = 'public.countries'::regclass AND l.granted
      AND l.mode IN ('ShareRowExclusiveLock', 'AccessExclusiveLock')
"""


@contextmanager
def watched(dsn: str) -> Iterator[list[TupleRow]]:
    """Collect the locks on the outside table that keep its readers or writers waiting."""
    found: list[TupleRow] = []
    stop = threading.Event()

    def watch() -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            while not stop.wait(0.001):
                found.extend(connection.execute(WATCH).fetchall())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def league(connection: Connection, bluegreen: Bluegreen) -> Bluegreen:
    """A live schema of many tables, one of which refers to a table outside, with a comment on that key."""
    connection.execute("CREATE TABLE public.countries (code int PRIMARY KEY); INSERT INTO public.countries VALUES (1)")
    connection.execute("CREATE SCHEMA league")
    for number in range(TABLES):
        key = "REFERENCES public.countries" if number == 7 else ""
        connection.execute(f"CREATE TABLE league.t{number} (id int PRIMARY KEY, code int {key})".encode())
        connection.execute(sql.SQL("INSERT INTO {} VALUES (1, 1)").format(sql.Identifier("league", f"t{number}")))
        bluegreen.write(f"data/t{number}.csv", "id,code\n1,1\n")
    connection.execute("SELECT pg_stat_force_next_flush()")  # else these rows could count as written after a load
    connection.execute("COMMENT ON CONSTRAINT t7_code_fkey ON league.t7 IS 'it''s of public.countries'")
    return bluegreen


@pytest.mark.parametrize("source", ["live", "ddl"])
def test_load_locks_no_outside_table_in_a_long_transaction(league: Bluegreen, dsn: str, source: str) -> None:
    """A clone never takes a lock that blocks readers there; what DDL has made is dropped alone."""
    tables = (f"CREATE TABLE t{n} (id int PRIMARY KEY, code int);" for n in range(TABLES))
    key = "ALTER TABLE t7 ADD CONSTRAINT t7_code_fkey FOREIGN KEY (code) REFERENCES public.countries;"
    league.write("ddl.sql", "\n".join([*tables, key]))
    league.write("bluegreen.toml", '[structure]\nddl = ["ddl.sql"]\n' if source == "ddl" else "")
    with watched(dsn) as found:
        league("load", "data", "--structure", source)
    exclusive = [each for each in found if each[0] == "AccessExclusiveLock"]
    assert [each for each in exclusive if source == "live" or each[1] > LONG] == []
    if source == "live":  # the project's own DDL adds its keys when it likes
        assert [each for each in found if each[0] == "ShareRowExclusiveLock" and each[1] > LONG] == []
    league("promote")
    with psycopg.connect(dsn) as connection:
        query = (
            "SELECT convalidated, obj_description(oid, 'pg_constraint') FROM pg_constraint "
            "WHERE conname = 't7_code_fkey' AND connamespace = 'league'::regnamespace"
        )
        assert connection.execute(query).fetchall() == [(True, "it's of public.countries")]


def alone(found: list[TupleRow]) -> bool:
    """Return whether each transaction that blocked readers of the outside table held few other locks, and for long."""
    exclusive = [each for each in found if each[0] == "AccessExclusiveLock"]
    return all(duration < LONG and relations < TABLES // 10 for _, duration, relations, _ in exclusive)


def test_dropped_releases_lock_an_outside_table_alone(league: Bluegreen, dsn: str) -> None:
    """Prune, the prune of a promote, the next load and a load that fails: the key is dropped before the schema."""
    league.write("bluegreen.toml", "[retention]\nkeep = 0\n")
    league("load", "data")
    with watched(dsn) as found:
        league("promote")
    assert alone(found)
    league.write("bluegreen.toml", '[checks]\npath = "checks"\n')
    league.write("checks/no.sql", "SELECT 1")
    league("load", "data", code=3)
    with watched(dsn) as found:
        league("prune", "--keep", "0")
    assert alone(found)
    league("load", "data", code=3)
    league.write("checks/no.sql", "SELECT 1 WHERE false")
    with watched(dsn) as found:
        league("load", "data")
    assert alone(found)
    league.write("data/t9.csv", "id,code\n1,1\n1,1\n")
    with watched(dsn) as found:
        league("load", "data", code=1)
    assert not [each for each in found if each[1] > LONG]


def test_release_whose_key_cannot_be_dropped_now_stays_whole(league: Bluegreen, dsn: str) -> None:
    """A reader of the outside table: prune gives up, and a rollback to the release still works."""
    league("load", "data", "--promote")
    with psycopg.connect(dsn) as reader:
        reader.execute("SELECT * FROM public.countries")
        refused = league.json("prune", "--keep", "0")["refused"]
        assert "cannot be dropped now" in refused["1"]
    league("rollback")
    query = "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'league'::regnamespace"
    with psycopg.connect(dsn) as connection:
        assert connection.execute(query).fetchone() == (1,)


def test_a_long_reader_of_an_outside_table_stops_no_clone(league: Bluegreen, dsn: str) -> None:
    """Its lock conflicts with nothing that a load of a clone does, nor with a program that fills it."""
    with psycopg.connect(dsn) as reader:
        reader.execute("SELECT * FROM public.countries")
        league("load", "data")
        league("run", "--", "true", code=3)


def test_key_to_an_outside_table_survives_run_and_restore(league: Bluegreen, dsn: str) -> None:
    """It is there before the program begins, and after the rows of a backup."""
    path = league.json("backup", "--to", "b")["path"]
    league("restore", path)
    league("run", "--", "sh", "-c", "exit 0", code=3)
    query = (
        "SELECT connamespace::regnamespace::text, convalidated, obj_description(oid, 'pg_constraint') "
        "FROM pg_constraint WHERE conname = 't7_code_fkey' ORDER BY 1"
    )
    with psycopg.connect(dsn) as connection:
        comment = "it's of public.countries"
        found = connection.execute(query).fetchall()
    assert found == [(schema, True, comment) for schema in ("league", "league__r2", "league__r3")]
