"""Checks declared in bluegreen.toml: each kind passes and fails, in one scan, alone, and against live."""

from typing import Any

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.acceptance.refusals import refused
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
COLUMNS = "[tables.players.checks.columns]\n"
TABLE = "[tables.players.checks]\n"

# Where one is said, the number of offending rows and the first of them, as the check shows it.
KINDS = [
    (COLUMNS + "name = { not_null = true }", "players.name.not_null", 0, None),
    (COLUMNS + "born = { not_null = true }", "players.born.not_null", 1, ["2", "2", "Zoë", None, None]),
    (COLUMNS + "name = { unique = true }", "players.name.unique", 0, None),
    (COLUMNS + "team_id = { unique = true }", "players.team_id.unique", 1, ["1", "2"]),
    (TABLE + "unique = [['team_id', 'name']]", "players.team_id,name.unique", 0, None),
    (TABLE + "unique = [{ columns = ['team_id'] }]", "players.team_id.unique", 1, ["1", "2"]),
    (COLUMNS + "team_id = { accepted_values = [1, 2] }", "players.team_id.accepted_values", 0, None),
    (COLUMNS + "note = { accepted_values = ['x'] }", "players.note.accepted_values", 2, None),
    (
        COLUMNS + "team_id = { relationships = { to = 'teams', field = 'id' } }",
        "players.team_id.relationships",
        0,
        None,
    ),
    (COLUMNS + "id = { relationships = { to = 'teams', field = 'id' } }", "players.id.relationships", 1, None),
    (COLUMNS + "id = { in_range = { min = 1, max = 3 } }", "players.id.in_range", 0, None),
    (COLUMNS + "born = { in_range = { min = '1999-03-01' } }", "players.born.in_range", 1, None),
    (COLUMNS + "id = { in_range = { max = 1.5 } }", "players.id.in_range", 2, None),
    (COLUMNS + "name = { matches = '^[A-ZR]' }", "players.name.matches", 0, None),
    (COLUMNS + "name = { matches = '^[A-Z][a-zë]+$' }", "players.name.matches", 1, None),
    (COLUMNS + "born = { freshness = '100 years' }", "players.born.freshness", 0, None),
    (COLUMNS + "born = { freshness = '2 days' }", "players.born.freshness", 1, ["2001-12-31"]),
    (TABLE + "row_count = { min = 3, max = 3 }", "players.row_count", 0, None),
    (TABLE + "row_count = { min = 4 }", "players.row_count", 1, ["3"]),
    (TABLE + "row_count = { max = 2 }", "players.row_count", 1, ["3"]),
    (TABLE + "expressions = { early = \"born < '2020-01-01'\" }", "players.expressions.early", 0, None),
    (TABLE + "expressions = { early = 'id < 3 -- not many' }", "players.expressions.early", 1, None),
    # Live has four players; one of them is gone, and another one is new.
    (TABLE + "rows_against_live = { max_drop = '25 %' }", "players.rows_against_live", 0, None),
    (TABLE + "rows_against_live = { max_drop = '24.9%' }", "players.rows_against_live", 1, ["3", "4"]),
    (TABLE + "rows_against_live = { max_growth = '0 %' }", "players.rows_against_live", 0, None),
    (
        TABLE + "keys_against_live = { columns = ['id'], max_vanished = '50 %' }",
        "players.keys_against_live",
        0,
        None,
    ),
    (TABLE + "keys_against_live = { columns = ['id'], max_vanished = '10 %' }", "players.keys_against_live", 1, ["4"]),
    (COLUMNS + "born = { nulls_against_live = '67 %' }", "players.born.nulls_against_live", 0, None),
    (COLUMNS + "born = { nulls_against_live = '66 %' }", "players.born.nulls_against_live", 1, ["33.333", "100.000"]),
    (COLUMNS + "team_id = { distinct_against_live = '100 %' }", "players.team_id.distinct_against_live", 0, None),
    (COLUMNS + "team_id = { distinct_against_live = '50 %' }", "players.team_id.distinct_against_live", 1, ["2", "1"]),
    (COLUMNS + "id = { sum_against_live = '40 %' }", "players.id.sum_against_live", 0, None),
    (COLUMNS + "id = { sum_against_live = '39 %' }", "players.id.sum_against_live", 1, ["6", "10"]),
    (COLUMNS + "id = { mean_against_live = '20 %' }", "players.id.mean_against_live", 0, None),
    (COLUMNS + "id = { mean_against_live = '19 %' }", "players.id.mean_against_live", 1, None),
]


def results(bluegreen: Bluegreen, *arguments: str, code: int = 0) -> dict[str, dict[str, Any]]:
    """The results of a command by the names of the checks."""
    return {check["name"]: check for check in bluegreen.json(*arguments, code=code)["checks"]}


@pytest.fixture
def ready(bluegreen: Bluegreen, live: Live, connection: Connection) -> Bluegreen:
    """Live with four players, and a ready release with three."""
    connection.execute("INSERT INTO league.players (team_id, name) VALUES (1, 'two'), (1, 'three'), (1, 'four')")
    connection.execute("SELECT pg_stat_force_next_flush()")
    bluegreen.write_league()
    bluegreen("load", "data")
    return bluegreen


