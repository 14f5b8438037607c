"""Functions of live whose bodies name objects without a schema: the function is at fault, not the file."""

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.support import Bluegreen

Connection = psycopg.Connection[TupleRow]

PLPGSQL = "LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN twice(twice($1)); END'"
SQL = "LANGUAGE sql IMMUTABLE AS 'SELECT twice(twice($1))'"


@pytest.mark.parametrize(
    "column", ["GENERATED ALWAYS AS (quad(id)) STORED", "DEFAULT quad(1)", "CHECK (quad(id) > 0) DEFAULT 1", "INDEX"]
)
@pytest.mark.parametrize(("language", "name"), [(PLPGSQL, "league.quad(integer)"), (SQL, '"quad"')])
@pytest.mark.parametrize("rejects", [(), ("--reject-limit", "5")])
def test_function_that_needs_a_search_path_is_named(
    bluegreen: Bluegreen, connection: Connection, column: str, language: str, name: str, rejects: tuple[str, ...]
) -> None:
    """With `search_path = league` on live it works; the load has another path."""
    connection.execute(
        f"""
        CREATE SCHEMA league; SET search_path = league;
        CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * $1';
        CREATE FUNCTION quad(int) RETURNS int {language};
        CREATE TABLE g (id int, q int {"" if column == "INDEX" else column});
    """.encode()
    )
    if column == "INDEX":
        try:
            connection.execute("CREATE INDEX ON g (quad(id))")
        except psycopg.errors.UndefinedFunction:
            pytest.skip("since 17 the server refuses such an index")
    bluegreen.write("data/g.csv", "id\n1\n2\n")
    done = bluegreen("load", "data", *rejects, code=1)
    assert f"function {name} needs a search path: function twice(integer) does not exist" in done.stderr
    assert f"`ALTER ROUTINE {name} SET search_path = " in done.stderr
    assert "g.csv, " not in done.stderr
