"""Files that can be read but whose data are wrong: keys, orphans, checks, empty tables, types seen too late."""

import json

import psycopg
from psycopg.rows import TupleRow

from tests.acceptance.refusals import refused
from tests.support import PLAYERS, Bluegreen, Live

COUNT_TEAMS = "SELECT count(*) FROM league__r2.teams"


def schemas(connection: psycopg.Connection[TupleRow]) -> list[str]:
    """Return the schemas of live, its releases and the ledger."""
    rows = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ '^(league|bluegreen)' ORDER BY 1")
    return [row[0] for row in rows]


# ---- keys


def test_duplicate_key_is_named_with_its_value(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """The index that is built after COPY finds it; nothing of the release is left."""
    bluegreen.write_league(teams="id,name\n1,Ajax\n2,Łódź\n1,PSV\n")
    said = refused(bluegreen, "load", "data", live=live)
    assert said.sentence == ("duplicate key in table teams: Key (id)=(1) is duplicated (constraint teams_pkey)")
    assert schemas(connection) == ["bluegreen", "league"]


def test_orphan_is_named_with_its_value(bluegreen: Bluegreen, live: Live) -> None:
    """A player of a team that is not there."""
    bluegreen.write_league(players=PLAYERS + "4,99,Eve,,\n")
    said = refused(bluegreen, "load", "data", live=live)
    assert said.sentence == (
        'orphan in table players: Key (team_id)=(99) is not present in table "teams" (constraint players_team_id_fkey)'
    )


def test_row_against_a_constraint_is_named(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """A CHECK of the table stays with the table while it is loaded, or is made after it."""
    connection.execute("ALTER TABLE league.teams ADD CONSTRAINT short CHECK (length(name) < 10)")
    bluegreen.write_league()
    said = refused(bluegreen, "load", "data", live=live)
    assert "teams" in said.sentence
    assert "short" in said.sentence


# ---- checks of the project


def test_failed_check_stops_the_release_and_shows_the_rows(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """Exit code 3, the table of results on stdout, the shadow kept for inspection until the next load."""
    bluegreen.write_league()
    bluegreen.write("checks/born.sql", "-- description: all are born\nSELECT id, name FROM players WHERE born IS NULL;")
    said = refused(bluegreen, "load", "data", "--checks", "checks", "--promote", code=3, live=live)
    assert said.sentence == "1 of 3 checks failed on release 2: born: 1 offending row, first id=2, name=Zoë"
    assert "bluegreen check 2" in said.hint
    assert [line.split()[0] for line in said.stdout.splitlines()[2:]] == ["no_empty_table", "no_halved_table", "born"]
    assert "id=2, name=Zoë" in said.stdout
    assert schemas(connection) == ["bluegreen", "league", "league__r2"]
    assert connection.execute(COUNT_TEAMS).fetchone() == (2,)
    again = refused(bluegreen, "check", "2", "--checks", "checks", code=3, live=live)
    assert again.sentence == said.sentence
    done = bluegreen("load", "data")
    assert "dropping release 2, which is failed" in done.stderr
    assert schemas(connection) == ["bluegreen", "league", "league__r3"]


def test_check_that_cannot_be_run_is_named_with_its_line(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """A check with an error, or one that tries to write, stops the release and writes nothing."""
    connection.execute(
        "CREATE FUNCTION public.wipe() RETURNS bool LANGUAGE plpgsql AS "
        "$$ BEGIN DELETE FROM league.players; DELETE FROM players; RETURN true; END $$"
    )
    before = live.dump()
    bluegreen.write_league()
    bluegreen("load", "data")
    release = live.dump("league__r2")
    bad = {
        "column": ("SELECT *\nFROM players\nWHERE borne IS NULL", ', line 3: column "borne" does not exist'),
        "syntax": ("SELEKT 1", ", line 1: syntax error at or near "),
        "end": ("SELECT 1\nFROM", ', line 2: syntax error at or near ")"'),
        "quote": ("SELECT 'x", ", line 1: unterminated quoted string at or near \"'x"),
        "parameter": ("SELECT $1", ": bind message supplies 0 parameters"),
        "delete": ("DELETE FROM teams RETURNING *", ", line 1: "),
        "with": ("WITH d AS (DELETE FROM teams RETURNING *) SELECT * FROM d", ", line 1: "),
        "wipe": ("SELECT wipe()", ": cannot execute DELETE in a read-only transaction"),
        "two": ("SELECT 1; SELECT 2", ', line 1: syntax error at or near ";"'),
        "several": (
            "SELECT 1) AS x) AS y; COMMIT; DELETE FROM league.players; SELECT FROM (SELECT FROM (SELECT 1",
            ": cannot insert multiple",
        ),
        "set": ("SELECT set_config('transaction_read_only', 'off', true), wipe()", ": "),
    }
    for name, (text, _) in bad.items():
        bluegreen.write(f"checks/{name}.sql", text)
    said = refused(bluegreen, "check", "--checks", "checks", code=3)
    assert said.sentence.startswith("11 of 13 checks failed on release 2: column: ")
    assert said.sentence.endswith("; and 1 more")
    for name, (_, sentence) in bad.items():
        assert f"/checks/{name}.sql{sentence}" in said.stdout
    assert live.dump() == before
    assert live.dump("league__r2") == release
    # What no tables can mend is found before a row is copied.
    for dry in ((), ("--dry-run",)):
        said = refused(bluegreen, "load", "data", "--checks", "checks", *dry, code=2, live=live)
        assert said.sentence.startswith("check delete cannot run: ")
    for name in ("delete", "end", "quote", "several", "syntax", "two", "with"):
        bluegreen.write(f"checks/{name}.sql", "SELECT 1 WHERE false")
    said = refused(bluegreen, "load", "data", "--checks", "checks", code=3, live=live)
    assert said.sentence.startswith("4 of 13 checks failed on release 3: column: ")


def test_rows_of_a_check_are_shown_as_the_server_writes_them(bluegreen: Bluegreen, live: Live) -> None:
    """Neither Python's spelling nor the bounds of its types get in between."""
    bluegreen.write_league()
    bluegreen.write(
        "checks/odd.sql",
        """SELECT '-infinity'::date AS d, '{"a": null}'::jsonb AS j, true AS b, 'x%s{}' AS t, 7 % 4 AS m,
        repeat('x', 20000) AS long, E'a\\nb\\u001b' AS ctl, NULL AS n""",
    )
    said = refused(bluegreen, "load", "data", "--checks", "checks", code=3, live=live)
    shown = f'd=-infinity, j={{"a": null}}, b=t, t=x%s{{}}, m=3, long={"x" * 60}…, ctl=a\\nb\\x1b, n=null'
    assert said.sentence.endswith(f"first {shown}")
    [odd] = [each for each in bluegreen.json("check", "2", "--checks", "checks", code=3)["checks"] if each["failures"]]
    assert odd["sample"][0][5:] == ["x" * 10_000 + "…", "a\nb\x1b", None]


def test_headers_of_dbt_decide_about_the_rows(bluegreen: Bluegreen, live: Live) -> None:
    """How many rows are too many, how many are counted, and which checks are wanted by their tag."""
    bluegreen.write_league()
    few = "-- error_if: >2\n-- tags: smoke\nSELECT name FROM players;  -- all three; none is too many\n"
    bluegreen.write("checks/few.sql", few.replace(">2", ">3"))
    bluegreen.write("checks/many.sql", "-- severity: warn\n-- limit: 2\nSELECT name FROM players ORDER BY name")
    bluegreen("load", "data", "--checks", "checks")
    bluegreen.write("checks/few.sql", few)
    checked = bluegreen.json("check", "--checks", "checks", code=3)["checks"]
    assert [(check["name"], check["status"], check["failures"], len(check["sample"])) for check in checked] == [
        ("no_empty_table", "passed", 0, 0),
        ("no_halved_table", "passed", 0, 0),
        ("few", "failed", 3, 3),
        ("many", "warned", 2, 2),
    ]
    checked = bluegreen.json("check", "--checks", "checks", "--tag", "smoke", "--tag", "other", code=3)["checks"]
    assert [check["name"] for check in checked] == ["few"]
    said = refused(bluegreen, "check", "--checks", "checks", "--tag", "smok", code=2)
    assert (said.sentence, said.hint) == ("no check has the tag smok", "Use one of these tags: smoke.")


def test_warning_does_not_stop_a_release(bluegreen: Bluegreen, live: Live) -> None:
    """A check of severity warn is shown and reported, and the release is ready."""
    before = live.dump()
    bluegreen.write_league()
    bluegreen.write("checks/born.sql", "-- severity: warn\nSELECT id, name FROM players WHERE born IS NULL")
    done = bluegreen("load", "data", "--checks", "checks", "--json")
    assert "warning: born: 1 offending row, first id=2, name=Zoë" in done.stderr.splitlines()
    loaded = json.loads(done.stdout)
    assert loaded["release"]["status"] == "ready"
    assert [(check["name"], check["status"]) for check in loaded["checks"]][-1] == ("born", "warned")
    assert live.dump() == before


def test_wrong_checks_are_refused_before_anything_is_loaded(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """A configuration that cannot work must not cost an hour of loading first."""
    bluegreen.write_league()
    said = refused(bluegreen, "load", "data", "--checks", "checks", code=2, live=live)
    assert said.sentence.startswith("no such directory of checks: ")
    bluegreen.write("checks/x.sql", "-- severity: fatal\nSELECT 1")
    said = refused(bluegreen, "load", "data", "--checks", "checks", code=2, live=live)
    assert said.sentence.endswith('x.sql, line 1: severity "fatal" is not warn or error')
    assert schemas(connection) == ["league"]


# ---- empty tables


def test_file_of_a_header_alone_is_refused(bluegreen: Bluegreen, live: Live) -> None:
    """The export that wrote a header and died is the classic one."""
    bluegreen.write_league(players="id,team_id,name\n")
    said = refused(bluegreen, "load", "data", code=3, live=live)
    assert said.sentence == (
        "2 of 2 checks failed on release 2: no_empty_table: 1 offending row, first empty_table=players; "
        "no_halved_table: 1 offending row, first halved_table=players, rows=0, live=1"
    )


def test_rows_of_children_are_counted_too(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """A parent's rows are also those of the tables that inherit from it, on both sides of the comparison."""
    connection.execute("CREATE TABLE league.veterans () INHERITS (league.players)")
    connection.execute("INSERT INTO league.veterans (id, team_id, name) VALUES (7, 1, 'A'), (8, 1, 'B'), (9, 1, 'C')")
    bluegreen.write_league(players="id,team_id,name\n1,1,Piet\n")
    bluegreen.write("data/veterans.csv", "id,team_id,name\n7,1,A\n8,1,B\n")
    bluegreen("load", "data")
    bluegreen.write("data/veterans.csv", "id,team_id,name\n")
    bluegreen.write("bluegreen.toml", "[tables.veterans]\nallow_empty = true\n")
    said = refused(bluegreen, "load", "data", code=3)
    assert said.sentence.endswith("first halved_table=players, rows=1, live=4")


def test_table_that_may_be_empty_loads(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """`allow_empty` is the project's word that no rows are right."""
    bluegreen.write("bluegreen.toml", "[tables.players]\nallow_empty = true\n")
    bluegreen.write_league(players="id,team_id,name\n")
    bluegreen("load", "data", "--promote")
    assert connection.execute("SELECT count(*) FROM league.players").fetchone() == (0,)


# ---- types inferred


def test_value_far_down_widens_the_inferred_type(
    bluegreen: Bluegreen, connection: psycopg.Connection[TupleRow]
) -> None:
    """A load reads every value before it chooses a type."""
    rows = "".join(f"{number},{number}\n" for number in range(1, 2001))
    bluegreen.write("data/cards.csv", f"id,number\n{rows}2001,12B\n")
    bluegreen("load", "data", "--promote")
    assert connection.execute("SELECT number FROM league.cards WHERE id = 2001").fetchone() == ("12B",)


def test_type_that_the_server_does_not_know_is_refused(
    bluegreen: Bluegreen, connection: psycopg.Connection[TupleRow]
) -> None:
    """A declared type is the server's to judge; nothing of the release is left."""
    bluegreen.write("data/cards.csv", "id,number\n1,2\n")
    bluegreen.write("bluegreen.toml", '[tables.cards]\ntypes = { number = "nummer" }\n')
    said = refused(bluegreen, "load", "data")
    assert 'type "nummer" does not exist' in said.sentence
    assert schemas(connection) == ["bluegreen"]
