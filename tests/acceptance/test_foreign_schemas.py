"""A schema that bluegreen did not create is never dropped, whatever its name."""

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.support import Bluegreen, Live

CONFIGURATION = '[structure]\nddl = ["schema.sql"]\n'


def make_foreign(connection: psycopg.Connection[TupleRow]) -> None:
    """Save rows in a schema of the name that release 2 would have."""
    connection.execute("CREATE SCHEMA league__r2")
    connection.execute("CREATE TABLE league__r2.precious AS SELECT generate_series(1, 10) AS id")


def assert_foreign_untouched(connection: psycopg.Connection[TupleRow]) -> None:
    """The rows are still there."""
    assert connection.execute("SELECT count(*) FROM league__r2.precious").fetchone() == (10,)


@pytest.mark.parametrize("command", [("load", "data"), ("prune",)])
@pytest.mark.usefixtures("live")
def test_schema_with_the_name_of_a_failed_release_is_not_dropped(
    bluegreen: Bluegreen, connection: psycopg.Connection[TupleRow], command: tuple[str, ...]
) -> None:
    """The DDL fails before there is a schema; then another session uses the free name."""
    bluegreen.write_league()
    bluegreen.write("bluegreen.toml", CONFIGURATION)
    bluegreen.write("schema.sql", "CREATE TABEL teams (id int);")
    bluegreen("load", "data", code=1)
    make_foreign(connection)
    bluegreen.write("bluegreen.toml", "")
    bluegreen(*command)
    assert_foreign_untouched(connection)
    state = bluegreen.json("status")
    assert [item["status"] for item in state["releases"] if item["number"] == 2] == ["pruned"]


@pytest.mark.usefixtures("live")
def test_schema_created_during_a_load_is_not_dropped_by_it(
    bluegreen: Bluegreen, connection: psycopg.Connection[TupleRow]
) -> None:
    """The load fails because the name is taken, and leaves the schema of the other session alone."""
    bluegreen.write_league()
    bluegreen.write("bluegreen.toml", CONFIGURATION)
    bluegreen.write("schema.sql", "CREATE TABLE teams (id int); SELECT pg_sleep(2);")
    loading = bluegreen.start("load", "data")
    active = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
    while connection.execute(active).fetchone() == (0,):
        assert loading.poll() is None, loading.communicate()
    make_foreign(connection)
    stderr = loading.communicate()[1]
    assert loading.returncode != 0, stderr
    assert_foreign_untouched(connection)


def test_schema_of_a_release_that_was_exchanged_by_hand_is_not_dropped(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """Another schema has the name of a previous release, whose own schema is gone."""
    bluegreen.write_league()
    bluegreen("load", "data", "--promote")
    before = live.dump()
    connection.execute("DROP SCHEMA league__r1 CASCADE")
    connection.execute("CREATE SCHEMA league__r1")
    bluegreen("prune", "--keep", "0")
    assert connection.execute("SELECT to_regnamespace('league__r1') IS NOT NULL").fetchone() == (True,)
    assert live.dump() == before
