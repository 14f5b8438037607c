"""`run`: an existing program fills the release, however it does that; only its success makes anything live."""

import json
import signal
import sys

import psycopg
import pytest
from psycopg.rows import TupleRow

from bluegreen_etl import client_programs
from tests.acceptance.refusals import refused
from tests.concurrency import scene
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]

SCRIPT = """
    BEGIN;
    TRUNCATE teams CASCADE;
    COMMIT;
    INSERT INTO teams VALUES (1, 'Ajax') ON CONFLICT (id) DO UPDATE SET name = excluded.name;
    INSERT INTO teams VALUES (1, 'Ajax II'), (2, 'Łódź') ON CONFLICT (id) DO UPDATE SET name = excluded.name;
    INSERT INTO players (team_id, name) VALUES (2, 'Zoë');
"""
QUALIFIED = """
    TRUNCATE league.teams CASCADE;
    INSERT INTO league.teams VALUES (1, 'Ajax'), (2, '');
    INSERT INTO league.players (team_id, name, born) VALUES (2, 'Zoë', '1999-02-28'), (1, '', NULL);
    UPDATE league.players SET feet = '{left}';
"""
PROGRAM = """
import os, psycopg
assert os.environ["BLUEGREEN_SCHEMA"] == "league__r2", os.environ["BLUEGREEN_SCHEMA"]
assert os.environ["BLUEGREEN_LIVE_SCHEMA"] == "league" and os.environ["BLUEGREEN_RELEASE"] == "2"
for address in (os.environ["DATABASE_URL"], os.environ["BLUEGREEN_DSN"], ""):
    with psycopg.connect(address) as c:
        assert c.execute("SELECT current_schema()").fetchone() == ("league__r2",)
c = psycopg.connect("")
c.execute("INSERT INTO teams VALUES (7, 'seven')")
c.commit()
print("teams done", flush=True)
c.execute("INSERT INTO players (team_id, name) VALUES (7, 'Ann')")
c.commit()
"""
SLOW = (
    "import time, psycopg\nc = psycopg.connect('')\nc.execute(\"INSERT INTO teams VALUES (7, 'seven')\")\nc.commit()\n"
)
SLEEP = "c.execute('SELECT pg_sleep(60)')\n"


