"""The project's DDL scripts change nothing outside the release, and lose nothing that live has."""

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
DDL = """
    CREATE TABLE teams (id int PRIMARY KEY, name text NOT NULL);
    CREATE TABLE players (id int PRIMARY KEY, team_id int NOT NULL, name text NOT NULL, born date, note text);
"""
WITH_DDL = '[structure]\nddl = ["schema.sql"]\n'


def one(connection: Connection, query: str) -> object:
    """Return the only value of a query's only row."""
    row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def test_ddl_cannot_point_an_outside_view_at_the_shadow(
    bluegreen: Bluegreen, live: Live, connection: Connection
) -> None:
    """CREATE OR REPLACE VIEW on a view in another schema is refused, and that view reads live as before."""
    connection.execute("CREATE VIEW public.report AS SELECT count(*) AS n FROM league.teams")
    bluegreen.write_league()
    bluegreen.write(
        "schema.sql", "\n".join([DDL, "CREATE OR REPLACE VIEW public.report AS SELECT count(*) AS n FROM teams;"])
    )
    bluegreen.write("bluegreen.toml", WITH_DDL)
    done = bluegreen("load", "data", code=1)
    assert "a script drops or changes public.report, outside of league" in done.stderr
    assert one(connection, "SELECT n FROM public.report") == 2


def test_ddl_cannot_make_an_outside_view_that_reads_the_shadow(
    bluegreen: Bluegreen, live: Live, connection: Connection
) -> None:
    """Such a view would be dropped with the shadow, and would show a release before it is live."""
    bluegreen.write_league()
    bluegreen.write("schema.sql", "\n".join([DDL, "CREATE VIEW public.report AS SELECT count(*) AS n FROM teams;"]))
    bluegreen.write("bluegreen.toml", WITH_DDL)
    done = bluegreen("load", "data", code=1)
    assert "an object outside league depends on the release" in done.stderr
    assert one(connection, "SELECT to_regclass('public.report')") is None


def test_bare_drop_in_ddl_does_not_reach_another_schema(
    bluegreen: Bluegreen, live: Live, connection: Connection
) -> None:
    """DROP TABLE IF EXISTS finds the table in public, because the shadow is empty: the load fails and keeps it."""
    connection.execute("CREATE TABLE public.teams AS SELECT 7 AS id")
    bluegreen.write_league()
    bluegreen.write("schema.sql", "DROP TABLE IF EXISTS teams CASCADE;" + DDL)
    bluegreen.write("bluegreen.toml", WITH_DDL)
    done = bluegreen("load", "data", code=1)
    assert "a script drops or changes public.teams, outside of league" in done.stderr
    assert one(connection, "SELECT id FROM public.teams") == 7


def test_ddl_keeps_the_owners_of_live(bluegreen: Bluegreen, live: Live, connection: Connection, role: str) -> None:
    """An application that reads as the owner of schema and tables can still read after a load from DDL."""
    connection.execute(
        sql.SQL("ALTER SCHEMA league OWNER TO {0}; ALTER TABLE league.teams OWNER TO {0}").format(sql.Identifier(role))
    )
    bluegreen.write_league()
    bluegreen.write("schema.sql", DDL)
    bluegreen.write("bluegreen.toml", WITH_DDL)
    bluegreen("load", "data", "--promote", "--allow-drop")
    assert one(connection, "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'league'") == role
    assert one(connection, "SELECT relowner::regrole::text FROM pg_class WHERE oid = 'league.teams'::regclass") == role


def test_policies_that_ddl_lacks_are_not_left_behind(bluegreen: Bluegreen, live: Live, connection: Connection) -> None:
    """Policies are copied from live; promote refuses if one was dropped from the release, and --force overrides."""
    connection.execute("ALTER TABLE league.teams ENABLE ROW LEVEL SECURITY")
    connection.execute("CREATE POLICY hidden ON league.teams USING (false)")
    bluegreen.write_league()
    bluegreen.write("schema.sql", DDL)
    bluegreen.write("bluegreen.toml", WITH_DDL)
    bluegreen("load", "data")
    connection.execute("DROP POLICY hidden ON league__r2.teams")
    done = bluegreen("promote", "--allow-drop", code=1)
    assert "lacks what protects the rows of live: policy hidden of teams" in done.stderr
    assert one(connection, "SELECT relrowsecurity FROM pg_class WHERE oid = 'league.teams'::regclass") is True
    bluegreen("promote", "--force", "--allow-drop")
