"""What would make a promote refuse, or reach outside of a release, is refused before anything is written."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import conninfo, sql
from psycopg.rows import TupleRow

from tests.support import Bluegreen, Live, needs_extension

Connection = psycopg.Connection[TupleRow]

REFUSED = {
    "a function with rows of live": (
        "CREATE FUNCTION public.f() RETURNS SETOF league.teams LANGUAGE sql AS 'SELECT * FROM league.teams'",
        "function public.f() on type league.teams",
    ),
    "a column of a type of live": (
        "CREATE TYPE league.mood AS ENUM ('ok'); CREATE TABLE public.x (m league.mood)",
        "on type league.mood",
    ),
    "a table typed by a table of live": (
        "CREATE TYPE league.pair AS (a int); CREATE TABLE public.x OF league.pair",
        "public.x on ",
    ),
    "a cast": (
        "CREATE TYPE league.mood AS ENUM ('ok'); CREATE CAST (league.mood AS int) WITH INOUT",
        "cast (league.mood AS integer) on type league.mood",
    ),
    "an event trigger": (
        "CREATE FUNCTION league.e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; "
        "CREATE EVENT TRIGGER e ON ddl_command_end WHEN TAG IN ('CREATE CAST') EXECUTE FUNCTION league.e()",
        "event trigger e on function league.e()",
    ),
    "a publication": (
        "CREATE PUBLICATION p FOR TABLE league.teams",
        "publication p publishes tables of league",
    ),
    "a parent outside": (
        "CREATE TABLE public.base (id int); ALTER TABLE public.base ALTER id SET NOT NULL; "
        "ALTER TABLE league.teams INHERIT public.base",
        "table teams of league inherits from public.base",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_object_that_promote_would_refuse_is_named_before_the_copy(
    bluegreen: Bluegreen, live: Live, connection: Connection, what: str
) -> None:
    """A dry run, a load and doctor name it; no release is begun."""
    statement, expected = REFUSED[what]
    connection.execute(statement.encode())
    bluegreen.write_league()
    for command in (("load", "data", "--dry-run"), ("load", "data")):
        assert expected in bluegreen(*command, code=1).stderr
    assert expected in bluegreen("doctor", code=1).stdout
    assert connection.execute("SELECT to_regnamespace('bluegreen')").fetchone() == (None,)


def test_publication_that_follows_is_no_reason_to_refuse(
    bluegreen: Bluegreen, live: Live, connection: Connection
) -> None:
    """The settings of promote decide."""
    connection.execute("CREATE PUBLICATION p FOR TABLE league.teams")
    bluegreen.write("bluegreen.toml", '[promote]\npublications = "follow"\n')
    bluegreen.write_league()
    bluegreen("load", "data", "--promote")


@pytest.fixture
def remote(connection: Connection, dsn: str) -> str:
    """A statement: a table of the same server becomes, seen as a foreign one, a partition two levels below league.m."""
    needs_extension(connection, "postgres_fdw")
    place = conninfo.conninfo_to_dict(dsn)
    connection.execute("CREATE EXTENSION postgres_fdw; CREATE TABLE public.remote_m (id int, k int)")
    connection.execute(
        sql.SQL(
            "CREATE SERVER loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host {}, port {}, dbname {}); "
            "CREATE USER MAPPING FOR PUBLIC SERVER loop OPTIONS (user {})"
        ).format(*(sql.Literal(str(place.get(key, ""))) for key in ("host", "port", "dbname", "user")))
    )
    connection.execute("""
        CREATE SCHEMA league;
        CREATE TABLE league.m (id int, k int) PARTITION BY RANGE (k);
        CREATE TABLE league.mm PARTITION OF league.m FOR VALUES FROM (0) TO (20) PARTITION BY RANGE (k);
        CREATE TABLE league.m0 PARTITION OF league.mm FOR VALUES FROM (0) TO (10);
        INSERT INTO league.m VALUES (1, 5);
    """)
    foreign = (
        "CREATE FOREIGN TABLE league.m1 PARTITION OF league.mm FOR VALUES FROM (10) TO (20) "
        "SERVER loop OPTIONS (schema_name 'public', table_name 'remote_m')"
    )
    connection.execute("INSERT INTO public.remote_m VALUES (2, 15)")
    return foreign


@pytest.mark.parametrize("structure", ["live", "ddl"])
def test_foreign_partition_is_refused(
    bluegreen: Bluegreen, connection: Connection, remote: str, structure: str
) -> None:
    """COPY and TRUNCATE would reach the rows of live on the other server."""
    bluegreen.write("data/m.csv", "id,k\n1,5\n2,16\n")
    if structure == "live":
        connection.execute(remote.encode())
        commands = [("load", "data", "--dry-run"), ("load", "data"), ("run", "true")]
        said = "partition m1 of table m of league is a foreign table"
        assert said in bluegreen("doctor", code=1).stdout
    else:
        ddl = "CREATE TABLE m (id int, k int) PARTITION BY RANGE (k); "
        bluegreen.write("schema.sql", ddl + remote.replace("league.mm", "league.m"))
        bluegreen.write("bluegreen.toml", '[structure]\nddl = ["schema.sql"]\n')
        commands = [("load", "data"), ("run", "true")]
        said = "partition m1 of table m of league is a foreign table"
    for command in commands:
        assert said in bluegreen(*command, code=1).stderr
    assert connection.execute("SELECT * FROM public.remote_m").fetchall() == [(2, 15)]


def test_trigger_of_live_does_not_write_elsewhere_during_a_load(
    bluegreen: Bluegreen, live: Live, connection: Connection
) -> None:
    """Triggers and rules are created after the rows."""
    connection.execute("""
        CREATE TABLE public.log (n int);
        CREATE FUNCTION league.note() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN INSERT INTO public.log VALUES (1); RETURN NEW; END';
        CREATE TRIGGER note BEFORE INSERT ON league.teams FOR EACH ROW EXECUTE FUNCTION league.note();
        CREATE TRIGGER note2 AFTER TRUNCATE OR INSERT ON league.players
            FOR EACH STATEMENT EXECUTE FUNCTION league.note();
        CREATE RULE r AS ON INSERT TO league.teams DO ALSO INSERT INTO public.log VALUES (2);
    """)
    bluegreen.write_league()
    bluegreen("load", "data", "--promote")
    assert connection.execute("SELECT count(*) FROM public.log").fetchone() == (0,)


@pytest.fixture
def subscription(connection: Connection) -> Iterator[None]:
    """A subscription, not connected, that fills players."""
    connection.execute(
        "CREATE SUBSCRIPTION fed CONNECTION 'host=/nowhere' PUBLICATION p "
        "WITH (connect = false, slot_name = NONE, enabled = false)"
    )
    connection.execute(
        "INSERT INTO pg_subscription_rel (srsubid, srrelid, srsubstate) "
        "SELECT oid, 'league.players'::regclass, 'r' FROM pg_subscription WHERE subname = 'fed'"
    )
    yield
    connection.execute("DROP SUBSCRIPTION fed")


def test_subscription_into_live_is_refused(
    bluegreen: Bluegreen, live: Live, subscription: None, connection: Connection
) -> None:
    """It would fill the old release; a carried table stays, and so does the subscription."""
    bluegreen.write_league()
    for command in (("load", "data", "--dry-run"), ("load", "data")):
        done = bluegreen(*command, code=1)
        assert "subscription fed fills players of league" in done.stderr
        assert '[carry] tables = ["players"]' in done.stderr
    assert "subscription fed fills players of league" in bluegreen("doctor", code=1).stdout
    bluegreen.write("bluegreen.toml", '[carry]\ntables = ["players"]\n')
    bluegreen("load", "data/teams.csv", "--dry-run")