def psql(connection: Connection) -> str:
    """Return the psql that fits the server."""
    return str(client_programs.client_program("psql", server_major=connection.info.server_version // 10000))


def teams(connection: Connection) -> list[tuple[object, ...]]:
    """Return the teams that are live."""
    return connection.execute("SELECT id, name FROM league.teams ORDER BY id").fetchall()


def databases(connection: Connection) -> list[str]:
    """Return the scratch databases of the test's own database."""
    query = "SELECT datname FROM pg_database WHERE datname LIKE 'bluegreen\\_\\_' || %s || '\\_%%'"
    own = connection.execute("SELECT oid::text FROM pg_database WHERE datname = current_database()").fetchone()
    return [row[0] for row in connection.execute(query, own)]


def test_psql_script_that_commits_as_it_likes_fills_a_release(
    bluegreen: Bluegreen, live: Live, connection: Connection
) -> None:
    """Keys are there while it runs, so that ON CONFLICT works; live shows nothing of it before the promote."""
    before = live.dump()
    bluegreen.write("nightly.sql", SCRIPT)
    done = bluegreen("run", "--json", "--", psql(connection), "-v", "ON_ERROR_STOP=1", "-f", "nightly.sql")
    assert {table["table"]: table["rows"] for table in json.loads(done.stdout)["tables"]} == {"players": 1, "teams": 2}
    assert live.dump() == before
    assert live.definition("league__r2") == live.definition()
    bluegreen("promote")
    assert teams(connection) == [(1, "Ajax II"), (2, "Łódź")]
    statistics = "SELECT reltuples FROM pg_class WHERE oid = 'league.teams'::regclass"
    assert connection.execute(statistics).fetchone() == (2.0,)


def test_python_program_that_commits_after_each_table_fills_a_release(
    bluegreen: Bluegreen, live: Live, connection: Connection
) -> None:
    """By PG* variables, DATABASE_URL and BLUEGREEN_DSN alike; what it prints is on stderr, and the rest goes on."""
    connection.execute("GRANT SELECT ON league.teams TO PUBLIC")
    bluegreen.write("etl.py", PROGRAM)
    done = bluegreen("run", "--promote", "--json", "--", sys.executable, "etl.py")
    assert "teams done\n" in done.stderr
    assert "teams done" not in done.stdout
    assert teams(connection) == [(7, "seven")]


def test_program_that_fails_after_commits_leaves_live_untouched(
    bluegreen: Bluegreen, live: Live, connection: Connection
) -> None:
    """Its exit code decides; the release is failed and nothing of it is left."""
    bluegreen.write("etl.py", SLOW + "raise SystemExit(3)\n")
    said = refused(bluegreen, "run", "--promote", "--", sys.executable, "etl.py", live=live)
    assert said.sentence == f"{sys.executable} ended with exit code 3"
    scene.assert_whole(connection)
    assert scene.statuses(connection) == {1: "live", 2: "failed"}


@pytest.mark.usefixtures("may_create_databases")
@pytest.mark.parametrize("isolate", ["schema", "database"])
def test_interrupted_run_ends_the_program_and_leaves_live_untouched(
    bluegreen: Bluegreen, live: Live, connection: Connection, isolate: str
) -> None:
    """Also what the program has started itself."""
    before = live.dump()
    bluegreen.write("etl.py", SLOW + SLEEP)
    running = bluegreen.start("run", "--isolate", isolate, "--", "sh", "-c", f"{sys.executable} etl.py; true")
    asleep = "query LIKE 'SELECT pg_sleep%'"
    scene.wait_until(lambda: any_session(connection, asleep))
    running.send_signal(signal.SIGINT)
    stderr = running.communicate(timeout=20)[1]
    assert running.returncode == 1
    assert "error: interrupted: live is unchanged" in stderr
    scene.wait_until(lambda: not any_session(connection, asleep))
    assert live.dump() == before
    scene.assert_whole(connection)
    assert databases(connection) == []


def any_session(connection: Connection, condition: str) -> bool:
    """Say whether a session that fits works on behalf of this test, in whichever database."""
    query = (
        "SELECT FROM pg_stat_activity WHERE application_name = 'bluegreen command league r2' AND state = 'active' "
        f"AND (datname = current_database() OR datname LIKE 'bluegreen%') AND pid <> pg_backend_pid() AND {condition}"
    )
    return bool(connection.execute(query.encode()).fetchall())


@pytest.mark.usefixtures("may_create_databases")
def test_qualified_names_land_in_the_release_by_a_scratch_database(
    bluegreen: Bluegreen, live: Live, connection: Connection
) -> None:
    """Arrays of the schema's own types, empty texts and NULL arrive as they were; the scratch database is gone."""
    connection.execute("CREATE TYPE league.foot AS ENUM ('left', 'right')")
    connection.execute("ALTER TABLE league.players ADD feet league.foot[], ADD sum int GENERATED ALWAYS AS (id) STORED")
    before = live.dump()
    bluegreen.write("old.sql", QUALIFIED)
    arguments = ("run", "--isolate", "database", "--", psql(connection), "-v", "ON_ERROR_STOP=1", "-f", "old.sql")
    bluegreen(*arguments)
    assert live.dump() == before
    bluegreen("promote")
    assert teams(connection) == [(1, "Ajax"), (2, "")]
    rows = connection.execute("SELECT name, born::text, note, feet::text FROM league.players ORDER BY id").fetchall()
    assert rows == [("Zoë", "1999-02-28", None, "{left}"), ("", None, None, "{left}")]
    assert databases(connection) == []


@pytest.mark.usefixtures("may_create_databases")
def test_key_that_leads_out_of_the_schema_is_checked_when_rows_are_copied_over(
    bluegreen: Bluegreen, live: Live, connection: Connection
) -> None:
    """The scratch database has no such table; the release has its key all the same."""
    connection.execute("CREATE TABLE public.country (id int PRIMARY KEY)")
    connection.execute("ALTER TABLE league.teams ADD country int REFERENCES public.country")
    run = ("run", "--isolate", "database", "--", psql(connection), "-c")
    insert = (
        "INSERT INTO league.teams VALUES (1, 'Ajax', {}); INSERT INTO league.players (team_id, name) VALUES (1, 'a')"
    )
    said = refused(bluegreen, *run, insert.format(9), live=live)
    assert said.sentence.startswith("orphan in table teams")
    bluegreen(*run, insert.format("NULL"))


@pytest.mark.usefixtures("may_create_databases")
@pytest.mark.parametrize("isolate", ["schema", "database"])
def test_killed_run_is_swept_with_all_that_it_has_made(
    bluegreen: Bluegreen, live: Live, connection: Connection, isolate: str
) -> None:
    """After kill -9 the program goes on alone, where nobody will look; prune ends its sessions and leaves nothing."""
    before = live.dump()
    bluegreen.write("etl.py", SLOW + SLEEP)
    running = bluegreen.start("run", "--isolate", isolate, "--", sys.executable, "etl.py")
    scene.wait_until(lambda: any_session(connection, "query LIKE 'SELECT pg_sleep%'"))
    running.kill()
    running.wait(20)
    scene.wait_until(lambda: not scene.is_busy(connection, "load"))
    assert len(databases(connection)) == (isolate == "database")
    assert bluegreen.json("prune")["dropped"] == [2]
    running.communicate(timeout=20)
    assert databases(connection) == []
    assert live.dump() == before
    scene.assert_whole(connection)


def test_first_release_is_what_the_command_makes(bluegreen: Bluegreen, connection: Connection) -> None:
    """Without a live schema or DDL the release begins empty."""
    script = "CREATE TABLE teams (id int PRIMARY KEY, name text); INSERT INTO teams VALUES (1, 'Ajax')"
    done = bluegreen("run", "--promote", "--", psql(connection), "-c", script)
    assert "the command creates its own tables" in done.stderr
    assert teams(connection) == [(1, "Ajax")]


def test_tables_that_the_command_makes_get_the_privileges_of_live(
    bluegreen: Bluegreen, live: Live, connection: Connection
) -> None:
    """Nothing is forgotten, whichever program creates the tables."""
    connection.execute("GRANT USAGE ON SCHEMA league TO pg_monitor; GRANT SELECT ON league.teams TO pg_monitor")
    script = "CREATE TABLE teams AS SELECT 1 AS id, 'Ajax' AS name"
    own = ("--structure", "command", "--allow-drop")
    bluegreen("run", "--promote", *own, "--", psql(connection), "-c", script)
    allowed = "SELECT has_table_privilege('pg_monitor', 'league.teams', 'SELECT')"
    assert connection.execute(allowed).fetchone() == (True,)


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("DROP INDEX players_team_id_idx", "release 2 of league lacks what live has: index "),
        (
            "CREATE VIEW public.outside AS SELECT * FROM teams",
            "an object outside league depends on the release: ",
        ),
        ("TRUNCATE teams CASCADE", "checks failed on release 2: no_empty_table: 2 offending rows, first"),
    ],
)
def test_what_a_program_must_not_do_is_refused_afterwards(
    bluegreen: Bluegreen, live: Live, connection: Connection, script: str, sentence: str
) -> None:
    """A release without something of live, with outside dependents, or without tables is refused."""
    code = 3 if "checks" in sentence else 1
    filled = "INSERT INTO teams VALUES (1, 'Ajax'); INSERT INTO players (team_id, name) VALUES (1, 'Ann')"
    arguments = ("run", "--promote", "--", psql(connection), "-c", filled, "-c", script)
    before = live.dump()
    done = bluegreen(*arguments, code=code)
    assert sentence in done.stderr
    assert live.dump() == before


def test_command_that_does_not_exist_is_refused_before_anything_is_written(
    bluegreen: Bluegreen, live: Live, connection: Connection
) -> None:
    """Exit code 2, and no ledger."""
    said = refused(bluegreen, "run", "--", "no-such-program", live=live, code=2)
    assert said.sentence == "no such command: no-such-program"
    assert connection.execute("SELECT to_regnamespace('bluegreen')").fetchone() == (None,)


def test_scratch_database_needs_a_structure(bluegreen: Bluegreen, live: Live, connection: Connection) -> None:
    """It is known before anything is begun."""
    run = ("run", "--isolate", "database", "--", "true")
    said = refused(bluegreen, *run, code=2, BLUEGREEN_SCHEMA="nothing")
    assert said.sentence.startswith("cannot create the scratch database")


def test_protected_database_asks_before_the_program_runs(bluegreen: Bluegreen, live: Live) -> None:
    """Hours of loading for nothing would be the alternative."""
    bluegreen("protect")
    said = refused(bluegreen, "run", "--promote", "--", "touch", "was-here", live=live)
    assert "promote of league needs a confirmation" in said.sentence
    assert not (bluegreen.directory / "was-here").exists()
