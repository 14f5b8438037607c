"""A release gets the structure of live, to the letter, or that of the project's DDL, while live is read undisturbed."""

import threading
from functools import partial
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import TupleRow

from bluegreen_etl import catalog, config, db, errors
from bluegreen_etl.shadow import defer, dump, structure
from tests.concurrency import scene
from tests.records import release
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
EVERYTHING = (Path(__file__).parents[1] / "data" / "everything.sql").read_text(encoding="utf-8")
SETTINGS = config.Settings()
DDL = """
    CREATE TABLE {0}teams (id int PRIMARY KEY, name text NOT NULL);
    CREATE TABLE {0}players (
        id int PRIMARY KEY, team_id int NOT NULL REFERENCES {0}teams, name text NOT NULL, born date, note text
    );
    CREATE VIEW {0}names AS SELECT name FROM {0}players;
"""


@pytest.fixture
def everything(connection: Connection, dsn: str) -> Live:
    """A live schema that holds one of everything, without data."""
    connection.execute(EVERYTHING.encode())
    return Live(dsn)


def write_everything(bluegreen: Bluegreen) -> None:
    """Write files for its tables, with rows that what is NOT VALID would refuse."""
    bluegreen.write("data/teams.csv", "id,name,founded\n1,Ajax,1900-03-18\n2,Łódź,\n")
    players = "id,ticket,team_id,name,shirt,mood,place,during\n"
    bluegreen.write("data/players.csv", players + '12,99,1,a very long name,7,"so, ""so""","(1,2)",\n')
    bluegreen.write("data/veterans.csv", "id,ticket,name,since\n1,1,Ann,1999\n")
    bluegreen.write("data/matches.csv", "season,home\n2025,1\n2025,2\n")
    bluegreen.write("data/goals.csv", "season,id,team_id\n1999,1,1\n2025,2,2\n")


def all_rows(connection: Connection, query: str) -> list[TupleRow]:
    """Return the rows of a query."""
    return connection.execute(query.encode()).fetchall()


# ---- from live


def test_a_clone_equals_the_original(everything: Live, connection: Connection) -> None:
    """Every kind of object, with its owner, privileges, comments and options, differs in nothing but the name."""
    before = everything.definition()
    base = catalog.schema_oid(connection, "league")
    structure.clone(connection, release(1, base=base), SETTINGS)
    assert everything.definition("league__r1") == before
    assert everything.definition() == before
    assert catalog.schema_oid(connection, "league") == base


