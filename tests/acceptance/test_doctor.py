"""`doctor`: each thing that would make a command fail is found before it does, with what to do."""

import psycopg
import pytest
from psycopg import conninfo
from psycopg.rows import TupleRow

from tests.acceptance.refusals import refused
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]


Found = dict[tuple[str, str], list[tuple[str, str | None]]]


def findings(bluegreen: Bluegreen, *arguments: str, code: int = 0) -> Found:
    """Return what doctor finds, by topic and grade."""
    found: Found = {}
    for item in bluegreen.json("doctor", *arguments, code=code)["findings"]:
        found.setdefault((item["topic"], item["grade"]), []).append((item["found"], item["hint"]))
    return found


def test_healthy_database_is_well_and_left_as_it_was(bluegreen: Bluegreen, live: Live, connection: Connection) -> None:
    """Nothing fails, nothing is written, and what a load's sessions will have is shown."""
    before = live.dump()
    found = findings(bluegreen)
    assert {grade for _, grade in found} == {"ok", "warn"}
    assert [topic for topic, grade in found if grade == "warn"] == ["privileges", "checks"]
    # What some commands and messages need more.
    own = conninfo.conninfo_to_dict(bluegreen.dsn)["user"]
    mended = [f"ALTER ROLE {own} CREATEDB;", f"GRANT pg_read_all_stats TO {own};"]
    assert [hint for _, hint in found["privileges", "warn"]] == mended
    [(session, _)] = found["session", "ok"]
    assert "statement_timeout 0" in session
    assert "synchronous_commit on" in session
    assert "keepalive after 30 s" in session
    assert live.dump() == before
    assert connection.execute("SELECT to_regnamespace('bluegreen')").fetchone() == (None,)
    assert "PostgreSQL" in bluegreen("doctor").stdout


@pytest.mark.parametrize(
    ("statement", "topic", "found"),
    [
        ("CREATE EXTENSION pg_trgm SCHEMA league", "live", "extension pg_trgm is installed in schema league"),
        ("CREATE TABLE public.m (team league.teams)", "live", "public.m"),
        (
            "CREATE TABLE public.p (id int); ALTER TABLE league.teams INHERIT public.p",
            "live",
            "teams of league inherits from public.p",
        ),
    ],
)
def test_what_load_or_promote_would_refuse_is_found(
    bluegreen: Bluegreen, live: Live, connection: Connection, statement: str, topic: str, found: str
) -> None:
    """Extensions inside, objects outside that cannot follow, inheritance across."""
    if "EXTENSION" in statement:
        available = "SELECT FROM pg_available_extensions WHERE name = 'pg_trgm'"
        if not connection.execute(available).fetchall():
            statement, found = "CREATE EXTENSION citext SCHEMA league", "extension citext"
    connection.execute(statement.encode())
    assert any(found in text for text, _ in findings(bluegreen, code=1)[topic, "fail"])


def test_session_settings_that_would_end_a_load_or_do_not_exist_are_found(bluegreen: Bluegreen, live: Live) -> None:
    """A time-out is a warning, a setting that the server refuses a failure."""
    bluegreen.write("bluegreen.toml", '[load.session]\nstatement_timeout = "5min"\n')
    [(found, _)] = findings(bluegreen)["session", "warn"]
    assert found == "statement_timeout is 5min while loading"
    bluegreen.write("bluegreen.toml", '[load.session]\nwork_memory = "1GB"\n')
    assert "session" in {topic for topic, grade in findings(bluegreen, code=1) if grade == "fail"}
    bluegreen.write_league()
    said = refused(bluegreen, "load", "data", live=live, code=2)
    assert said.sentence.startswith("the server refuses load.session.work_memory: ")
    assert bluegreen.json("status")["releases"] == []


def test_leftovers_are_found(bluegreen: Bluegreen, live: Live, connection: Connection) -> None:
    """A release that failed its checks, and a schema that looks like a release and is none."""
    bluegreen.write_league(teams="id,name\n", players="id,team_id,name\n")
    bluegreen("load", "data", code=3)
    connection.execute("CREATE SCHEMA league__r77")
    found = findings(bluegreen)["leftovers", "warn"]
    assert found == [
        ("release 2 is failed", "Run `bluegreen prune`."),
        (
            "schema league__r77 belongs to no release",
            "Run `DROP SCHEMA league__r77 CASCADE;` if it is no longer needed.",
        ),
    ]


def test_pg_dump_that_is_missing_is_found(bluegreen: Bluegreen, live: Live) -> None:
    """Without it no structure can be read."""
    bluegreen.write("bluegreen.toml", 'pg_bindir = "nowhere"\n')
    done = bluegreen("doctor", code=1)
    assert "client programs" in done.stderr
    assert "pg_dump of PostgreSQL" in done.stdout