def test_each_kind_passes_and_fails(ready: Bluegreen) -> None:
    """With the number of offending rows, and the first of them."""
    for text, name, failures, first in KINDS:
        ready.write("bluegreen.toml", text)
        found = results(ready, "check", code=3 if failures else 0)[name]
        assert (found["table"], found["failures"]) == ("players", failures), text
        assert found["status"] == ("failed" if failures else "passed"), text
        assert first is None or found["sample"][0] == first, text


def test_one_scan_says_what_single_queries_say(ready: Bluegreen) -> None:
    """Many checks of a table, passing, failing and broken, are reported as each would be alone."""
    ready.write(
        "bluegreen.toml",
        """
        [tables.players.checks]
        row_count = { min = 4, severity = "warn" }
        rows_against_live = { max_drop = "10 %", max_growth = "10 %" }
        [tables.players.checks.columns]
        id = { not_null = true, in_range = { min = 2 }, sum_against_live = "1 %", mean_against_live = "90 %" }
        born = { not_null = { severity = "warn" }, freshness = "99 years", nulls_against_live = { max_change = "1 %" } }
        name = { matches = { pattern = "^A", error_if = ">2", warn_if = ">1" } }
        """,
    )
    checked = results(ready, "check", code=3)
    assert {name: (check["status"], check["failures"]) for name, check in checked.items()} == {
        "no_empty_table": ("passed", 0),
        "players.row_count": ("warned", 1),
        "players.rows_against_live": ("failed", 1),
        "players.id.not_null": ("passed", 0),
        "players.id.in_range": ("failed", 1),
        "players.id.sum_against_live": ("failed", 1),
        "players.id.mean_against_live": ("passed", 0),
        "players.born.not_null": ("warned", 1),
        "players.born.freshness": ("passed", 0),
        "players.born.nulls_against_live": ("failed", 1),
        "players.name.matches": ("warned", 2),
        "no_halved_table": ("passed", 0),
    }
    assert checked["players.rows_against_live"]["columns"] == ["rows", "live"]
    assert checked["players.rows_against_live"]["sample"] == [["3", "4"]]
    ready.write(
        "bluegreen.toml",
        """
        [tables.players.checks]
        expressions = { wrong = "id / (id - id) > 0", cut = "id > 0 OR (" }
        [tables.players.checks.columns]
        id = { not_null = true, matches = "(" }
        born = { not_null = true }
        """,
    )
    checked = results(ready, "check", code=3)
    assert {name: (check["status"], check["message"]) for name, check in checked.items() if "players" in name} == {
        "players.expressions.wrong": ("broken", "division by zero"),
        "players.expressions.cut": ("broken", 'syntax error at or near ")"'),
        "players.id.not_null": ("passed", None),
        "players.id.matches": ("broken", "invalid regular expression: parentheses () not balanced"),
        "players.born.not_null": ("failed", None),
    }


def test_time_out_of_a_scan_is_that_of_all_its_checks(ready: Bluegreen) -> None:
    """No declared check is retried alone; the built-in checks have passed."""
    ready.write(
        "bluegreen.toml",
        """
        [checks]
        statement_timeout = 0.3
        [tables.players.checks]
        expressions = { slow = "pg_sleep(600) IS NULL" }
        [tables.players.checks.columns]
        name = { not_null = true }
        """,
    )
    checked = results(ready, "check", code=3)
    message = "canceling statement due to statement timeout, in one scan with 1 others"
    assert {name: (check["status"], check["message"]) for name, check in checked.items()} == {
        "no_empty_table": ("passed", None),
        "no_halved_table": ("passed", None),
        "players.expressions.slow": ("broken", message),
        "players.name.not_null": ("broken", message),
    }


def test_what_live_lacks_is_not_compared(bluegreen: Bluegreen, live: Live, connection: Connection) -> None:
    """A new table, a new column, and no live at all."""
    bluegreen.write("data/teams.csv", "id,name,city\n1,Ajax,Amsterdam\n")
    bluegreen.write("data/games.csv", "id\n1\n")
    bluegreen.write(
        "bluegreen.toml",
        """
        [structure]
        from = "files"
        [tables.teams.checks.columns]
        city = { distinct_against_live = "0 %" }
        [tables.games.checks]
        rows_against_live = { max_drop = "1 %" }
        keys_against_live = { columns = ["id"], max_vanished = "1 %" }
        """,
    )
    checked = results(bluegreen, "load", "data")
    assert {name: (check["status"], check["message"]) for name, check in checked.items()} == {
        "no_empty_table": ("passed", None),
        "no_halved_table": ("passed", None),
        "teams.city.distinct_against_live": ("skipped", "live's table teams has no column city"),
        "games.rows_against_live": ("skipped", "live has no table games"),
        "games.keys_against_live": ("skipped", "live has no table games"),
    }
    checked = results(bluegreen, "load", "data", "-s", "other")
    assert checked["games.rows_against_live"]["message"] == "nothing is live yet to compare with"


