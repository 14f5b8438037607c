"""Dependents of live in other schemas move with the swap, in both directions, or promote refuses."""

import sys

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import TupleRow

from tests.support import PLAYERS, Bluegreen, Live

Connection = psycopg.Connection[TupleRow]


def one(connection: Connection, query: str) -> object:
    """Return the only value of a query."""
    row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


@pytest.fixture
def outside(connection: Connection, live: Live) -> Connection:
    """Views on live, a view on a view, a function with a parsed body and a table with a foreign key, all outside."""
    connection.execute(
        """
        CREATE SCHEMA app;
        CREATE TYPE league.mood AS ENUM ('fine');
        CREATE FUNCTION league.motto() RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT 'win' $$;
        CREATE VIEW app.names WITH (security_invoker = true, security_barrier = true)
            AS SELECT id, name FROM league.players WHERE name NOT LIKE '%{x}%';
        CREATE VIEW app.count AS SELECT count(*) AS n FROM app.names;
        COMMENT ON VIEW app.names IS 'who plays';
        GRANT SELECT ON app.names TO PUBLIC;
        CREATE FUNCTION app.how_many() RETURNS bigint LANGUAGE sql
            BEGIN ATOMIC SELECT count(*) FROM league.players; END;
        CREATE TABLE app.bookings (id int, player_id int, CONSTRAINT booked FOREIGN KEY (player_id)
            REFERENCES league.players ON DELETE CASCADE);
        COMMENT ON CONSTRAINT booked ON app.bookings IS 'of a player';
        INSERT INTO app.bookings VALUES (1, 1), (2, NULL);
        """
    )
    return connection


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("datestyle", "SQL, DMY"),
        ("datestyle", "German"),
        ("intervalstyle", "sql_standard"),
        ("quote_all_identifiers", "on"),
        ("standard_conforming_strings", "off"),
        ("extra_float_digits", "-3"),
        ("bytea_output", "escape"),
        ("xmloption", "document"),
    ],
)
def test_settings_of_the_database_change_nothing(
    bluegreen: Bluegreen, outside: Connection, setting: str, value: str
) -> None:
    """A default that shapes the server's texts: what the tool reads from the server is the same."""
    name = sql.Identifier(outside.info.dbname)
    outside.execute(sql.SQL("ALTER DATABASE {} SET {} = {}").format(name, sql.Identifier(setting), sql.Literal(value)))
    bluegreen.write_league()
    bluegreen("load", "data", "--promote")
    assert one(outside, "SELECT n FROM app.count") == 3
    assert one(outside, "SELECT app.how_many()") == 3
    bluegreen("doctor")
    assert len(bluegreen.json("status")["releases"]) == 2
    bluegreen("rollback")
    assert one(outside, "SELECT n FROM app.count") == 1


def test_views_functions_and_keys_follow(bluegreen: Bluegreen, live: Live, outside: Connection) -> None:
    """After promote and after rollback all of them read the release that is live, and are otherwise as they were."""
    app = live.dump("app")
    bluegreen.write_league()
    bluegreen("load", "data", "--promote")
    assert one(outside, "SELECT n FROM app.count") == 3
    assert one(outside, "SELECT app.how_many()") == 3
    assert live.dump("app") == app
    outside.execute("INSERT INTO app.bookings VALUES (3, 3)")
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        outside.execute("INSERT INTO app.bookings VALUES (4, 4)")
    outside.execute("DELETE FROM app.bookings WHERE id = 3")
    bluegreen("rollback")
    assert one(outside, "SELECT n FROM app.count") == 1
    assert one(outside, "SELECT app.how_many()") == 1
    assert live.dump("app") == app


def test_orphans_are_refused_before_the_swap(bluegreen: Bluegreen, live: Live, outside: Connection) -> None:
    """A booking of a player that the release does not have stops the promote, and live stays."""
    before = live.dump()
    bluegreen.write_league(players=PLAYERS.replace("\n1,1,", "\n7,1,"))
    done = bluegreen("load", "data", "--promote", code=1)
    assert "1 rows of app.bookings refer to rows of players that the release does not have" in done.stderr
    assert live.dump() == before
    assert one(outside, "SELECT count(*) FROM app.bookings") == 2


