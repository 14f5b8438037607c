"""Materialized views outside of live are built of the release, and exchanged in the swap."""

import psycopg
import pytest
from psycopg.rows import TupleRow

from bluegreen_etl import child_process, client_programs
from tests.acceptance.refusals import refused
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]


def one(connection: Connection, query: str) -> object:
    """Return the only value of a query."""
    row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


@pytest.fixture
def outside(connection: Connection, live: Live) -> Connection:
    """One with every feature, one with dependents of its own, and one that reads live through a view."""
    connection.execute(
        """
        CREATE SCHEMA app;
        ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT UPDATE ON TABLES TO PUBLIC;
        CREATE MATERIALIZED VIEW app.sizes WITH (fillfactor = 70) AS
            SELECT t.id, t.name AS "Team; {x}", count(p.id) AS n
            FROM league.teams t LEFT JOIN league.players p ON p.team_id = t.id GROUP BY t.id, t.name;
        ALTER DEFAULT PRIVILEGES IN SCHEMA app REVOKE UPDATE ON TABLES FROM PUBLIC;
        REVOKE ALL ON app.sizes FROM PUBLIC;
        ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT INSERT ON TABLES TO pg_monitor;
        CREATE UNIQUE INDEX sizes_id ON app.sizes (id) INCLUDE (n) WITH (fillfactor = 80);
        CREATE INDEX "by, n" ON app.sizes (n DESC) WHERE n > 0;
        COMMENT ON INDEX app."by, n" IS 'an index';
        ALTER MATERIALIZED VIEW app.sizes CLUSTER ON sizes_id;
        ALTER MATERIALIZED VIEW app.sizes ALTER COLUMN n SET STATISTICS 50;
        COMMENT ON MATERIALIZED VIEW app.sizes IS 'how many';
        COMMENT ON COLUMN app.sizes.n IS 'players';
        GRANT SELECT ON app.sizes TO pg_monitor WITH GRANT OPTION;
        GRANT SELECT (n) ON app.sizes TO PUBLIC;
        ALTER MATERIALIZED VIEW app.sizes OWNER TO pg_read_all_data;
        CREATE VIEW app.largest AS SELECT max(n) AS n FROM app.sizes;
        CREATE VIEW app.names AS SELECT id, name FROM league.players;
        CREATE MATERIALIZED VIEW app.kept AS SELECT id, name FROM app.names;
        CREATE UNIQUE INDEX kept_id ON app.kept (id);
        CREATE MATERIALIZED VIEW app.later AS SELECT count(*) AS n FROM app.names;
        CREATE MATERIALIZED VIEW app.empty AS SELECT 1 AS n FROM league.teams WITH NO DATA;
        """
    )
    return connection


def counts(connection: Connection) -> list[object]:
    """Return what readers of each find."""
    queries = ("sum(n) FROM app.sizes", "n FROM app.largest", "count(*) FROM app.kept", "n FROM app.later")
    return [one(connection, f"SELECT {query}") for query in queries]


def test_materialized_views_are_exchanged_in_the_swap(bluegreen: Bluegreen, live: Live, outside: Connection) -> None:
    """Rows, indexes, grants, owner and comments; what has grown on them; and nothing is left over, there and back."""
    app = live.definition("app")
    bluegreen.write_league()
    done = bluegreen("load", "data", "--promote")
    assert "app.later not refreshed: it has no unique index, so its readers would wait" in done.stderr
    assert counts(outside) == [3, 2, 3, 1]
    assert live.definition("app") == app
    bluegreen("rollback")
    assert counts(outside) == [1, 1, 1, 1]
    assert live.definition("app") == app
    bluegreen("promote", "2", "--rehearse")
    assert live.definition("app") == app
    assert bluegreen.json("prune", "--keep", "0")["dropped"] == [2]


def test_what_cannot_be_rebuilt_is_refused(bluegreen: Bluegreen, live: Live, outside: Connection) -> None:
    """One on another one, one that the release does not fit, and all of them where that is wanted."""
    bluegreen.write_league(teams="id,name\n0,None\n1,Ajax\n2,Łódź United\n")
    bluegreen("load", "data")
    app = live.definition("app")
    bluegreen.write("bluegreen.toml", '[promote]\nmaterialized_views = "refuse"\n')
    assert "sizes" in refused(bluegreen, "promote", live=live).sentence
    bluegreen.write("bluegreen.toml", "")
    outside.execute("CREATE MATERIALIZED VIEW app.more AS SELECT n FROM app.sizes")
    assert "app.more" in refused(bluegreen, "promote", live=live).sentence
    outside.execute("DROP MATERIALIZED VIEW app.more")
    outside.execute("CREATE MATERIALIZED VIEW app.more AS SELECT 1 / id AS n FROM league.teams")
    assert "cannot be created from the release: division by zero" in refused(bluegreen, "promote", live=live).sentence
    outside.execute("DROP MATERIALIZED VIEW app.more")
    assert live.definition("app") == app


def test_a_dry_run_is_a_script_that_builds_them(bluegreen: Bluegreen, live: Live, outside: Connection) -> None:
    """psql runs it as it is."""
    bluegreen.write_league()
    bluegreen("load", "data")
    script = bluegreen("promote", "--dry-run").stdout
    bluegreen.write("swap.sql", script)
    program = client_programs.client_program("psql", server_major=outside.info.server_version // 10000)
    child_process.output([program, "-X", "-f", str(bluegreen.directory / "swap.sql"), bluegreen.dsn], environment={})
    assert counts(outside)[0] == 3
