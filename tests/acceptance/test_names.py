"""Names with whatever PostgreSQL allows in them go the whole way: load, promote, roll back, prune."""

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import TupleRow

from tests.support import Bluegreen, Live

ODD = [
    "Mixed Case",
    'say "hi"',
    "it's",
    "100% {x} %s",
    "ÆØÅ łódź",
    "a.b",
    "back\\slash",
    ":colon $1",
    "-- x; y",
    "select",
]
SCHEMAS = ['Say "hi" 100% {x} it\'s \\ :c', "ÆØÅ.łódź select"]


@pytest.mark.parametrize("schema", SCHEMAS)
def test_odd_names_go_through_the_whole_cycle(
    bluegreen: Bluegreen, connection: psycopg.Connection[TupleRow], schema: str
) -> None:
    """Schema, tables and columns bear such names, as do the files and their headers."""
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    for name in ODD:
        table, column = sql.Identifier(schema, name), sql.Identifier(name)
        connection.execute(sql.SQL("CREATE TABLE {} ({} serial PRIMARY KEY)").format(table, column))
        connection.execute(sql.SQL("INSERT INTO {} VALUES (0)").format(table))
        view = sql.Identifier(schema, f"{name} seen")
        connection.execute(sql.SQL("CREATE VIEW {} AS TABLE {}").format(view, table))
        quoted = name.replace('"', '""')
        bluegreen.write(f"data/{name}.csv", f'"{quoted}"\n1\n')

    def seen() -> set[int]:
        """Return the values in all tables."""
        places = [sql.SQL("TABLE {}").format(sql.Identifier(schema, f"{name} seen")) for name in ODD]
        return {row[0] for row in connection.execute(sql.SQL(" UNION ALL ").join(places))}

    bluegreen("load", "data", "--promote", "-s", schema)
    assert seen() == {1}
    bluegreen("rollback", "-s", schema)
    assert seen() == {0}
    assert len(bluegreen.json("diff", "-s", schema)["differences"]) == 0
    pruned = bluegreen.json("prune", "--keep", "0", "-s", schema)
    assert (pruned["dropped"], pruned["refused"]) == ([2], {})
    assert seen() == {0}


@pytest.mark.parametrize("schema", ["x" * 58, "é" * 27 + "x"])
def test_long_names_go_through_the_whole_cycle(
    bluegreen: Bluegreen, connection: psycopg.Connection[TupleRow], schema: str
) -> None:
    """As long as the number of the release still fits: 63 bytes in all, whatever a letter takes."""
    table = "é" * 31 + "t"
    select = sql.SQL("SELECT {} FROM {}").format(sql.Identifier(table), sql.Identifier(schema, table))
    for value in (1, 2):
        bluegreen.write(f"data/{table}.csv", f"{table}\n{value}\n")
        bluegreen("load", "data", "--promote", "-s", schema)
        assert connection.execute(select).fetchall() == [(value,)]
    bluegreen("rollback", "-s", schema)
    assert connection.execute(select).fetchall() == [(1,)]
    assert bluegreen.json("prune", "--keep", "0", "-s", schema)["dropped"] == [2]


def test_error_about_an_odd_name_is_readable(bluegreen: Bluegreen, connection: psycopg.Connection[TupleRow]) -> None:
    """The sentence shows the name as PostgreSQL writes it."""
    connection.execute('CREATE SCHEMA "L"; CREATE TABLE "L"."T %s" ("a {b}" int)')
    bluegreen.write("data/T %s.csv", "a {b}\nx\n")
    done = bluegreen("load", "data", "-s", "L", code=1)
    assert 'data/T %s.csv, line 2, column "a {b}": invalid input syntax for type integer: "x"' in done.stderr


def test_two_schemas_of_one_database_do_not_meet(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """Each live schema has its own numbers and its own rollback."""
    before = live.dump()
    bluegreen.write("cups/cups.csv", "id\n1\n")
    bluegreen("load", "cups", "-s", "cups", "--promote")
    assert live.dump() == before
    bluegreen.write_league()
    bluegreen("load", "data", "--promote")
    assert bluegreen.json("status", "-s", "cups")["live"] == 1
    assert bluegreen.json("status")["live"] == 2
    bluegreen("rollback", "-s", "cups", code=1)
    bluegreen("rollback")
    assert connection.execute("SELECT id FROM cups.cups").fetchall() == [(1,)]
