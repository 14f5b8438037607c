"""What happened with the script that this program replaces, one test for each; none of it may come back."""

import sys

import psycopg
from psycopg.rows import TupleRow

from bluegreen_etl import client_programs
from tests.acceptance.refusals import refused
from tests.concurrency import scene
from tests.support import TEAMS, Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
WRITING = """
import psycopg
psycopg.connect("", autocommit=True).execute("INSERT INTO league.teams VALUES (9, 'meanwhile')")
raise SystemExit(1)
"""
COMMITTING = """
import psycopg
connection = psycopg.connect("")
connection.execute("DELETE FROM teams")
connection.commit()
connection.execute("INSERT INTO teams VALUES (1, 'half')")
connection.commit()
raise SystemExit(1)
"""


def test_1_production_that_was_detected_is_guarded_like_any_other(
    bluegreen: Bluegreen, live: Live, connection: Connection
) -> None:
    """The guard looked at a flag; a database that the platform's variables had led to passed it."""
    bluegreen.write("bluegreen.toml", f'[environments.production]\ndsn = "{bluegreen.dsn}"\nprotected = true\n')
    bluegreen.write_league()
    production = "production"
    bluegreen("load", "data", BLUEGREEN_DSN="", RAILWAY_ENVIRONMENT_NAME=production)
    for arguments in (("load", "data", "--promote"), ("promote",), ("prune",), ("run", "--promote", "--", "true")):
        detected = refused(bluegreen, *arguments, live=live, BLUEGREEN_DSN="", RAILWAY_ENVIRONMENT_NAME=production)
        assert "is protected" in detected.sentence
        assert "is protected" in refused(bluegreen, *arguments, live=live).sentence  # reached in another way
    assert connection.execute("SELECT count(*) FROM league.teams").fetchone() == (2,)


def test_2_failed_backup_stops_the_promote(bluegreen: Bluegreen, live: Live, connection: Connection) -> None:
    """It was logged, and the import went on."""
    real = client_programs.client_program("pg_dump", server_major=connection.info.server_version // 10000)
    failing = f'#!/bin/sh\ncase "$*" in *directory*) echo "disk full" >&2; exit 1;; esac\nexec "{real}" "$@"\n'
    bluegreen.write("bin/pg_dump", failing).chmod(0o755)
    (bluegreen.directory / "bin/pg_restore").symlink_to(real.with_name("pg_restore"))
    settings = 'pg_bindir = "bin"\n[load]\nbackup = "before-promote"\n[backup]\npath = "kept"\n'
    bluegreen.write("bluegreen.toml", settings)
    bluegreen.write_league()
    said = refused(bluegreen, "load", "data", "--promote", live=live)
    assert said.sentence == "pg_dump failed: disk full"
    assert scene.statuses(connection) == {1: "live", 2: "ready"}
    assert list((bluegreen.directory / "kept").iterdir()) == []


def test_3_failure_takes_nothing_from_what_users_have_written_meanwhile(
    bluegreen: Bluegreen, live: Live, connection: Connection
) -> None:
    """A dump from before was restored over a database that had lost nothing."""
    bluegreen.write("etl.py", WRITING)
    bluegreen("run", "--promote", "--", sys.executable, "etl.py", code=6)
    bluegreen.write_league(teams=TEAMS + "2,twice\n")
    bluegreen("load", "data", "--promote", code=1)
    rows = connection.execute("SELECT name FROM league.teams ORDER BY id").fetchall()
    assert rows == [("old one",), ("old two",), ("meanwhile",)]


def test_4_missing_file_is_no_empty_table(bluegreen: Bluegreen, live: Live) -> None:
    """It counted as an empty list, and the table that had been cleared for it stayed empty."""
    bluegreen.write("data/teams.csv", TEAMS)
    said = refused(bluegreen, "load", "data", "--promote", live=live)
    assert said.sentence.startswith("no file for table players of league")
    refused(bluegreen, "load", "data", "data/players.csv", "--promote", live=live)
    bluegreen.write("data/players.csv", "id,team_id,name\n")
    assert "no_empty_table" in bluegreen("load", "data", "--promote", code=3).stderr


def test_5_commits_of_a_wrapped_program_reach_no_reader(
    bluegreen: Bluegreen, live: Live, connection: Connection
) -> None:
    """The wrapper was meant to suppress them and never did; here they may be as many as one likes."""
    program = (
        "import psycopg\nc = psycopg.connect('')\nc.execute('DELETE FROM teams')\nc.commit()\nraise SystemExit(1)\n"
    )
    bluegreen.write("etl.py", program)
    said = refused(bluegreen, "run", "--promote", "--", sys.executable, "etl.py", live=live)
    assert said.sentence.endswith("ended with exit code 1")
    scene.assert_whole(connection)


def test_6_rows_of_users_that_refer_to_reloaded_tables_survive(
    bluegreen: Bluegreen, live: Live, connection: Connection
) -> None:
    """They were lost at each reload; the key follows to each release, and is as strict as before."""
    connection.execute("""
        CREATE TABLE public.favourite (who text, team_id int REFERENCES league.teams ON DELETE CASCADE);
        INSERT INTO public.favourite VALUES ('ann', 1), ('bo', 2);
    """)
    bluegreen.write_league()
    bluegreen("load", "data", "--promote")
    bluegreen("rollback")
    bluegreen("promote", "2")
    joined = "SELECT f.who, t.name FROM public.favourite AS f JOIN league.teams AS t ON t.id = f.team_id ORDER BY 1"
    assert connection.execute(joined).fetchall() == [("ann", "Ajax"), ("bo", "Łódź United")]
    validated = "SELECT convalidated FROM pg_constraint WHERE conrelid = 'public.favourite'::regclass AND contype = 'f'"
    assert connection.execute(validated).fetchall() == [(True,)]
    bluegreen.write_league(teams="id,name\n1,Ajax\n", players="id,team_id,name\n1,1,Ann\n2,1,Bo\n")
    bluegreen("load", "data", "--promote", code=1)
    assert connection.execute("SELECT count(*) FROM public.favourite").fetchone() == (2,)
