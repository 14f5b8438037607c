"""A ledger of a stranger is not used: its triggers, rules and rows would run as the role that writes to it."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import TupleRow

from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]


@pytest.fixture
def stranger(administrator: Connection) -> Iterator[str]:
    """A role without privileges; it is dropped after the test's database."""
    name = f"stranger_{uuid4().hex[:12]}"
    administrator.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
    yield name
    administrator.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.mark.parametrize(
    ("change", "statement"),
    [
        ("ALTER SCHEMA bluegreen OWNER TO {}", "ALTER SCHEMA bluegreen OWNER TO"),
        ("ALTER TABLE bluegreen.event OWNER TO {}", "ALTER TABLE bluegreen.event OWNER TO"),
        (
            "CREATE FUNCTION public.tr() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
            "CREATE TRIGGER t BEFORE INSERT ON bluegreen.event FOR EACH ROW EXECUTE FUNCTION public.tr()",
            "DROP TRIGGER t ON bluegreen.event;",
        ),
        ("CREATE RULE r AS ON INSERT TO bluegreen.event DO ALSO NOTIFY x", "DROP RULE r ON bluegreen.event;"),
        ("CREATE POLICY p ON bluegreen.event", "DROP POLICY p ON bluegreen.event;"),
        ("CREATE VIEW bluegreen.v AS SELECT 1", "DROP VIEW bluegreen.v;"),
    ],
    ids=["schema", "table", "trigger", "rule", "policy", "view"],
)
def test_code_of_others_in_the_ledger_is_refused(
    stranger: str, bluegreen: Bluegreen, live: Live, connection: Connection, change: str, statement: str
) -> None:
    """By each command that writes, and by doctor; the statements of the hint end it."""
    bluegreen.write_league()
    bluegreen("load", "data", "--promote")
    bluegreen("load", "data")
    connection.execute(sql.SQL(change).format(sql.Identifier(stranger)))
    for command in (("load", "data"), ("promote",), ("rollback",), ("doctor",)):
        done = bluegreen(*command, code=1)
        assert statement in done.stdout + done.stderr
    bluegreen("status")
    [hint] = [f["hint"] for f in bluegreen.json("doctor", code=1)["findings"] if f["topic"] == "ledger"]
    connection.execute(hint.encode())
    bluegreen("promote")