def test_key_that_could_not_be_validated_is_tried_again(bluegreen: Bluegreen, live: Live, outside: Connection) -> None:
    """A booking between the count and the swap is reported, and its key until a later cut-over has validated it."""
    booking = "INSERT INTO app.bookings VALUES (9, 1)"
    hook = f"import psycopg; psycopg.connect({bluegreen.dsn!r}, autocommit=True).execute({booking!r})"
    bluegreen.write("hook.py", hook)
    bluegreen.write("bluegreen.toml", f"[hooks]\nbefore_promote = '\"{sys.executable}\" hook.py'\n")
    app = live.dump("app").partition("COPY")[0]
    outside.execute("DELETE FROM app.bookings")
    bluegreen.write_league(players=PLAYERS.replace("\n1,1,", "\n7,1,"))
    done = bluegreen("load", "data", "--promote")
    assert "foreign key booked of app.bookings not validated, the next promote or rollback will retry" in done.stderr
    assert bluegreen.json("status")["unvalidated"] == ["booked of app.bookings"]
    assert "foreign key booked of app.bookings" in bluegreen("status").stdout
    bluegreen("rollback")
    assert bluegreen.json("status")["unvalidated"] == []
    assert live.dump("app").partition("COPY")[0] == app
    done = bluegreen("promote", "2", code=1)
    assert "1 rows of app.bookings refer" in done.stderr
    done = bluegreen("promote", "2", "--on-orphans", "delete")
    assert "2 orphans in app.bookings deleted: their row in players is gone" in done.stderr
    assert one(outside, "SELECT bool_and(convalidated) FROM pg_constraint WHERE contype = 'f'") is True


@pytest.mark.parametrize(
    ("ddl", "named"),
    [
        ("CREATE TABLE app.c (t text CHECK (t <> league.motto())); ", "app.c"),
        ("CREATE DOMAIN app.d AS league.mood; CREATE TABLE app.t (m app.d)", "type app.d on type league.mood"),
        ("CREATE INDEX ON app.bookings ((league.motto() || id::text))", "app.bookings_expr_idx"),
        ("CREATE PUBLICATION out FOR TABLE league.players", "publication out publishes tables of league"),
        ("CREATE FUNCTION app.f() RETURNS league.players LANGUAGE sql AS 'SELECT NULL::league.players'", "app.f()"),
        ("CREATE TABLE app.t (p league.players)", "app.t"),
    ],
)
def test_what_cannot_follow_is_named(
    bluegreen: Bluegreen, live: Live, outside: Connection, ddl: str, named: str
) -> None:
    """Promote refuses beforehand, says what would be left behind, and live stays as it is."""
    outside.execute(ddl.encode())
    before = live.dump()
    bluegreen.write_league()
    done = bluegreen("load", "data", "--promote", code=1)
    assert named in done.stderr
    assert "HINT:" in done.stderr
    assert live.dump() == before


@pytest.mark.parametrize(
    "ddl",
    [
        "CREATE TABLE public.base (id int, name text);"
        "CREATE SCHEMA league CREATE TABLE teams () INHERITS (public.base)",
        "CREATE TABLE public.base (id int, name text) PARTITION BY RANGE (id);"
        "CREATE SCHEMA league; CREATE TABLE league.teams PARTITION OF public.base DEFAULT",
    ],
)
def test_outside_parent_does_not_show_two_releases(bluegreen: Bluegreen, connection: Connection, ddl: str) -> None:
    """Load refuses, because a reader of the parent would see the rows of live and of the release."""
    connection.execute(ddl.encode())
    connection.execute("INSERT INTO league.teams VALUES (1, 'old')")
    bluegreen.write("data/teams.csv", "id,name\n1,new\n2,new\n")
    done = bluegreen("load", "data", code=1)
    assert "table teams of league inherits from public.base or is a partition of it" in done.stderr
    assert one(connection, "SELECT count(*) FROM public.base") == 1


def test_outside_key_to_a_partitioned_table_follows(bluegreen: Bluegreen, connection: Connection) -> None:
    """The keys that the server adds for each partition do not block the swap."""
    connection.execute(
        """
        CREATE SCHEMA league;
        CREATE TABLE league.teams (id int PRIMARY KEY, name text) PARTITION BY RANGE (id);
        CREATE TABLE league.teams_all PARTITION OF league.teams DEFAULT;
        INSERT INTO league.teams VALUES (1, 'old');
        CREATE TABLE public.fans (team_id int REFERENCES league.teams);
        INSERT INTO public.fans VALUES (1);
        """
    )
    bluegreen.write("data/teams.csv", "id,name\n1,new\n2,new\n")
    bluegreen("load", "data", "--promote")
    connection.execute("INSERT INTO public.fans VALUES (2)")
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        connection.execute("INSERT INTO public.fans VALUES (3)")


def test_operator_class_in_live_goes_with_it_and_prune_sees_who_uses_it(
    bluegreen: Bluegreen, live: Live, connection: Connection
) -> None:
    """The functions of an operator class are not dependents; an outside index that uses it is, and is never dropped."""
    connection.execute(
        """
        CREATE FUNCTION league.cmp(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT btint4cmp($1, $2)';
        CREATE OPERATOR CLASS league.own FOR TYPE int USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =,
            OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 league.cmp(int, int);
        """
    )
    bluegreen.write_league()
    bluegreen("load", "data", "--promote")
    connection.execute("CREATE TABLE public.numbers (n int)")
    connection.execute("CREATE INDEX numbers_own ON public.numbers (n league__r1.own)")
    done = bluegreen("prune", "--keep", "0")
    assert "index public.numbers_own depends on it" in done.stdout
    assert one(connection, "SELECT to_regclass('public.numbers_own')::text") == "numbers_own"
