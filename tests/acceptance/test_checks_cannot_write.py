"""A check reads: whatever its text holds, live and everything else stays as it is."""

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
# Read with quotes of the old kind, the second line is three statements.
LEFT = """SELECT '\\' AS a, ') AS z; COMMIT; DELETE FROM league.teams; SELECT * FROM (SELECT 1 AS done --' AS b
 FROM (SELECT set_config('standard_conforming_strings','off',false) AS c OFFSET 0) AS s WHERE c = 'off'
"""
TEXTS = {
    "quotes read in another way": LEFT,
    "a second statement": "SELECT 1) AS z; COMMIT; DELETE FROM league.teams; SELECT * FROM (SELECT 1",
    "a statement that writes": "DELETE FROM league.teams RETURNING *",
    "a CTE that writes": "SELECT * FROM (WITH d AS (DELETE FROM league.teams RETURNING *) SELECT * FROM d) AS x",
    "read only switched off": "SELECT set_config('transaction_read_only', 'off', false), nextval('league.lone')",
    "read only by default switched off": "SELECT set_config('default_transaction_read_only', 'off', false)",
    "a function that writes": "SELECT league.erase()",
}


@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_no_text_of_a_check_changes_anything(
    bluegreen: Bluegreen, live: Live, connection: Connection, text: str, *, store: bool
) -> None:
    """When it is counted, when its rows are shown, and when they are stored."""
    connection.execute("""
        CREATE SEQUENCE league.lone;
        CREATE FUNCTION league.erase() RETURNS int LANGUAGE sql AS 'DELETE FROM league.teams; SELECT 1';
    """)
    bluegreen.write_league()
    bluegreen("load", "data")  # so that the ledger knows live
    before = live.dump()
    bluegreen.write("checks/a.sql", text)
    options = ["--store-failures"] if store else []
    bluegreen("check", "live", "--checks", "checks", *options, code=3)
    assert live.dump() == before


def test_rows_are_shown_and_stored_as_the_server_writes_them(bluegreen: Bluegreen, connection: Connection) -> None:
    """Infinite dates, booleans, null in a row, arrays, blanks, two columns of one name; long values in part."""
    bluegreen.write_league()
    bluegreen("load", "data", "--promote")
    bluegreen.write(
        "checks/a.sql",
        "SELECT 'infinity'::date AS d, true AS b, ROW(NULL) AS r, ARRAY[1, NULL] AS a, 'x '::char(3) AS c, NULL AS n, "
        "1 AS d, repeat('x', 20000) AS long, '%s' AS percent",
    )
    [check] = [
        each
        for each in bluegreen.json("check", "live", "--checks", "checks", "--store-failures", code=3)["checks"]
        if each["name"] == "a"
    ]
    assert check["columns"] == ["d", "b", "r", "a", "c", "n", "d", "long", "percent"]
    row = ["infinity", "t", "()", "{1,NULL}", "x  ", None, "1", "x" * 10_000 + "…", "%s"]
    assert check["sample"] == [row]
    stored = connection.execute(
        f"SELECT d::text, b, r, a, c, n, d_2, length(long), percent FROM {check['stored']}".encode()  # noqa: S608
    ).fetchall()
    assert stored == [("infinity", True, "()", [1, None], "x  ", None, 1, 20_000, "%s")]


def test_checks_run_as_the_role_that_is_named(
    bluegreen: Bluegreen, live: Live, connection: Connection, superuser: Connection
) -> None:
    """Those of the project; the ones that come with every load do not need its rights."""
    role = f"reader_{connection.info.dbname}"
    bluegreen.write_league()
    superuser.execute(f"CREATE ROLE {role}; GRANT {role} TO {connection.info.user}".encode())
    try:
        connection.execute(f"GRANT USAGE ON SCHEMA league TO {role}; GRANT SELECT ON league.teams TO {role}".encode())
        bluegreen.write("bluegreen.toml", f'[checks]\nrole = "{role}"\npath = "checks"\n')
        bluegreen.write("checks/who.sql", "SELECT current_user, count(*) FROM teams")
        bluegreen.write("checks/more.sql", "SELECT * FROM players")
        bluegreen("load", "data", code=3)
        found = {each["name"]: each for each in bluegreen.json("check", "2", code=3)["checks"]}
        assert found["who"]["sample"] == [[role, "2"]]
        assert found["more"]["message"].endswith("permission denied for table players")
        assert found["no_empty_table"]["status"] == "passed"
    finally:
        superuser.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())
