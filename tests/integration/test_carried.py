"""Tables of live that no load replaces: they stay live, the same tables, through every promote and rollback."""

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.support import PLAYERS, Bluegreen, Live

Connection = psycopg.Connection[TupleRow]

CARRY = '[carry]\ntables = ["users", "bookings"]\n'
USERS = """
    CREATE TABLE league.users (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL);
    CREATE FUNCTION league.stamp() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN NEW.seen := (SELECT count(*) FROM league.teams); RETURN NEW; END $$;
    CREATE FUNCTION league.price() RETURNS int STABLE LANGUAGE sql
        BEGIN ATOMIC SELECT count(*)::int FROM league.teams; END;
    CREATE TABLE league.bookings (
        id serial PRIMARY KEY,
        user_id int NOT NULL REFERENCES league.users ON DELETE CASCADE,
        player_id int CONSTRAINT booked REFERENCES league.players,
        price int DEFAULT league.price(),
        seen int
    );
    COMMENT ON CONSTRAINT booked ON league.bookings IS 'of a player';
    CREATE STATISTICS league.booked_together ON user_id, player_id FROM league.bookings;
    CREATE TRIGGER stamp BEFORE INSERT ON league.bookings FOR EACH ROW EXECUTE FUNCTION league.stamp();
    COMMENT ON TRIGGER stamp ON league.bookings IS 'a trigger';
    CREATE TRIGGER off BEFORE UPDATE ON league.bookings FOR EACH ROW EXECUTE FUNCTION league.stamp();
    ALTER TABLE league.bookings DISABLE TRIGGER off;
    ALTER TABLE league.bookings ENABLE ROW LEVEL SECURITY;
    CREATE POLICY known ON league.bookings USING (EXISTS (SELECT FROM league.players p WHERE p.id = player_id));
    GRANT SELECT, INSERT ON league.bookings TO PUBLIC;
    ALTER TABLE league.players ADD COLUMN owner_id int CONSTRAINT owned REFERENCES league.users;
    CREATE POLICY owners ON league.players USING (EXISTS (SELECT FROM league.users u WHERE u.id = owner_id));
    CREATE VIEW league.booked AS
        SELECT b.id, u.name AS who, p.name AS what FROM league.bookings b JOIN league.users u ON u.id = b.user_id
        LEFT JOIN league.players p ON p.id = b.player_id;
    CREATE VIEW league.bookers AS SELECT DISTINCT who FROM league.booked;
    CREATE FUNCTION league.bookings_of(who int) RETURNS bigint LANGUAGE sql
        BEGIN ATOMIC SELECT count(*) FROM league.bookings WHERE user_id = who; END;
    CREATE FUNCTION league.all_bookings() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM league.bookings';
    INSERT INTO league.users (name) VALUES ('Ann'), ('Bob');
    INSERT INTO league.bookings (user_id, player_id) VALUES (1, 1), (2, NULL);
    UPDATE league.players SET owner_id = 2;
    SELECT pg_stat_force_next_flush();
"""
OWNED = PLAYERS.replace("note\n", "note,owner_id\n", 1).replace('"two\nlines"\n', '"two\nlines",1\n')
OWNED = OWNED.replace("Zoë,,\n", "Zoë,,,2\n").replace('2001-12-31,""\n', '2001-12-31,"",\n')


def one(connection: Connection, query: str) -> object:
    """Return the only value of a query."""
    row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


@pytest.fixture
def carried(bluegreen: Bluegreen, live: Live, connection: Connection) -> Connection:
    """The league with users and their bookings, which every load leaves as they are."""
    connection.execute(USERS.encode())
    bluegreen.write("bluegreen.toml", CARRY)
    bluegreen.write_league(players=OWNED)
    return connection