def test_structure_is_not_waited_for_without_end(
    live: Live, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who holds a table exclusively is named, whatever the language of the server's own words."""
    monkeypatch.setattr(db, "OUTSIDE_WAIT", 1.0)
    with (
        scene.holding(live.dsn, "LOCK TABLE league.teams IN ACCESS EXCLUSIVE MODE", application="vacuum full"),
        pytest.raises(errors.LockNotObtained, match=r"blocked by: pid .*vacuum full"),
    ):
        dump.read(connection, "league", SETTINGS)


def test_what_is_put_off_leaves_nothing_that_slows_copy(everything: Live, connection: Connection) -> None:
    """During COPY there is no index, no trigger, no rule but those of views, and no foreign key."""
    clone = release(1, base=catalog.schema_oid(connection, "league"))
    structure.clone(connection, clone, SETTINGS)
    server = db.Server(everything.dsn, origin="test")
    defer.defer_indexes(server, connection, clone, SETTINGS, recorded=partial(db.retry_on_lock_timeout, connection))
    for query in (
        "SELECT indexrelid::regclass FROM pg_index WHERE indrelid",
        "SELECT tgname FROM pg_trigger WHERE tgrelid",
        "SELECT rulename FROM pg_rewrite WHERE rulename <> '_RETURN' AND ev_class",
        "SELECT conname FROM pg_constraint WHERE contype IN ('f', 'p', 'u', 'x') AND conrelid",
        "SELECT polname FROM pg_policy WHERE polrelid",
    ):
        inside = " IN (SELECT oid FROM pg_class WHERE relnamespace = 'league__r1'::regnamespace)"
        assert all_rows(connection, query + inside) == []


def test_what_somebody_made_on_the_release_is_not_lost(
    live: Live, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deferring re-creates the schema, but not if a view has come to depend on it just before."""
    clone = release(1, base=catalog.schema_oid(connection, "league"))
    structure.clone(connection, clone, SETTINGS)
    read = dump.read

    def overtaken(connection: Connection, schema: str, settings: config.Settings) -> list[dump.Entry]:
        entries = read(connection, schema, settings)
        connection.execute("CREATE VIEW public.their_names AS SELECT name FROM league__r1.players")
        return entries

    monkeypatch.setattr(dump, "read", overtaken)
    server = db.Server(live.dsn, origin="test")
    with pytest.raises(errors.BadScript, match=r"depends on the release: view public\.their_names"):
        defer.defer_indexes(server, connection, clone, SETTINGS, recorded=partial(db.retry_on_lock_timeout, connection))
    assert all_rows(connection, "SELECT 'public.their_names'::regclass::text") == [("their_names",)]


def test_everything_survives_load_promote_and_rollback(
    everything: Live, bluegreen: Bluegreen, connection: Connection
) -> None:
    """Definition for definition: in the shadow, live, and live again after a rollback."""
    before = everything.definition()
    write_everything(bluegreen)
    bluegreen("load", "data", "--jobs", "2")
    assert everything.definition("league__r2") == before
    bluegreen("promote")
    assert everything.definition() == before
    bluegreen("rollback")
    assert everything.definition() == before
    assert everything.definition("league__r2") == before
    bluegreen("promote", "2")
    assert everything.definition() == before


def test_triggers_and_rules_do_not_fire_during_copy(
    everything: Live, bluegreen: Bluegreen, connection: Connection
) -> None:
    """The rows arrive as they are in the files; afterwards each trigger is in the state it was in."""
    states = (
        "SELECT tgname, tgenabled FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid "
        "WHERE NOT tgisinternal AND relnamespace = 'league'::regnamespace ORDER BY 1"
    )
    write_everything(bluegreen)
    before = all_rows(connection, states)
    bluegreen("load", "data", "--promote")
    assert before == [("always", "A"), ("before_insert", "O"), ("late", "O"), ("switched_off", "D")]
    assert all_rows(connection, states) == before
    assert all_rows(connection, "SELECT id, name, twice FROM ONLY league.players") == [(12, "a very long name", 2)]
    assert all_rows(connection, "SELECT season, home FROM league.matches ORDER BY home") == [(2025, 1), (2025, 2)]
    assert all_rows(connection, "SELECT tableoid::regclass::text FROM league.goals ORDER BY id") == [
        ("league.goals_old",),
        ("league.goals_other",),
    ]
    with pytest.raises(psycopg.errors.RaiseException):
        connection.execute("INSERT INTO league.players (name) VALUES ('Bob')")


def test_live_is_read_undisturbed_while_a_clone_is_made(live: Live, dsn: str, connection: Connection) -> None:
    """No reader waits, misses live, or sees a schema under a name that is not its own."""
    base = catalog.schema_oid(connection, "league")
    stop = threading.Event()
    seen: set[tuple[int, str]] = set()
    failures: list[BaseException] = []

    def read() -> None:
        try:
            with psycopg.connect(dsn, autocommit=True) as reader:
                while not stop.is_set():
                    row = reader.execute(
                        "SELECT (SELECT count(*) FROM league.teams), (SELECT string_agg(nspname, ' ' ORDER BY nspname) "
                        "FROM pg_namespace WHERE nspname LIKE 'league' OR nspname LIKE 'bluegreen%')"
                    ).fetchone()
                    assert row
                    seen.add(row)
        except BaseException as error:
            failures.append(error)
            raise

    reader = threading.Thread(target=read)
    reader.start()
    with psycopg.connect(dsn) as writer:
        writer.execute("UPDATE league.teams SET name = name")  # and in the middle of a transaction that writes
        for number in range(1, 6):
            structure.clone(connection, release(number, base=base), SETTINGS)
        writer.rollback()
    stop.set()
    reader.join()
    assert failures == []
    assert seen == {(2, "league")}


PUBLIC = (
    "SELECT nspowner::regrole::text, nspacl::text, obj_description(oid, 'pg_namespace') "
    "FROM pg_namespace WHERE nspname = 'public'"
)
# What everybody may do: the owner of a schema made from files is whoever loads.
PUBLIC_PRIVILEGES = (
    "SELECT privilege_type FROM pg_namespace, aclexplode(nspacl) WHERE nspname = 'public' AND grantee = 0 ORDER BY 1"
)


@pytest.mark.parametrize("source", ["files", "live"])
@pytest.mark.parametrize(
    "change", ["GRANT CREATE ON SCHEMA public TO PUBLIC", "REVOKE USAGE ON SCHEMA public FROM PUBLIC"]
)
def test_the_schema_public_keeps_its_privileges(
    bluegreen: Bluegreen, connection: Connection, source: str, change: str
) -> None:
    """pg_dump says of them only how they differ from initdb's; a release made by the tool is cloned as well."""
    bluegreen.write_league()
    for statement, structure_from in (("SELECT", "files"), (change, source)):
        connection.execute(statement.encode())
        before = all_rows(connection, PUBLIC_PRIVILEGES)
        bluegreen("load", "data", "--structure", structure_from, "--promote", "--schema", "public")
        assert all_rows(connection, PUBLIC_PRIVILEGES) == before
    assert all_rows(connection, "SELECT count(*) FROM public.players") == [(3,)]


def test_an_untouched_public_keeps_its_owner_and_privileges(bluegreen: Bluegreen, connection: Connection) -> None:
    """A clone of a schema that is as initdb made it is as initdb made it."""
    connection.execute("CREATE TABLE public.teams (id int PRIMARY KEY, name text)")
    before = all_rows(connection, PUBLIC)
    bluegreen.write("data/teams.csv", "id,name\n1,Ajax\n")
    bluegreen("load", "data", "--promote", "--schema", "public")
    assert all_rows(connection, PUBLIC) == before
    assert all_rows(connection, "SELECT * FROM public.teams") == [(1, "Ajax")]


# ---- from DDL


def write_ddl(bluegreen: Bluegreen, text: str) -> None:
    """Let the project's structure come from one file."""
    bluegreen.write("bluegreen.toml", '[structure]\nddl = ["sql/schema.sql"]\n')
    bluegreen.write("sql/schema.sql", text)
    bluegreen.write_league()


@pytest.mark.parametrize(
    ("prefix", "first"),
    [
        ("", ""),
        ("league.", "CREATE SCHEMA IF NOT EXISTS league;"),
        ("league.", "DROP SCHEMA league; CREATE SCHEMA league;"),
    ],
)
def test_own_ddl_runs_as_it_is(
    bluegreen: Bluegreen, live: Live, connection: Connection, prefix: str, first: str
) -> None:
    """Bare names and names qualified with the live schema both mean the release; live stays as it is."""
    before, without_sequences = live.dump(), live.dump(sequences=False)
    write_ddl(bluegreen, first + DDL.format(prefix))
    bluegreen("load", "data")
    assert live.dump() == before
    bluegreen("promote", "--allow-drop")
    assert all_rows(connection, "SELECT count(*) FROM league.names") == [(3,)]
    assert "FOREIGN KEY (team_id) REFERENCES league.teams(id)" in live.definition()
    bluegreen("rollback")
    assert live.dump(sequences=False) == without_sequences


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("CREATE TABLE teams (id int);\nCOMMIT;", "sql/schema.sql: "),
        ("CREATE TABLE teams (id int);\n\nCREATE TABEL x;", 'sql/schema.sql, line 3: syntax error at or near "TABEL"'),
        ("\n\n\\restrict abc\n", "sql/schema.sql, line 3: "),
        ("CREATE TABLE teams (id int);\nSELECT * FROM elsewhere;", 'line 2: relation "elsewhere" does not exist'),
        ("DROP SCHEMA league;", "the DDL leaves no schema league behind"),
        ("ALTER SCHEMA league RENAME TO other;", "the DDL leaves no schema league behind"),
        ("CREATE SCHEMA league;", "leave CREATE SCHEMA out, or add IF NOT EXISTS"),
        ("VACUUM;", "sql/schema.sql: "),
    ],
)
def test_ddl_that_cannot_be_run_is_refused(bluegreen: Bluegreen, live: Live, text: str, named: str) -> None:
    """The error has file and line if the server reports it, and no traceback."""
    before = live.dump()
    write_ddl(bluegreen, text)
    done = bluegreen("load", "data", "--promote", code=1)
    assert named in done.stderr
    assert "HINT: " in done.stderr
    assert live.dump() == before
    assert bluegreen.json("status")["releases"][-1]["status"] == "failed"


