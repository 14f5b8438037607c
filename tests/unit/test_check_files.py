"""Checks in files: what their headers say, and what of the file is the statement."""

from pathlib import Path

import pytest
from psycopg import sql

from bluegreen_etl import errors
from bluegreen_etl.checks import files, psql_variables
from bluegreen_etl.checks.check import Check, Threshold, threshold
from bluegreen_etl.model import CheckStatus, Severity


def found(directory: Path, text: str) -> Check:
    """The check in a file of this text."""
    (directory / "born.sql").write_text(text, encoding="utf-8")
    [check] = files.find_check_files(directory)
    return check


def test_headers_are_those_of_dbt(tmp_path: Path) -> None:
    """Every key, in any order, among other comments."""
    check = found(
        tmp_path,
        "/* players -- severity: warn */\n-- Severity: WARN\n-- plain words\n-- error_if: >= 10\n-- warn_if: !=2\n"
        "--limit: 20\n-- description: all: born\n-- tags: nightly , smoke\n\nSELECT 1 -- limit: 3\n",
    )
    assert (check.name, check.severity, check.limit) == ("born", Severity.WARN, 20)
    assert check.error_if == Threshold(operator=">=", number=10)
    assert check.warn_if == Threshold(operator="!=", number=2)
    assert (check.description, check.tags) == ("all: born", ("nightly", "smoke"))


def test_without_headers_any_row_is_an_error(tmp_path: Path) -> None:
    """As in dbt."""
    check = found(tmp_path, "SELECT 1")
    assert (check.severity, check.tags, check.limit, check.description) == (Severity.ERROR, (), None, None)
    assert [check.verdict(count) for count in (0, 1)] == [CheckStatus.PASSED, CheckStatus.FAILED]


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ("severity: fatal", 'line 2: severity "fatal" is not warn or error'),
        ("error_if: many", 'line 2: error_if "many" is not an operator and a number'),
        ("warn_if: >", 'line 2: warn_if ">" is not an operator and a number'),
        ("limit: 0", 'line 2: limit "0" is not a number of rows'),
        ("tags: a,,b", 'line 2: tags "a,,b" is not a list of words between commas'),
        ("owner: ann", 'line 2: unknown header "owner"'),
        ("limit: 5\n-- limit: 6", "line 3: a second limit"),
        ("limit: 5\n-- error_if: >5", ": error_if >5 cannot be decided with limit 5"),
    ],
)
def test_bad_header_is_refused_with_its_line(tmp_path: Path, header: str, sentence: str) -> None:
    """A header that is passed over in silence is a trap."""
    with pytest.raises(errors.UsageError) as caught:
        found(tmp_path, f"-- players\n-- {header}\nSELECT 1")
    assert caught.value.message.endswith(f"born.sql{'' if sentence[0] == ':' else ', '}{sentence}")
    assert caught.value.hint


@pytest.mark.parametrize("text", ["", "-- severity: warn\n", "/* SELECT 1 */ ;"])
def test_file_without_a_statement_is_refused(tmp_path: Path, text: str) -> None:
    """A check that checks nothing passes for ever."""
    with pytest.raises(errors.UsageError, match="holds no statement"):
        found(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "statement"),
    [
        ("SELECT 1;\n", "SELECT 1\n"),
        ("SELECT 1; -- the end;\n", "SELECT 1 -- the end;\n"),
        ("SELECT 1; /* a /* b */ ; */ ;", "SELECT 1 /* a /* b */ ; */ "),
        ("SELECT ';'", "SELECT ';'"),
        ('SELECT 1 AS "a;"', 'SELECT 1 AS "a;"'),
        ("SELECT $x$;$x$;", "SELECT $x$;$x$"),
        ("SELECT E'\\';'; --'", "SELECT E'\\';' --'"),
        ("SELECT a$b$, date'2020-01-01\\';", "SELECT a$b$, date'2020-01-01\\'"),
        ("SELECT 1; SELECT 2;", "SELECT 1; SELECT 2"),
        ("SELECT 'open;", "SELECT 'open"),
    ],
)
def test_only_the_semicolon_that_ends_the_statement_goes(text: str, statement: str) -> None:
    """Not one in quotes, in a comment, or between two statements: that is the server's to refuse."""
    assert "".join(piece.text for piece in psql_variables.statement(text)) == statement
    assert "".join(piece.text for piece in psql_variables.pieces(text)) == text


@pytest.mark.parametrize(
    ("text", "reached"),
    [(">1", [2, 3]), (">=1", [1, 2, 3]), ("<2", [0, 1]), ("<= 1", [0, 1]), ("=2", [2]), ("!=0", [1, 2, 3])],
)
def test_thresholds(text: str, reached: list[int]) -> None:
    """Each operator."""
    assert [count for count in range(4) if threshold(text).reached(count)] == reached


def test_error_if_is_asked_before_warn_if_and_not_at_all_of_a_warning(tmp_path: Path) -> None:
    """dbt's order: more than ten stop the release, any is worth a word."""
    thresholds = "-- error_if: >10\n-- warn_if: >1\nSELECT 1"
    check = found(tmp_path, thresholds)
    verdicts = [check.verdict(count) for count in (1, 2, 11)]
    assert verdicts == [CheckStatus.PASSED, CheckStatus.WARNED, CheckStatus.FAILED]
    assert found(tmp_path, "-- severity: warn\n" + thresholds).verdict(11) is CheckStatus.WARNED


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ('SELECT * FROM :"live".t, :"shadow".t', 'SELECT * FROM "a ""b""".t, "it\'s".t'),
        ("SELECT :'live' || :'shadow'", """SELECT 'a "b"' || 'it''s'"""),
        ("""SELECT ':"live"', $$:"live"$$ -- :"live" """, """SELECT ':"live"', $$:"live"$$ -- :"live" """),
        ("""SELECT 1::"live", :"other", :live, {live} %s""", """SELECT 1::"live", :"other", :live, {live} %s"""),
    ],
)
def test_variables_are_those_of_psql(tmp_path: Path, text: str, query: str) -> None:
    """As identifiers and as texts, and not where psql leaves them alone."""
    check = found(tmp_path, text)
    values: dict[psql_variables.Variable, sql.Composable] = {
        psql_variables.LIVE: sql.Identifier('a "b"'),
        psql_variables.LIVE_TEXT: sql.Literal('a "b"'),
        psql_variables.SHADOW: sql.Identifier("it's"),
        psql_variables.SHADOW_TEXT: sql.Literal("it's"),
    }
    assert psql_variables.bound(check.query, values).as_string() == query
    assert psql_variables.mentions(check.query, psql_variables.LIVE, psql_variables.LIVE_TEXT) == (
        query.startswith(("SELECT * FROM", "SELECT 'a"))
    )


def test_files_below_the_directory_are_named_by_their_path(tmp_path: Path) -> None:
    """None is passed over in silence."""
    for name in ("b.sql", "players/born.sql", "a.sql", "players/old.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("SELECT 1", encoding="utf-8")
    assert [check.name for check in files.find_check_files(tmp_path)] == ["a", "b", "players/born"]