def test_they_stay_the_same_tables(bluegreen: Bluegreen, live: Live, carried: Connection) -> None:
    """Rows written at any time are live at all times, and every dependent reads what is live."""
    before = live.definition()
    oid = one(carried, "SELECT 'league.bookings'::regclass::oid")
    bluegreen("load", "data")
    carried.execute("INSERT INTO league.bookings (user_id, player_id) VALUES (1, 1)")
    assert one(carried, "SELECT count(*) FROM league__r2.bookings") == 3
    assert one(carried, "SELECT count(*) FROM league__r2.booked") == 3
    bluegreen("promote")
    assert live.definition() == before
    assert one(carried, "SELECT 'league.bookings'::regclass::oid") == oid
    assert carried.execute("SELECT who, what FROM league.booked ORDER BY id").fetchall() == [
        ("Ann", 'Robert "Bobby" Øst'),
        ("Bob", None),
        ("Ann", 'Robert "Bobby" Øst'),
    ]
    carried.execute("INSERT INTO league.bookings (user_id, player_id) VALUES (2, 3)")
    for query in ("SELECT league.all_bookings()", "SELECT league.bookings_of(1) + league.bookings_of(2)"):
        assert one(carried, query) == 4
    bluegreen("rollback", code=1)  # player 3 is not in release 1
    carried.execute("DELETE FROM league.bookings WHERE player_id = 3")
    bluegreen("rollback")
    assert live.definition() == before
    assert carried.execute("SELECT who, what FROM league.booked ORDER BY id").fetchall() == [
        ("Ann", "old player"),
        ("Bob", None),
        ("Ann", "old player"),
    ]
    bluegreen("promote", "2")
    assert live.definition() == before


def test_kept_releases_hold_no_rows_of_them(bluegreen: Bluegreen, live: Live, carried: Connection) -> None:
    """A user that only a kept release knows can be deleted; the rollback reports it, and an option continues."""
    bluegreen("load", "data", "--promote")
    carried.execute("UPDATE league.players SET owner_id = NULL")
    carried.execute("DELETE FROM league.users WHERE id = 2")
    done = bluegreen("rollback", code=1)
    assert "1 rows of league__r1.players refer to rows of users that live does not have" in done.stderr
    bluegreen.write("bluegreen.toml", CARRY + '[promote]\non_orphans = "null"\n')
    bluegreen("rollback")
    assert one(carried, "SELECT count(*) FROM league.players WHERE owner_id IS NULL") == 1
    assert one(carried, "SELECT bool_and(convalidated) FROM pg_constraint WHERE contype = 'f'") is True
    assert bluegreen.json("prune", "--keep", "0")["dropped"] == [2]


def test_releases_come_and_go(bluegreen: Bluegreen, live: Live, carried: Connection) -> None:
    """Load after load, with the older ones pruned, nothing is lost and nothing is left over."""
    before = live.definition()
    for number in range(2, 5):
        carried.execute("INSERT INTO league.bookings (user_id, player_id) VALUES (1, 1)")
        bluegreen("load", "data", "--promote")
        assert one(carried, "SELECT count(*) FROM league.booked WHERE what IS NOT NULL") == number
    assert live.definition() == before
    assert carried.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'league%' ORDER BY 1").fetchall() == [
        ("league",),
        ("league__r3",),
    ]


def test_nobody_writes_through_a_stand_in(bluegreen: Bluegreen, live: Live, carried: Connection) -> None:
    """A program that clears all tables of its release does not reach the rows of live."""
    done = bluegreen("run", "--", "psql", "-v", "ON_ERROR_STOP=1", "-c", "DELETE FROM bookings", code=1)
    assert "cannot delete from view" in done.stderr
    assert one(carried, "SELECT count(*) FROM league.bookings") == 2


