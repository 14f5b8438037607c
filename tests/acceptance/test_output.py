"""stdout is data: one JSON object with --json, a script with --dry-run; stderr is the log."""

import json
import os
import subprocess
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import TupleRow

from bluegreen_etl import client_programs
from tests.support import Bluegreen, Live


def one_object(bluegreen: Bluegreen, *arguments: str, code: int = 0) -> dict[str, Any]:
    """Run a command with --json; stdout must be one object and nothing else, stderr none of it."""
    done = bluegreen(*arguments, "--json", code=code)
    parsed = json.loads(done.stdout)
    assert isinstance(parsed, dict)
    assert "{" not in done.stderr
    return parsed


def test_each_command_writes_one_json_object(bluegreen: Bluegreen, live: Live) -> None:
    """For every command, with the keys that a script would read."""
    bluegreen.write_league()
    bluegreen.write("checks/born.sql", "SELECT id FROM players WHERE born IS NULL")
    planned = one_object(bluegreen, "load", "data", "--dry-run")
    assert (planned["release"], {file["table"] for file in planned["files"]}) == (None, {"players", "teams"})
    loaded = one_object(bluegreen, "load", "data")
    assert loaded["release"]["number"] == 2
    assert {table["table"]: table["rows"] for table in loaded["tables"]} == {"players": 3, "teams": 2}
    assert all(len(file["sha256"]) == 64 for file in loaded["files"])
    failed = one_object(bluegreen, "check", "2", "--checks", "checks", code=3)
    assert [(check["name"], check["status"]) for check in failed["checks"]][-1] == ("born", "failed")
    assert failed["checks"][-1]["sample"] == [["2"]]
    assert one_object(bluegreen, "check", "2")["number"] == 2
    differences = one_object(bluegreen, "diff")["differences"]
    assert differences == [{"table": "players", "what": "rows", "live": "1", "release": "3"}]
    assert one_object(bluegreen, "promote", "--dry-run")["script"].startswith("\\set ON_ERROR_STOP on\n")
    assert one_object(bluegreen, "promote")["cutover"]["to_number"] == 2
    assert one_object(bluegreen, "rollback")["cutover"]["to_number"] == 1
    state = one_object(bluegreen, "status")
    assert (state["live"], [r["status"] for r in state["releases"]]) == (1, ["live", "previous"])
    assert [cutover["direction"] for cutover in one_object(bluegreen, "history")["cutovers"]] == ["promote", "rollback"]
    assert one_object(bluegreen, "prune", "--keep", "0")["dropped"] == [2]
    assert one_object(bluegreen, "protect")["protected"] is True


def test_load_and_promote_write_one_json_object_together(bluegreen: Bluegreen, live: Live) -> None:
    """Two steps, one command, one object."""
    bluegreen.write_league()
    one_object(bluegreen, "load", "data", "--promote")


def test_failed_load_writes_one_json_object_or_nothing(bluegreen: Bluegreen, live: Live) -> None:
    """Failed checks are data; any other error goes to stderr and leaves stdout empty."""
    bluegreen.write_league(players="id,team_id,name\n")
    assert one_object(bluegreen, "load", "data", code=3)["checks"][0]["sample"] == [["players"]]
    bluegreen.write_league(players="id,team_id,name\n1,one,Ann\n")
    assert bluegreen("load", "data", "--json", code=1).stdout == ""


def test_dry_run_of_a_load_writes_nothing(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """No ledger, no schema; what can be refused is refused all the same."""
    bluegreen.write_league()
    before = live.dump()
    done = bluegreen("load", "data", "--dry-run")
    assert done.stderr.splitlines() == [
        "a load of league would do this: structure from live; copy 2 files into 2 tables; run the built-in checks only",
        "dry run: nothing was written",
    ]
    assert "data/players.csv" in done.stdout
    bluegreen.write_league(teams="id\n1\n")
    bluegreen("load", "data", "--dry-run", code=1)
    rows = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ '^(league|bluegreen)'").fetchall()
    assert rows == [("league",)]
    assert live.dump() == before


def psql(connection: psycopg.Connection[TupleRow], dsn: str, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script with psql and nothing of the developer's own settings."""
    program = client_programs.client_program("psql", server_major=connection.info.server_version // 10000)
    command = [str(program), "--no-psqlrc", "--quiet", "--dbname", dsn]
    return subprocess.run(command, input=script, capture_output=True, text=True, check=False, timeout=60)


def test_script_of_a_dry_run_does_what_promote_does(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """psql runs it as printed, whatever the names: the release is live, the ledger knows it, rollback finds its way."""
    schema = 'it\'s "one" :x %s'
    connection.execute(sql.SQL("ALTER SCHEMA league RENAME TO {}").format(sql.Identifier(schema)))
    connection.execute(sql.SQL("CREATE VIEW public.teams AS SELECT * FROM {}").format(sql.Identifier(schema, "teams")))
    count = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, "players"))
    bluegreen.write_league()
    bluegreen("load", "data", "-s", schema)
    script = bluegreen("promote", "--dry-run", "-s", schema).stdout
    assert connection.execute(count).fetchone() == (1,)
    done = psql(connection, bluegreen.dsn, script)
    assert (done.returncode, done.stderr) == (0, "")
    assert connection.execute(count).fetchone() == (3,)
    state = bluegreen.json("status", "-s", schema)
    assert (state["live"], state["drifted"]) == (2, False)
    again = psql(connection, bluegreen.dsn, script)
    assert again.returncode != 0
    assert connection.execute(count).fetchone() == (3,)
    script = bluegreen("rollback", "--dry-run", "-s", schema).stdout
    assert psql(connection, bluegreen.dsn, script).returncode == 0
    assert connection.execute(count).fetchone() == (1,)
    assert bluegreen.json("status", "-s", schema)["live"] == 1


@pytest.mark.parametrize("redirection", [">/dev/full", "2>/dev/full", ">&-", "| true"])
def test_exit_code_tells_of_the_promote_and_not_of_its_report(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow], redirection: str
) -> None:
    """If the report cannot be written, live has still changed, and the exit code is 0."""
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
    assert connection.execute("SELECT number FROM bluegreen.release WHERE status = 'live'").fetchall() == [(2,)]


def test_output_in_another_encoding_is_not_an_error(bluegreen: Bluegreen, live: Live) -> None:
    """A character that the encoding of stdout lacks is written as an escape."""
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


def test_files_with_offending_rows_are_private_and_follow_no_link(bluegreen: Bluegreen, live: Live) -> None:
    """The page and the XML have offending rows; metrics have none, and follow the umask."""
    bluegreen.write_league()
    bluegreen.write("other", "precious")
    bluegreen("load", "data", "--junit", "checks.xml", "--metrics", "metrics.prom")
    bluegreen("report", "--html", "page.html")
    modes = {
        name: (bluegreen.directory / name).stat().st_mode & 0o777
        for name in ("checks.xml", "page.html", "metrics.prom")
    }
    assert modes == {"checks.xml": 0o600, "page.html": 0o600, "metrics.prom": 0o666 & ~_umask()}
    for name in modes:
        (bluegreen.directory / name).unlink()
        (bluegreen.directory / name).symlink_to("other")
    said = bluegreen("load", "data", "--junit", "checks.xml", "--metrics", "metrics.prom").stderr
    assert said.count("could not be written") == 2
    bluegreen("report", "--html", "page.html", code=1)
    assert (bluegreen.directory / "other").read_text() == "precious"


def _umask() -> int:
    now = os.umask(0)
    os.umask(now)
    return now
