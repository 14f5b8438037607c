"""What the swap re-creates outside live is as it was afterwards: a dump of the whole database is the judge."""

import psycopg
import pytest
from psycopg.rows import TupleRow

from bluegreen_etl import child_process, client_programs
from tests.support import Bluegreen, Live, needs_extension

Connection = psycopg.Connection[TupleRow]


def definition(connection: Connection, dsn: str) -> str:
    """Return pg_dump's text of all schemas but the tool's."""
    program = client_programs.client_program("pg_dump", server_major=connection.info.server_version // 10000)
    options = ["--schema-only", "--exclude-schema=bluegreen", "--exclude-schema=league__r*", "--dbname", dsn]
    lines = child_process.output([program, *options], environment={}).splitlines()
    return "\n".join(line for line in lines if not line.startswith(("\\restrict", "\\unrestrict")))


def firing(connection: Connection) -> list[TupleRow]:
    """Return how the triggers of the outside foreign key fire, which no dump has."""
    return connection.execute("""
        SELECT c.relname, t.tgtype, t.tgenabled::text FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
        JOIN pg_constraint AS k ON k.oid = t.tgconstraint WHERE k.conrelid = 'app.visits'::regclass ORDER BY 1, 2
    """).fetchall()


def there_and_back(bluegreen: Bluegreen, connection: Connection) -> None:
    """Promote and roll back; assert that nothing is different after either."""
    before, fired = definition(connection, bluegreen.dsn), firing(connection)
    bluegreen.write_league()
    for command in (("load", "data", "--promote"), ("rollback",)):
        bluegreen(*command)
        assert definition(connection, bluegreen.dsn) == before
        assert firing(connection) == fired


@pytest.fixture
def outside(connection: Connection, live: Live) -> Connection:
    """A schema with a table that refers to live."""
    connection.execute("CREATE SCHEMA app; CREATE TABLE app.visits (id int, team int REFERENCES league.teams)")
    return connection


def test_children_keep_their_own_defaults(bluegreen: Bluegreen, outside: Connection) -> None:
    """The default of a parent is re-created on the parent only."""
    outside.execute("""
        CREATE SEQUENCE league.s;
        CREATE TABLE app.par (id int DEFAULT nextval('league.s'), k int);
        CREATE TABLE app.child () INHERITS (app.par); ALTER TABLE app.child ALTER id SET DEFAULT 5;
    """)
    there_and_back(bluegreen, outside)


def test_dependencies_on_extensions_stay(bluegreen: Bluegreen, outside: Connection) -> None:
    """Of a function, a procedure, a trigger, a materialized view and its index."""
    needs_extension(outside, "citext")
    outside.execute("""
        CREATE EXTENSION citext;
        CREATE FUNCTION app.f() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM league.teams; END;
        ALTER FUNCTION app.f() DEPENDS ON EXTENSION citext;
        CREATE PROCEDURE app.p() BEGIN ATOMIC DELETE FROM league.players; END;
        ALTER PROCEDURE app.p() DEPENDS ON EXTENSION citext;
        CREATE FUNCTION league.tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
        CREATE TRIGGER g BEFORE INSERT ON app.visits FOR EACH ROW EXECUTE FUNCTION league.tf();
        ALTER TRIGGER g ON app.visits DEPENDS ON EXTENSION citext;
        ALTER TABLE app.visits DISABLE TRIGGER g;
        CREATE MATERIALIZED VIEW app.m AS SELECT id FROM league.teams;
        CREATE INDEX mi ON app.m (id);
        ALTER MATERIALIZED VIEW app.m DEPENDS ON EXTENSION citext;
        ALTER INDEX app.mi DEPENDS ON EXTENSION citext;
    """)
    bluegreen.write("bluegreen.toml", '[promote]\nmaterialized_views = "rebuild"\n')
    there_and_back(bluegreen, outside)


@pytest.mark.parametrize("how", ["DISABLE TRIGGER ALL", "ENABLE REPLICA TRIGGER {}", "ENABLE ALWAYS TRIGGER {}"])
def test_triggers_of_keys_fire_as_before(bluegreen: Bluegreen, outside: Connection, how: str) -> None:
    """All triggers of a table are disabled, or one fires in another case."""
    [(name,)] = outside.execute(
        "SELECT quote_ident(tgname) FROM pg_trigger WHERE tgrelid = 'app.visits'::regclass AND tgtype = 5"
    ).fetchall()
    outside.execute(f"ALTER TABLE app.visits {how.format(name)}".encode())
    there_and_back(bluegreen, outside)
