"""Publications of live: refused beforehand, or followed where that is said, and what subscribers need then."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg import conninfo
from psycopg.rows import TupleRow

from tests import servers
from tests.acceptance.refusals import refused
from tests.concurrency import scene
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
SUBSCRIBE = (
    "CREATE SUBSCRIPTION copy CONNECTION '{}' PUBLICATION players WITH (create_slot = false, slot_name = 'copy')"
)
PUBLISHED = """
    SELECT pubname, schemaname, tablename, attnames, rowfilter FROM pg_publication_tables
    UNION ALL SELECT p.pubname, n.nspname, NULL, NULL, NULL
    FROM pg_publication_namespace s JOIN pg_publication p ON p.oid = s.pnpubid JOIN pg_namespace n ON n.oid = s.pnnspid
    ORDER BY 1, 2, 3
"""


@pytest.fixture(scope="module")
def logical(request: pytest.FixtureRequest) -> Iterator[str]:
    """DSN of a server from which others can replicate."""
    major = request.config.getoption("--postgres")
    with servers.place() as directory, servers.running(major, directory / "data") as own:
        with psycopg.connect(own.dsn, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET wal_level = logical")
        own.crash()
        own.start()
        yield own.dsn


@pytest.fixture
def there(logical: str, bluegreen: Bluegreen) -> Iterator[Bluegreen]:
    """The executable against a database of that server, where live has the small league."""
    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(logical, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    own = Bluegreen(conninfo.make_conninfo(logical, dbname=name), bluegreen.directory)
    own.write_league()
    with psycopg.connect(own.dsn, autocommit=True) as connection:
        connection.execute(Live.DDL)
        connection.execute("SELECT pg_stat_force_next_flush()")
    yield own
    with psycopg.connect(logical, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def publisher(there: Bluegreen) -> Iterator[Connection]:
    """A connection to it, in autocommit mode."""
    with psycopg.connect(there.dsn, autocommit=True) as connection:
        yield connection


def test_publication_for_all_tables_is_refused_where_somebody_subscribes(
    there: Bluegreen, publisher: Connection
) -> None:
    """A subscriber would get rows for tables in a schema that it does not have, and stop."""
    publisher.execute("CREATE PUBLICATION everything FOR ALL TABLES")
    there("load", "data")
    publisher.execute("SELECT pg_create_logical_replication_slot('subscriber', 'pgoutput')")
    said = refused(there, "load", "data", live=Live(there.dsn))
    assert said.sentence.startswith("publication everything is for all tables and has a subscriber")
    publisher.execute("SELECT pg_drop_replication_slot('subscriber')")


def test_publications_follow_if_the_settings_say_so(there: Bluegreen, publisher: Connection) -> None:
    """Column lists and row filters stay; a subscriber gets later writes, and everything after a fresh copy."""
    publisher.execute("CREATE TABLE public.others (id int PRIMARY KEY)")
    publisher.execute(
        "CREATE PUBLICATION players FOR TABLE league.players (id, name) WHERE (id > 0), public.others "
        "WITH (publish = 'insert')"
    )
    publisher.execute("CREATE PUBLICATION schemas FOR TABLES IN SCHEMA league, TABLE public.others")
    before = publisher.execute(PUBLISHED).fetchall()
    publisher.execute("CREATE DATABASE mirror")
    publisher.execute("SELECT pg_create_logical_replication_slot('copy', 'pgoutput')")
    with psycopg.connect(conninfo.make_conninfo(there.dsn, dbname="mirror"), autocommit=True) as mirror:
        mirror.execute("CREATE SCHEMA league; CREATE TABLE league.players (id int PRIMARY KEY, name text)")
        mirror.execute("CREATE TABLE public.others (id int PRIMARY KEY)")
        mirror.execute(SUBSCRIBE.format(there.dsn).encode())

        def names() -> list[str]:
            return [row[0] for row in mirror.execute("SELECT name FROM league.players ORDER BY id")]

        scene.wait_until(lambda: names() == ["old player"])
        said = refused(there, "load", "data", live=Live(there.dsn))
        assert said.sentence.startswith("publication players, schemas publishes tables of league")
        there.write("bluegreen.toml", '[promote]\npublications = "follow"\n')
        there("load", "data")
        done = there("promote")
        assert "publication players was moved: its subscribers lack the rows of release 2" in done.stderr
        assert publisher.execute(PUBLISHED).fetchall() == before
        publisher.execute("INSERT INTO league.players (id, team_id, name) VALUES (9, 1, 'Bo')")
        scene.wait_until(lambda: names() == ["old player", "Bo"])
        mirror.execute("ALTER SUBSCRIPTION copy REFRESH PUBLICATION")
        states = mirror.execute("SELECT DISTINCT srsubstate::text FROM pg_subscription_rel").fetchall()
        assert states == [("r",)]  # nothing that would have to be copied
        mirror.execute("DROP SUBSCRIPTION copy")
        mirror.execute("TRUNCATE league.players")
        publisher.execute("SELECT pg_create_logical_replication_slot('copy', 'pgoutput')")
        mirror.execute(SUBSCRIBE.format(there.dsn).encode())
        scene.wait_until(lambda: names() == ['Robert "Bobby" Øst', "Zoë", "Ann", "Bo"])
        there("rollback")
        assert publisher.execute(PUBLISHED).fetchall() == before
        mirror.execute("DROP SUBSCRIPTION copy")
    publisher.execute("DROP DATABASE mirror")
