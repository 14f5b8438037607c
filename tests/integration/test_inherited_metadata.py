"""What live has and the project's DDL does not speak of is carried over; what the DDL says counts."""

import psycopg
from psycopg.rows import TupleRow

from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
DDL = Live.DDL.partition("INSERT")[0].replace("CREATE SCHEMA league;", "")
ADDED = """
    COMMENT ON SCHEMA league IS 'for everyone';
    COMMENT ON TABLE league.teams IS 'they play';
    COMMENT ON COLUMN league.teams.name IS 'as printed';
    COMMENT ON CONSTRAINT teams_pkey ON league.teams IS 'a key';
    CREATE POLICY named ON league.teams FOR SELECT USING (name <> '');
    COMMENT ON POLICY named ON league.teams IS 'a policy';
    ALTER TABLE league.teams ENABLE ROW LEVEL SECURITY;
    ALTER TABLE league.teams FORCE ROW LEVEL SECURITY;
    COMMENT ON VIEW league.squads IS 'how many';
    GRANT SELECT (name), UPDATE (name) ON league.teams TO PUBLIC;
"""
DEFAULTS = "ALTER DEFAULT PRIVILEGES IN SCHEMA league GRANT SELECT ON TABLES TO PUBLIC"
TOML = '[structure]\nddl = ["schema.sql"]\n'


def test_what_the_ddl_does_not_define_stays(bluegreen: Bluegreen, live: Live, connection: Connection) -> None:
    """Comments, policies and row-level security: live's dump is the same after a release of the bare DDL."""
    connection.execute(ADDED.encode())
    connection.execute(DEFAULTS.encode())
    bluegreen.write("schema.sql", DDL)
    bluegreen.write("bluegreen.toml", TOML)
    bluegreen.write_league()
    before = live.definition()
    bluegreen("load", "data", "--promote")
    assert live.definition() == before


def test_what_the_ddl_says_counts(bluegreen: Bluegreen, live: Live, connection: Connection) -> None:
    """A comment and a policy of its own replace live's; what it has dropped takes its comment and policy along."""
    connection.execute(ADDED.encode())
    connection.execute("COMMENT ON COLUMN league.players.note IS 'gone'")
    own = "COMMENT ON TABLE teams IS 'all of them'; CREATE POLICY named ON teams FOR SELECT USING (id > 0);"
    bluegreen.write("schema.sql", DDL.replace("born date,\n            note text", "born date") + own)
    bluegreen.write("bluegreen.toml", TOML)
    bluegreen.write_league(players="id,team_id,name\n1,1,Ann\n")
    bluegreen("load", "data")
    bluegreen("promote", "--allow-drop")
    now = live.definition()
    assert "COMMENT ON TABLE league.teams IS 'all of them'" in now
    assert "CREATE POLICY named ON league.teams FOR SELECT USING ((id > 0))" in now
    assert "'as printed'" in now
    assert "'gone'" not in now
    assert "they play" not in now


def test_program_that_makes_its_tables_anew_keeps_them_secure(
    bluegreen: Bluegreen, live: Live, connection: Connection
) -> None:
    """A program's tables get them as DDL tables do; a policy that cannot be re-created stops the promote."""
    connection.execute(ADDED.encode())
    before = live.definition()
    rows = "INSERT INTO teams VALUES (1, 'Ajax'); INSERT INTO players (team_id, name) VALUES (1, 'Ann')"
    anew = f"DROP TABLE teams, players CASCADE; {DDL.replace('league.', '')}; {rows}"
    bluegreen("run", "--promote", "--", "psql", "-v", "ON_ERROR_STOP=1", "-c", anew)
    assert live.definition() == before
    without = "DROP VIEW squads; ALTER TABLE teams DROP COLUMN name CASCADE; " + rows.replace(", 'Ajax'", "")
    bluegreen("run", "--", "psql", "-v", "ON_ERROR_STOP=1", "-c", without)
    done = bluegreen("promote", "--allow-drop", code=1)
    assert "lacks what protects the rows of live: policy named of teams" in done.stderr