def test_with_the_projects_own_ddl(bluegreen: Bluegreen, live: Live, carried: Connection) -> None:
    """The DDL makes the carried tables too, as it does for a first release; a later one has live's instead."""
    bluegreen.write("ddl/league.sql", Live.DDL.partition("INSERT")[0].replace("CREATE SCHEMA league;", ""))
    bluegreen.write("ddl/users.sql", USERS.partition("INSERT INTO")[0])
    bluegreen.write("bluegreen.toml", CARRY + '[structure]\nddl = ["ddl/league.sql", "ddl/users.sql"]\n')
    before = live.definition()
    bluegreen("load", "data", "--promote")
    assert one(carried, "SELECT count(*) FROM league.bookings") == 2
    assert live.definition() == before


def test_what_a_release_does_not_carry_is_not_left_behind(
    bluegreen: Bluegreen, live: Live, carried: Connection
) -> None:
    """Taking a table out of [carry] does not make live's rows go with the old release, unless that is said."""
    bluegreen("load", "data", "--promote")
    bluegreen.write("bluegreen.toml", '[carry]\ntables = ["users"]\n[tables.bookings]\nmissing_columns = "default"\n')
    bluegreen.write("data/bookings.csv", "id,user_id,player_id\n7,1,1\n")
    bluegreen("load", "data")
    done = bluegreen("promote", code=1)
    assert "does not carry bookings" in done.stderr
    bluegreen("promote", "--discard-writes")
    assert one(carried, "SELECT sum(id) FROM league.bookings") == 7


def test_rows_are_copied_where_that_is_wanted(bluegreen: Bluegreen, live: Live, carried: Connection) -> None:
    """`copy` gives each release its own table with live's rows, also those that a program fills."""
    bluegreen.write("bluegreen.toml", '[carry]\ntables = ["users"]\ncopy = ["bookings"]\n')
    before = live.definition()
    carried.execute("ALTER TABLE league.bookings NO FORCE ROW LEVEL SECURITY")
    bluegreen("load", "data", "--promote")
    assert carried.execute("SELECT id, user_id, player_id FROM league.bookings ORDER BY id").fetchall() == [
        (1, 1, 1),
        (2, 2, None),
    ]
    assert live.definition() == before
    script = "INSERT INTO teams VALUES (1, 'Ajax'); INSERT INTO players (team_id, name) VALUES (1, 'Ann'), (1, 'Zoë')"
    bluegreen("run", "--promote", "--", "psql", "-c", script)
    assert one(carried, "SELECT count(*) FROM league.bookings") == 2


@pytest.mark.parametrize(
    ("toml", "ddl", "code", "named"),
    [
        ('[carry]\ntables = ["nobody"]\n', "", 2, "no such table"),
        ('[carry]\ntables = ["teams"]\n', "", 2, "there are files for table teams"),
        ('[carry]\ntables = ["users"]\ncopy = ["users"]\n', "", 2, "under tables and under copy"),
        (CARRY, "CREATE MATERIALIZED VIEW league.kept AS SELECT * FROM league.users", 1, ".kept"),
        (CARRY, "CREATE TABLE league.more () INHERITS (league.users)", 1, "has partitions, parents or children"),
        (CARRY, "CREATE TYPE league.mood AS ENUM ('a'); ALTER TABLE league.users ADD mood league.mood", 1, "mood"),
        (
            CARRY,
            "CREATE VIEW league.n AS SELECT u.id, u.name, count(*) FROM league.users u JOIN league.bookings b "
            "ON b.user_id = u.id GROUP BY u.id",
            1,
            "GROUP BY",
        ),
    ],
    ids=["unknown", "files", "both", "materialized", "inherited", "type", "grouped"],
)
def test_what_cannot_be_carried_is_refused(
    bluegreen: Bluegreen, live: Live, carried: Connection, toml: str, ddl: str, code: int, named: str
) -> None:
    """One clear sentence before anything is changed."""
    carried.execute(ddl.encode())
    bluegreen.write("bluegreen.toml", toml)
    if "more" in ddl:
        bluegreen.write("data/more.csv", "id,name\n")
    before = live.dump()
    done = bluegreen("load", "data", "--promote", code=code)
    assert named in done.stderr
    assert "HINT:" in done.stderr
    assert live.dump() == before
