"""A ledger that somebody has changed by hand: one error that says what is wrong, never a traceback."""

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.acceptance.refusals import refused
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
EVERY = [
    ("load", "data"),
    ("check", "live"),
    ("diff", "2"),
    ("promote",),
    ("rollback",),
    ("status",),
    ("history",),
    ("report",),
    ("prune",),
    ("protect",),
    ("open",),
]


def damage(connection: Connection, table: str, change: str) -> None:
    """Change the ledger as no constraint of its own would allow."""
    constraints = connection.execute(
        "SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'c'", (f"bluegreen.{table}",)
    )
    for (name,) in constraints.fetchall():
        connection.execute(f"ALTER TABLE bluegreen.{table} DROP CONSTRAINT {name}".encode())
    connection.execute(change.encode())


@pytest.mark.parametrize("command", EVERY, ids=lambda command: command[0])
def test_ledger_without_its_row_is_named(
    bluegreen: Bluegreen, live: Live, connection: Connection, command: tuple[str, ...]
) -> None:
    """Every command that lists or changes releases; `backup` of live works without."""
    bluegreen.write_league()
    bluegreen("load", "data")
    connection.execute("DELETE FROM bluegreen.ledger")
    said = refused(bluegreen, *command, live=live)
    assert said.name == "DamagedLedger"
    assert said.sentence == "the ledger, the schema bluegreen, is damaged: bluegreen.ledger has no row with its version"
    bluegreen("backup", "--to", "backups")


@pytest.mark.parametrize(
    ("table", "change", "command", "named"),
    [
        ("release", "UPDATE bluegreen.release SET status = 'odd'", ("status",), "'odd'"),
        ("release", "UPDATE bluegreen.release SET structure = 'odd' WHERE number = 2", ("load", "data"), "'odd'"),
        ("check_result", "UPDATE bluegreen.check_result SET severity = 'weird'", ("report",), "'weird'"),
        ("check_result", "UPDATE bluegreen.check_result SET sample = '{}'", ("report",), "sample"),
        ("check_result", """UPDATE bluegreen.check_result SET sample = '[["1", "2"]]'""", ("report",), "width"),
        ("cutover", "UPDATE bluegreen.cutover SET direction = 'sideways'", ("history",), "'sideways'"),
        ("cutover", "UPDATE bluegreen.cutover SET via = 'air'", ("history",), "'air'"),
    ],
)
def test_value_that_the_tool_does_not_write_is_named(
    bluegreen: Bluegreen,
    live: Live,
    connection: Connection,
    table: str,
    change: str,
    command: tuple[str, ...],
    named: str,
) -> None:
    """The error has the value or the column."""
    bluegreen.write_league()
    bluegreen("load", "data", "--promote")
    bluegreen("load", "data")
    before = live.dump()
    damage(connection, table, change)
    done = bluegreen(*command, code=1)
    assert "is damaged: " in done.stderr
    assert named in done.stderr
    assert live.dump() == before


@pytest.mark.parametrize("kept", ['{"a": 1}', '[{"a": 1}]', '"text"', "null", None])
def test_deferred_entries_that_are_none_leave_the_release_open(
    bluegreen: Bluegreen, live: Live, connection: Connection, kept: str | None
) -> None:
    """`finish` refuses before it closes the release."""
    bluegreen.write_league()
    bluegreen("open")
    for table in ("teams", "players"):
        bluegreen("copy", "2", table, f"data/{table}.csv", "--part", "1")
    connection.execute("UPDATE bluegreen.release SET put_off = %s WHERE number = 2", (kept,))
    said = refused(bluegreen, "finish", "2", live=live)
    assert said.name == "DamagedLedger"
    assert bluegreen.json("status")["releases"][-1]["open_until"]
