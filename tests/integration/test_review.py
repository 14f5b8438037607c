"""What a hostile reviewer found: things outside of the release that a load or a promote changed, or did not see."""

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import conninfo, sql
from psycopg.rows import TupleRow

from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
DDL = """
    CREATE TABLE teams (id int PRIMARY KEY, name text NOT NULL);
    CREATE TABLE players (id int PRIMARY KEY, team_id int NOT NULL, name text NOT NULL, born date, note text);
"""
WITH_DDL = '[structure]\nddl = ["schema.sql"]\n'


@pytest.fixture
def role(connection: Connection) -> Iterator[str]:
    """A role that is no superuser and is told nothing of others' sessions; it can connect without a password."""
    name = f"loader_{connection.info.dbname}"
    connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
    connection.execute(
        sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(
            sql.Identifier(connection.info.dbname), sql.Identifier(name)
        )
    )
    yield name
    connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(name)))
    connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def one(connection: Connection, query: str) -> object:
    """Return the only value of a query's only row."""
    row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


# ---- what the project's DDL does outside of its schema


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
    """It would be dropped with the shadow, and readers would see a release before it is live."""
    bluegreen.write_league()
    bluegreen.write("schema.sql", "\n".join([DDL, "CREATE VIEW public.report AS SELECT count(*) AS n FROM teams;"]))
    bluegreen.write("bluegreen.toml", WITH_DDL)
    done = bluegreen("load", "data", code=1)
    assert "an object outside league depends on the release" in done.stderr
    assert one(connection, "SELECT to_regclass('public.report')") is None


def test_bare_drop_in_ddl_does_not_reach_another_schema(
    bluegreen: Bluegreen, live: Live, connection: Connection
) -> None:
    """DROP TABLE IF EXISTS finds public's table of that name, because the schema is empty: nothing of it is kept."""
    connection.execute("CREATE TABLE public.teams AS SELECT 7 AS id")
    bluegreen.write_league()
    bluegreen.write("schema.sql", "DROP TABLE IF EXISTS teams CASCADE;" + DDL)
    bluegreen.write("bluegreen.toml", WITH_DDL)
    done = bluegreen("load", "data", code=1)
    assert "a script drops or changes public.teams, outside of league" in done.stderr
    assert one(connection, "SELECT id FROM public.teams") == 7


def test_ddl_keeps_the_owners_of_live(bluegreen: Bluegreen, live: Live, connection: Connection, role: str) -> None:
    """An application that reads as the owner of schema and tables still can after a load from DDL."""
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
    """They are carried over; one that somebody drops from the release makes promote refuse, and --force goes on."""
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


# ---- what hangs on tables across schemas


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
    """A reader of the parent would see the rows of live and of the release: load refuses."""
    connection.execute(ddl.encode())
    connection.execute("INSERT INTO league.teams VALUES (1, 'old')")
    bluegreen.write("data/teams.csv", "id,name\n1,new\n2,new\n")
    done = bluegreen("load", "data", code=1)
    assert "table teams of league inherits from public.base or is a partition of it" in done.stderr
    assert one(connection, "SELECT count(*) FROM public.base") == 1


def test_outside_key_to_a_partitioned_table_follows(bluegreen: Bluegreen, connection: Connection) -> None:
    """The server's own keys for each partition are not in the way."""
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
    """Its functions are not outside objects; an outside index that uses it is one, and is never dropped."""
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


@pytest.fixture
def users(live: Live, connection: Connection) -> Connection:
    """Teams of live refer to a table in another schema."""
    connection.execute("CREATE TABLE public.users (id int PRIMARY KEY); INSERT INTO public.users VALUES (1), (2)")
    connection.execute("ALTER TABLE league.teams ADD FOREIGN KEY (id) REFERENCES public.users")
    return connection


def test_reader_of_a_referenced_table_is_not_held_up_by_a_load(
    bluegreen: Bluegreen, users: Connection, dsn: str
) -> None:
    """A long transaction on it delays the load, and never for long those who come after that transaction."""
    bluegreen.write_league()
    worst = 0.0
    with psycopg.connect(dsn) as long:
        long.execute("SELECT FROM public.users")
        load = bluegreen.start("load", "data")
        ended = threading.Timer(3, long.rollback)
        ended.start()
        while load.poll() is None:
            begun = time.monotonic()
            users.execute("SELECT FROM public.users")
            worst = max(worst, time.monotonic() - begun)
            time.sleep(0.01)
        ended.join()
    _, stderr = load.communicate()
    assert load.returncode == 0, stderr
    assert worst < 1


