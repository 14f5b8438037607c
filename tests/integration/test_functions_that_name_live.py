"""Functions that name live: by their search path, which follows the release; by their text, which is refused."""

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
PATHS = ["league", "public, league", "league, pg_temp"]


@pytest.fixture
def total(connection: Connection) -> Connection:
    """A table of one row, and a materialized view of a function over it."""
    connection.execute("CREATE SCHEMA league; CREATE TABLE league.t (id int, n text); INSERT INTO league.t VALUES (1)")
    connection.execute("SELECT pg_stat_force_next_flush()")
    return connection


@pytest.mark.parametrize("path", PATHS)
def test_search_path_of_a_function_follows_the_release(
    bluegreen: Bluegreen, total: Connection, database: str, path: str
) -> None:
    """Materialized views are filled from the release; afterwards the function reads live, there and back."""
    body = "BEGIN RETURN (SELECT count(*) FROM t); END"
    total.execute(f"CREATE FUNCTION league.total() RETURNS bigint LANGUAGE plpgsql AS '{body}'".encode())
    total.execute(f"ALTER FUNCTION league.total() SET search_path = {path}".encode())
    total.execute("CREATE MATERIALIZED VIEW league.stats AS SELECT league.total() AS n")
    before = Live(database).dump()
    bluegreen.write("data/t.csv", "id\n1\n2\n3\n")
    loaded = bluegreen("load", "data").stderr
    assert "differs from live" not in loaded
    assert total.execute("SELECT n FROM league__r2.stats").fetchone() == (3,)
    assert total.execute("SELECT league__r2.total(), league.total()").fetchone() == (3, 1)
    bluegreen("promote")
    assert total.execute("SELECT n, league.total() FROM league.stats").fetchone() == (3, 3)
    bluegreen("rollback")
    assert Live(database).dump() == before
    bluegreen("promote", "2")
    assert total.execute("SELECT n, league.total() FROM league.stats").fetchone() == (3, 3)
    bluegreen("load", "data", "--promote")
    assert total.execute("SELECT n, league.total() FROM league.stats").fetchone() == (3, 3)


def test_search_path_is_no_part_of_a_statement(bluegreen: Bluegreen, total: Connection) -> None:
    """The owner of a function may have put any text into it, and operators into a schema of it."""
    total.execute("""
        CREATE SCHEMA evil; CREATE TABLE evil.seen (what text);
        CREATE FUNCTION evil.joined(text, text) RETURNS text LANGUAGE sql AS
            $$ INSERT INTO evil.seen VALUES ('||'); SELECT pg_catalog.concat($1, $2) $$;
        CREATE OPERATOR evil.|| (leftarg = text, rightarg = text, function = evil.joined);
        CREATE FUNCTION league.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
        BEGIN;
        SELECT set_config('search_path', 'evil,league,pg_catalog,x;drop/**/table/**/league.t', true);
        ALTER FUNCTION league.f() SET search_path FROM CURRENT;
        COMMIT""")
    bluegreen.write("data/t.csv", "id\n1\n2\n")
    bluegreen("load", "data", "--promote")
    assert total.execute("SELECT count(*) FROM league.t").fetchone() == (2,)
    assert total.execute("SELECT * FROM evil.seen").fetchall() == []
    [(path,)] = total.execute("SELECT proconfig[1] FROM pg_proc WHERE oid = 'league.f'::regproc").fetchall()
    assert path == 'search_path=evil, league, pg_catalog, "x;drop/**/table/**/league.t"'


def test_check_reads_the_release_by_functions(bluegreen: Bluegreen, total: Connection) -> None:
    """A check that calls a function of live with its own search path judges the release, not live."""
    total.execute("""
        CREATE FUNCTION league.bad_rows() RETURNS SETOF int LANGUAGE sql STABLE SET search_path = league
            AS $$ SELECT id FROM t WHERE n = 'bad' $$""")
    bluegreen.write("checks/bad.sql", "SELECT * FROM bad_rows()")
    bluegreen.write("data/t.csv", "id,n\n1,bad\n")
    assert "bad" in bluegreen("load", "data", "--promote", "--checks", "checks", code=3).stderr
    assert total.execute("SELECT count(*) FROM league.t").fetchone() == (1,)


USES = {
    "check constraint": "ALTER TABLE league.t ADD CONSTRAINT known CHECK (league.known(n))",
    "index": "CREATE INDEX by_known ON league.t (league.known(n))",
    "generated column": "ALTER TABLE league.t ADD k boolean GENERATED ALWAYS AS (league.known(n)) STORED",
    "materialized view": "CREATE MATERIALIZED VIEW league.mv AS SELECT league.known('x')",
    "view": "CREATE VIEW league.v AS SELECT league.known(n) FROM league.t; "
    "CREATE MATERIALIZED VIEW league.mv AS SELECT * FROM league.v",
}
TEXTS = {
    "sql": "LANGUAGE sql IMMUTABLE AS 'SELECT $1 IS NULL OR EXISTS (SELECT FROM league.ref WHERE n = $1)'",
    "plpgsql": """LANGUAGE plpgsql IMMUTABLE AS
        'BEGIN RETURN $1 IS NULL OR EXISTS (SELECT FROM "league" . ref WHERE n = $1); END'""",
}


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_function_whose_text_names_live_is_refused_before_a_row_is_copied(
    bluegreen: Bluegreen, total: Connection, use: str, text: str
) -> None:
    """The message names the function and what calls it; a setting accepts it with a warning."""
    total.execute(
        f"CREATE TABLE league.ref (n text); CREATE FUNCTION league.known(text) RETURNS boolean {text}".encode()
    )
    total.execute(use.encode())
    bluegreen.write("data/t.csv", "id\n1\n")
    bluegreen.write("data/ref.csv", "n\nx\n")
    for arguments in (("load", "data"), ("load", "data", "--dry-run")):
        said = bluegreen(*arguments, code=1).stderr
        assert "function league.known(text) names league.ref, and " in said
        assert "copy …" not in said
    bluegreen.write("bluegreen.toml", '[structure]\nfunctions_that_name_live = "warn"\n')
    assert "warning: function league.known(text) names league.ref" in bluegreen("load", "data", "--dry-run").stderr


def test_function_that_nothing_calls_while_loading_may_name_live(bluegreen: Bluegreen, total: Connection) -> None:
    """Comments and strings are no names, and a function for users runs when the release is live."""
    total.execute("""
        CREATE FUNCTION league.for_users() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM league.t';
        CREATE FUNCTION league.fine(text) RETURNS boolean LANGUAGE sql IMMUTABLE
            AS $$ SELECT $1 <> 'league.t' /* league.t */ -- league.t $$;
        ALTER TABLE league.t ADD CHECK (league.fine(n))""")
    bluegreen.write("data/t.csv", "id\n1\n")
    bluegreen("load", "data", "--promote")
