"""A publication for all tables publishes shadows too: known before anything is written."""

import psycopg
import pytest

from tests import servers
from tests.acceptance.refusals import refused
from tests.support import Bluegreen, Live


def test_publication_for_all_tables_is_refused_where_somebody_subscribes(
    request: pytest.FixtureRequest, bluegreen: Bluegreen
) -> None:
    """A subscriber would get rows for tables in a schema that it does not have, and stop."""
    major = request.config.getoption("--postgres")
    with servers.place() as directory, servers.running(major, directory / "data") as own:
        with psycopg.connect(own.dsn, autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET wal_level = logical")
        own.crash()
        own.start()
        with psycopg.connect(own.dsn, autocommit=True) as connection:
            connection.execute(Live.DDL)
            connection.execute("SELECT pg_stat_force_next_flush()")
            connection.execute("CREATE PUBLICATION everything FOR ALL TABLES")
            there = Bluegreen(own.dsn, bluegreen.directory)
            there.write_league()
            there("load", "data")
            connection.execute("SELECT pg_create_logical_replication_slot('subscriber', 'pgoutput')")
            said = refused(there, "load", "data", live=Live(own.dsn))
            assert said.sentence.startswith("publication everything is for all tables, and somebody subscribes")
            connection.execute("SELECT pg_drop_replication_slot('subscriber')")