def test_table_that_lost_more_than_half_of_its_rows_is_refused(
    bluegreen: Bluegreen, live: Live, connection: Connection
) -> None:
    """Live, which was there before bluegreen, counts; the default is replaced by the table's own, or switched off."""
    connection.execute("INSERT INTO league.players (team_id, name) SELECT 1, 'player' FROM generate_series(1, 6)")
    connection.execute("SELECT pg_stat_force_next_flush()")
    bluegreen.write_league()
    said = refused(bluegreen, "load", "data", code=3, live=live)
    assert said.sentence == (
        "1 of 2 checks failed on release 2: "
        "no_halved_table: 1 offending row, first halved_table=players, rows=3, live=7"
    )
    bluegreen.write("bluegreen.toml", TABLE + 'rows_against_live = { max_drop = "60 %" }')
    assert results(bluegreen, "load", "data")["players.rows_against_live"]["status"] == "passed"
    bluegreen.write("bluegreen.toml", "[checks]\noff = ['no_halved_table', 'no_empty_table']")
    assert results(bluegreen, "load", "data") == {}


def test_half_of_the_rows_is_not_less_than_half(bluegreen: Bluegreen, live: Live, connection: Connection) -> None:
    """The bound itself passes."""
    connection.execute("INSERT INTO league.players (team_id, name) SELECT 1, 'player' FROM generate_series(1, 5)")
    connection.execute("SELECT pg_stat_force_next_flush()")
    bluegreen.write_league()
    assert results(bluegreen, "load", "data")["no_halved_table"]["status"] == "passed"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            COLUMNS + "nam = { not_null = true }",
            "[tables.players.checks] names column nam, which the table does not",
        ),
        (TABLE + "unique = [['id', 'nam']]", "[tables.players.checks] names column nam, which the table does not"),
        (
            TABLE + "keys_against_live = { columns = ['nr'], max_vanished = '1 %' }",
            "[tables.players.checks] names column nr, which the table does not have",
        ),
        (
            COLUMNS + "team_id = { relationships = { to = 'team', field = 'id' } }",
            "[tables.players.checks] names table team, which a release of league does not have",
        ),
        (
            COLUMNS + "team_id = { relationships = { to = 'teams', field = 'nr' } }",
            "[tables.players.checks] names column nr of teams, which the table does not have",
        ),
        (
            "[tables.player.checks]\nrow_count = { min = 1 }",
            "[tables.player.checks] names a table that a release of",
        ),
        (COLUMNS + "name = { notnull = true }", "bluegreen.toml, line 2: contains unknown field `notnull`"),
        (TABLE + "rows_against_live = { max_drop = 50 }", "bluegreen.toml, line 2: Expected `str | null`, got `int`"),
        (TABLE + "rows_against_live = { max_drop = '50' }", "bluegreen.toml, line 2: Expected a text such as `5 %` - "),
        (TABLE + "row_count = {}", "bluegreen.toml, line 2: needs `min` or `max`"),
        (COLUMNS + "name = { accepted_values = [] }", "bluegreen.toml, line 2: Expected `array` of length >= 1"),
        (
            COLUMNS + "name = { not_null = { error_if = 'many' } }",
            "bluegreen.toml, line 2: Expected a text such as `>10` - at ",
        ),
        ("[checks]\noff = ['no_table']", "checks.off names no_table, and no check has this name"),
    ],
)
def test_what_cannot_be_checked_is_refused_before_anything_is_loaded(
    bluegreen: Bluegreen, live: Live, text: str, sentence: str
) -> None:
    """Names that are not there, keys that are not known, and bounds without a bound."""
    bluegreen.write_league()
    bluegreen.write("bluegreen.toml", text)
    assert refused(bluegreen, "load", "data", "--dry-run", code=2, live=live).sentence.startswith(sentence)


def test_checks_of_what_the_ddl_lacks_are_refused_before_the_copy(bluegreen: Bluegreen) -> None:
    """Which tables there are is known once it has run; a transform may make what it lacks."""
    bluegreen.write_league()
    bluegreen.write("schema.sql", "CREATE TABLE teams (id int, name text); CREATE TABLE players (LIKE teams);")
    bluegreen.write("data/players.csv", "id,name\n1,Ann\n")
    bluegreen.write("made.sql", "CREATE TABLE pairs AS SELECT p.id FROM players p, teams t")
    check = "[structure]\nddl = ['schema.sql']\n[tables.pairs.checks]\nrow_count = { min = 3 }\n"
    bluegreen.write("bluegreen.toml", check)
    said = refused(bluegreen, "load", "data", code=2)
    assert said.sentence.startswith("[tables.pairs.checks] names a table that a release of league does not have")
    bluegreen.write("bluegreen.toml", check + "[transform]\nfiles = ['made.sql']\n")
    assert results(bluegreen, "load", "data", code=3)["pairs.row_count"]["sample"] == [["2"]]


def test_declared_check_has_tags(ready: Bluegreen) -> None:
    """As one in a file."""
    ready.write("bluegreen.toml", COLUMNS + "name = { not_null = { tags = ['smoke'] }, unique = true }")
    assert list(results(ready, "check", "--tag", "smoke")) == ["players.name.not_null"]
