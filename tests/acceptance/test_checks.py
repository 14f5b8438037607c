"""Checks through the executable: live next to the shadow, one snapshot, several connections, timeouts."""

import json
import subprocess
from xml.etree import ElementTree

import psycopg
from psycopg.rows import TupleRow

from bluegreen_etl import client_programs
from tests.acceptance.refusals import refused
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
GONE = 'SELECT name FROM :"live".teams EXCEPT SELECT name FROM :"shadow".teams ORDER BY 1'


def statuses(checked: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    """Status by the name of the check."""
    return {check["name"]: check["status"] for check in checked["checks"]}


def psql(connection: Connection, dsn: str, *arguments: str) -> str:
    """What psql writes, without heads."""
    program = client_programs.client_program("psql", server_major=connection.info.server_version // 10000)
    command = [str(program), "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "-d", dsn, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def test_check_sees_live_and_the_shadow_as_psql_does(bluegreen: Bluegreen, live: Live, connection: Connection) -> None:
    """The same file, the same rows; on live both are live."""
    bluegreen.write_league()
    file = bluegreen.write("checks/gone.sql", f"-- severity: warn\n{GONE}; -- both are new")
    [*_, gone] = bluegreen.json("load", "data", "--checks", "checks")["checks"]
    assert (gone["status"], gone["sample"]) == ("warned", [["old one"], ["old two"]])
    assert psql(connection, bluegreen.dsn, "-v", "live=league", "-v", "shadow=league__r2", "-f", str(file)) == (
        "old one\nold two\n"
    )
    checked = bluegreen.json("check", "live", "--checks", "checks")
    assert statuses(checked) == {"no_empty_table": "passed", "gone": "passed"}


def test_check_that_compares_with_live_is_skipped_on_a_first_load(bluegreen: Bluegreen, connection: Connection) -> None:
    """Neither a schema that is not there nor one without tables is anything to compare with."""
    connection.execute("CREATE SCHEMA league")
    bluegreen.write_league()
    bluegreen.write("checks/gone.sql", GONE)
    for schema in ("league", "other"):
        [_, gone] = bluegreen.json("load", "data", "--checks", "checks", "-s", schema)["checks"]
        assert (gone["status"], gone["message"]) == ("skipped", "nothing is live yet to compare with")
    bluegreen("promote")
    assert bluegreen.json("check", "live", "--checks", "checks")["checks"][-1]["status"] == "passed"


def test_checks_share_a_snapshot_and_not_a_connection(bluegreen: Bluegreen, live: Live, connection: Connection) -> None:
    """They run at the same time, and what is written meanwhile is seen by none."""
    connection.execute("CREATE TABLE public.noise (number int)")
    bluegreen.write_league()
    bluegreen("load", "data")
    for number in range(4):
        text = "-- severity: warn\nSELECT pg_current_snapshot(), pg_backend_pid() FROM pg_sleep(0.2)"
        bluegreen.write(f"checks/{number}.sql", text)
    bluegreen.write("bluegreen.toml", "[load]\njobs = 2\n[checks]\npath = 'checks'\n")
    running = bluegreen.start("check", "--json")
    while running.poll() is None:
        connection.execute("INSERT INTO public.noise VALUES (1)")
    out, _ = running.communicate()
    rows = [check["sample"][0] for check in json.loads(out)["checks"][-4:]]
    assert [len(set(values)) for values in zip(*rows, strict=True)] == [1, 2]


def test_check_that_never_ends_hits_its_time_out(bluegreen: Bluegreen, live: Live) -> None:
    """A check that cannot run is reported as its author's error; the other checks have run."""
    bluegreen.write_league()
    bluegreen.write("checks/long.sql", "-- severity: warn\nSELECT pg_sleep(600)")
    bluegreen.write("checks/short.sql", "SELECT 1 WHERE false")
    bluegreen.write("bluegreen.toml", "[checks]\npath = 'checks'\nstatement_timeout = 0.2\n")
    said = refused(bluegreen, "load", "data", code=3, live=live)
    assert said.sentence.endswith("long.sql: canceling statement due to statement timeout")
    assert "short" in said.stdout


def test_check_holds_no_lock_on_live_when_it_is_done(bluegreen: Bluegreen, live: Live, connection: Connection) -> None:
    """Others go on for long; a rollback in that time must find live free."""
    bluegreen.write_league()
    bluegreen.write("checks/1.sql", 'SELECT * FROM :"live".teams WHERE false')
    bluegreen.write("checks/2.sql", "SELECT pg_sleep(3) WHERE false OR pg_sleep(3) IS NULL")
    bluegreen.write("bluegreen.toml", "[load]\njobs = 1\n[checks]\npath = 'checks'\n")
    running = bluegreen.start("load", "data")
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(3)%' AND pid <> pg_backend_pid()"
    while connection.execute(sleeping).fetchone() != (1,):
        assert running.poll() is None
    connection.execute("BEGIN; SET LOCAL lock_timeout = '100ms'; LOCK TABLE league.teams; ROLLBACK")
    running.communicate()
    assert running.returncode == 0


def failures(connection: Connection) -> dict[str, list[tuple[str, ...]]]:
    """The tables of offending rows with their columns and types."""
    rows = connection.execute(
        "SELECT c.oid::regclass::text, a.attname, format_type(atttypid, atttypmod) FROM pg_class AS c "
        "JOIN pg_attribute AS a ON a.attrelid = c.oid AND attnum > 0 "
        "WHERE relnamespace::regnamespace::text ~ '_failures$' ORDER BY 1, attnum"
    )
    found: dict[str, list[tuple[str, ...]]] = {}
    for table, *column in rows:
        found.setdefault(table, []).append(tuple(column))
    return found


def test_offending_rows_are_stored_until_the_release_is_dropped(
    bluegreen: Bluegreen, live: Live, connection: Connection
) -> None:
    """All rows are stored with their types, except types of the schema; a later run replaces them, prune drops them."""
    connection.execute("CREATE TYPE league.foot AS ENUM ('left', 'right')")
    bluegreen.write_league()
    long = "x" * 70
    bluegreen.write("checks/many.sql", "SELECT p.id, t.id, 'left'::foot, born FROM players p JOIN teams t ON true")
    bluegreen.write(f"checks/{long}.sql", "-- severity: warn\n-- limit: 2\nSELECT * FROM generate_series(1, 9)")
    bluegreen.write("checks/none.sql", "SELECT 1 WHERE false")
    toml = "[checks]\nsample = 1\n[tables.players.checks.columns]\nborn = { not_null = true }\n"
    bluegreen.write("bluegreen.toml", toml)
    said = refused(bluegreen, "load", "data", "--checks", "checks", "--store-failures", code=3, live=live)
    assert "many" in said.sentence
    found = failures(connection)
    assert found["league__r2_failures.many"] == [
        ("id", "integer"),
        ("id_2", "integer"),
        ("foot", "text"),
        ("born", "date"),
    ]
    assert set(found) - {"league__r2_failures.many", 'league__r2_failures."players.born.not_null"'} == {
        next(name for name in found if "xxx" in name)
    }
    assert connection.execute("SELECT count(*) FROM league__r2_failures.many").fetchone() == (6,)
    bluegreen.write("checks/many.sql", "SELECT 1 AS one")
    stored = bluegreen.json("check", "2", "--checks", "checks", "--store-failures", code=3)["checks"]
    assert [check["stored"] for check in stored if check["name"] == "many"] == ["league__r2_failures.many"]
    assert connection.execute("SELECT * FROM league__r2_failures.many").fetchall() == [(1,)]
    bluegreen.write("checks/many.sql", "SELECT 1 WHERE false")
    bluegreen("check", "2", "--checks", "checks", "--store-failures", code=3)
    assert "league__r2_failures.many" not in failures(connection)
    bluegreen.write("bluegreen.toml", "")
    bluegreen("load", "data")
    assert failures(connection) == {}
    assert connection.execute("SELECT to_regnamespace('league__r2_failures')").fetchone() == (None,)


def test_schema_of_somebody_else_takes_no_offending_rows(
    bluegreen: Bluegreen, live: Live, connection: Connection
) -> None:
    """It is neither written into nor dropped."""
    connection.execute("CREATE SCHEMA league__r2_failures CREATE TABLE mine (id int)")
    bluegreen.write_league()
    said = refused(bluegreen, "load", "data", "--store-failures", live=live)
    assert said.sentence == "schema league__r2_failures already exists, and bluegreen did not create it"
    assert failures(connection) == {"league__r2_failures.mine": [("id", "integer")]}


def test_table_of_offending_rows_that_is_used_stays(bluegreen: Bluegreen, live: Live, connection: Connection) -> None:
    """A view of another role on the stored rows is not dropped, and the reason is reported."""
    bluegreen.write_league()
    bluegreen.write("checks/few.sql", "-- severity: warn\nSELECT id FROM players")
    bluegreen("load", "data", "--checks", "checks", "--store-failures")
    connection.execute("CREATE VIEW public.seen AS SELECT * FROM league__r2_failures.few")
    said = refused(bluegreen, "check", "--checks", "checks", "--store-failures", live=live)
    assert "league__r2_failures.few" in said.sentence
    bluegreen("promote")
    bluegreen("rollback")
    [[number, reason]] = bluegreen.json("prune", "--keep", "0")["refused"].items()
    sentence = "schema league__r2_failures cannot be dropped: view public.seen depends on it"
    assert (number, reason) == (
        "2",
        f"{sentence}; HINT: Drop these dependents first, or re-create them on the live schema.",
    )


def test_dry_run_tells_which_checks_there_are(bluegreen: Bluegreen, live: Live) -> None:
    """In files and declared; what cannot be one is refused there."""
    bluegreen.write_league()
    bluegreen.write("checks/gone.sql", GONE)
    bluegreen.write("bluegreen.toml", "[tables.teams.checks]\nrow_count = { min = 1 }\n")
    said = bluegreen("load", "data", "--checks", "checks", "--dry-run").stderr
    assert said.splitlines()[0].endswith("; copy 2 files into 2 tables; check gone, teams.row_count")


def test_long_name_has_no_room_for_offending_rows(bluegreen: Bluegreen) -> None:
    """A name without room for `_failures` is refused before anything is loaded; without --store-failures it works."""
    schema = "s" * 59
    bluegreen.write_league()
    said = refused(bluegreen, "load", "data", "-s", schema, "--store-failures", code=2)
    assert said.sentence.startswith(f'schema name "{schema}" is too long to store failures: ')
    for _ in range(2):
        bluegreen("load", "data", "-s", schema, "--promote")
    assert bluegreen.json("prune", "-s", schema, "--keep", "0")["dropped"] == [1]


def test_results_are_written_for_ci_systems(bluegreen: Bluegreen, live: Live) -> None:
    """By a load that goes on, one that fails its checks, one that fails before them, and by check."""
    bluegreen.write_league()
    file = bluegreen.directory / "checks.xml"

    def suite(*arguments: str, code: int = 0) -> dict[str, str]:
        file.unlink(missing_ok=True)
        bluegreen(*arguments, "--junit", "checks.xml", code=code)
        return ElementTree.parse(file).getroot()[0].attrib

    assert suite("load", "data", "--dry-run")["tests"] == "0"
    assert suite("load", "data", "--promote")["name"] == "bluegreen league release 2"
    assert suite("check", "live")["tests"] == "1"
    bluegreen.write("data/players.csv", "id,team_id,name,born,note\n")
    assert suite("load", "data", code=3)["failures"] == "2"
    bluegreen.write("data/players.csv", "id,team_id,name,born,note\none,1,Ann,,\n")
    assert suite("load", "data", code=1)["errors"] == "1"
    assert "none does not exist" in bluegreen("check", "--junit", "none/checks.xml", code=2).stderr