def test_ddl_that_is_missing_is_refused(bluegreen: Bluegreen, live: Live) -> None:
    """The file that bluegreen.toml names is not there."""
    before = live.dump()
    write_ddl(bluegreen, "")
    (bluegreen.directory / "sql/schema.sql").unlink()
    assert "sql/schema.sql cannot be read" in bluegreen("load", "data", code=1).stderr
    assert live.dump() == before


GRANTS = """
    GRANT USAGE ON SCHEMA league TO pg_monitor;
    ALTER DEFAULT PRIVILEGES IN SCHEMA league GRANT SELECT ON TABLES TO pg_monitor;
    GRANT SELECT ON league.teams TO pg_monitor WITH GRANT OPTION;
    GRANT SELECT (name, born), UPDATE (note) ON league.players TO PUBLIC;
    CREATE TABLE league.gone (id int);
    GRANT SELECT ON league.gone TO pg_monitor;
"""


@pytest.mark.parametrize("source", ["ddl", "files"])
def test_new_tables_get_the_privileges_that_live_has(
    bluegreen: Bluegreen, live: Live, connection: Connection, source: str
) -> None:
    """Schema, table and column; privileges on what is no more there are left out."""
    connection.execute(GRANTS)
    write_ddl(bluegreen, DDL.format(""))
    query = """
        SELECT 'schema', NULL, nspacl::text FROM pg_namespace WHERE nspname = 'league'
        UNION ALL SELECT relname, NULL, relacl::text FROM pg_class WHERE relname IN ('teams', 'players')
            AND relnamespace = 'league'::regnamespace
        UNION ALL SELECT attrelid::regclass::text, attname, attacl::text FROM pg_attribute WHERE attacl IS NOT NULL
            AND attrelid IN ('league.teams'::regclass, 'league.players'::regclass)
        UNION ALL SELECT 'default', NULL, defaclacl::text FROM pg_default_acl
            WHERE defaclnamespace = 'league'::regnamespace
        ORDER BY 1, 2
    """
    before = all_rows(connection, query)
    assert len(before) == 7
    bluegreen("load", "data", "--structure", source, "--promote", "--allow-drop")
    assert all_rows(connection, query) == before


def test_the_session_that_runs_ddl_is_its_own(bluegreen: Bluegreen, live: Live, connection: Connection) -> None:
    """Settings that a script leaves behind do not reach the rest of the load."""
    write_ddl(bluegreen, "SET search_path = pg_catalog; SET role = pg_monitor; RESET ROLE;" + DDL.format("league."))
    bluegreen("load", "data", "--promote", "--allow-drop")
    assert all_rows(connection, "SELECT count(*) FROM league.names") == [(3,)]


def test_server_is_left_without_traces(bluegreen: Bluegreen, live: Live, dsn: str) -> None:
    """After a refused load no schema is there but live and the ledger."""
    write_ddl(bluegreen, "CREATE TABLE teams (id int);\nboom;")
    bluegreen("load", "data", code=1)
    with db.Server(dsn, origin="test").connect("test") as connection:
        names = all_rows(connection, "SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|info)' ORDER BY 1")
    assert names == [("bluegreen",), ("league",), ("public",)]
