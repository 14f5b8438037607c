"""A load by a role that is no superuser: what the role cannot see, and which policies hold for it."""

import psycopg
from psycopg import conninfo, sql
from psycopg.rows import TupleRow

from tests.support import Bluegreen

Connection = psycopg.Connection[TupleRow]


def one(connection: Connection, query: str) -> object:
    """Return the only value of a query's only row."""
    row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def test_snapshot_of_another_role_is_waited_for(
    bluegreen: Bluegreen, connection: Connection, dsn: str, role: str
) -> None:
    """Promote waits even if the loader cannot see the session's state: the reader would find the new table empty."""
    connection.execute(sql.SQL("CREATE SCHEMA league AUTHORIZATION {}").format(sql.Identifier(role)))
    with psycopg.connect(dsn, user=role, autocommit=True) as owner:
        owner.execute("CREATE TABLE league.teams (id int, name text) PARTITION BY RANGE (id)")
        owner.execute("CREATE TABLE league.teams_all PARTITION OF league.teams DEFAULT")
    bluegreen.write("data/teams.csv", "id,name\n1,new\n")
    own = Bluegreen(conninfo.make_conninfo(dsn, user=role), bluegreen.directory)
    with psycopg.connect(dsn) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute("SELECT FROM pg_class")
        own("load", "data")
        done = own("promote", "--max-wait", "0.5", code=4)
    assert "transactions older than the load would find release 2 empty" in done.stderr


def test_policies_that_hold_for_the_loader_are_reported_and_not_applied(
    bluegreen: Bluegreen, connection: Connection, dsn: str, role: str
) -> None:
    """With FORCE ROW LEVEL SECURITY the loader would miss rows: a sequence would be behind, a check would pass."""
    connection.execute(sql.SQL("CREATE SCHEMA league AUTHORIZATION {}").format(sql.Identifier(role)))
    with psycopg.connect(dsn, user=role, autocommit=True) as owner:
        owner.execute("CREATE TABLE league.teams (id serial PRIMARY KEY, name text)")
        owner.execute("ALTER TABLE league.teams ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
        owner.execute("CREATE POLICY low ON league.teams USING (id < 2)")
    bluegreen.write("data/teams.csv", "id,name\n1,a\n9,b\n")
    own = Bluegreen(conninfo.make_conninfo(dsn, user=role), bluegreen.directory)
    done = own("load", "data", code=1)
    assert "policies are forced on teams, and role " in done.stderr
    connection.execute(sql.SQL("ALTER ROLE {} BYPASSRLS").format(sql.Identifier(role)))
    own("load", "data", "--promote")
    assert one(connection, "SELECT last_value FROM league.teams_id_seq") == 9