@contextmanager
def leftover_in_use(bluegreen: Bluegreen, dsn: str) -> Iterator[None]:
    """Leave release 2 failed, and for two seconds read the table that a foreign key of it refers to."""
    bluegreen.write_league()
    bluegreen.write("checks/never.sql", "SELECT 1 AS always")
    bluegreen("load", "data", "--checks", "checks", code=3)
    with psycopg.connect(dsn) as long:
        long.execute("SELECT FROM public.users")
        ended = threading.Timer(2, long.rollback)
        ended.start()
        yield
        ended.join()


def test_leftover_whose_foreign_key_is_in_use_does_not_stop_a_load(
    bluegreen: Bluegreen, users: Connection, dsn: str
) -> None:
    """The release that cannot be dropped now stays, and the next load takes the next number."""
    with leftover_in_use(bluegreen, dsn):
        done = bluegreen("load", "data")
    assert "release 2 was not dropped" in done.stderr
    assert one(users, "SELECT max(number) FROM bluegreen.release WHERE status = 'ready'") == 3


def test_prune_waits_for_a_reader_who_is_soon_done(bluegreen: Bluegreen, users: Connection, dsn: str) -> None:
    """It tries again, with a break in which those who wait behind it get their turn."""
    with leftover_in_use(bluegreen, dsn):
        assert bluegreen.json("prune")["dropped"] == [2]


# ---- roles


def test_snapshot_of_another_role_is_waited_for(
    bluegreen: Bluegreen, connection: Connection, dsn: str, role: str
) -> None:
    """Also when the loader may not see what kind of session that is: it would find the new table empty."""
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


def test_policies_that_hold_for_the_loader_are_told_and_not_obeyed(
    bluegreen: Bluegreen, connection: Connection, dsn: str, role: str
) -> None:
    """With FORCE ROW LEVEL SECURITY it would count too few rows: a sequence would fall behind, a check would pass."""
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


def test_sequence_of_a_text_column_does_not_stop_a_load(bluegreen: Bluegreen, connection: Connection) -> None:
    """Its numbers are inside of texts; the sequence still never falls behind live's."""
    connection.execute(
        """
        CREATE SCHEMA league;
        CREATE SEQUENCE league.codes;
        CREATE TABLE league.teams (id text DEFAULT 'T' || nextval('league.codes'), name text);
        ALTER SEQUENCE league.codes OWNED BY league.teams.id;
        INSERT INTO league.teams (name) VALUES ('a'), ('b');
        """
    )
    bluegreen.write("data/teams.csv", "id,name\nT1,a\n")
    bluegreen("load", "data", "--promote")
    assert one(connection, "SELECT last_value FROM league.codes") == 2


# ---- the exit code


@pytest.mark.parametrize("redirection", [">/dev/full", "2>/dev/full", ">&-", "| true"])
def test_exit_code_tells_of_the_promote_and_not_of_its_report(
    bluegreen: Bluegreen, live: Live, connection: Connection, redirection: str
) -> None:
    """Where nobody can read the outcome, live has changed all the same, and the code is 0."""
    bluegreen.write_league()
    bluegreen("load", "data")
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f'"$@" {redirection}', "bash", *bluegreen.command("promote")],
        cwd=bluegreen.directory,
        env=bluegreen.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert one(connection, "SELECT number FROM bluegreen.release WHERE status = 'live'") == 2


def test_output_in_another_encoding_is_not_an_error(bluegreen: Bluegreen, live: Live) -> None:
    """A character that stdout cannot hold is written as its code."""
    bluegreen.write_league()
    bluegreen.write("checks/cities.sql", "-- severity: warn\nSELECT name FROM teams WHERE id = 2")
    bluegreen("load", "data")
    done = subprocess.run(
        bluegreen.command("check", "--checks", "checks"),
        cwd=bluegreen.directory,
        env=bluegreen.environment(PYTHONIOENCODING="ascii"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert "name=\\u0141\\xf3d\\u017a United" in done.stdout
