"""Commands that only look, for a role that may only look."""

import psycopg
from psycopg import conninfo
from psycopg.rows import TupleRow

from tests.support import Bluegreen, Live


def test_a_role_that_may_only_read_can_look(
    bluegreen: Bluegreen, live: Live, superuser: psycopg.Connection[TupleRow], dsn: str
) -> None:
    """SELECT on the ledger and on the tables that are compared; it can neither promote nor migrate the ledger."""
    bluegreen.write_league()
    bluegreen("load", "data", "--promote")
    schemas = "bluegreen, league, league__r1"
    superuser.execute("CREATE ROLE onlooker LOGIN PASSWORD 'onlooker'")
    try:
        superuser.execute(f"GRANT USAGE ON SCHEMA {schemas} TO onlooker".encode())
        superuser.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schemas} TO onlooker".encode())
        onlooker = Bluegreen(conninfo.make_conninfo(dsn, user="onlooker", password="onlooker"), bluegreen.directory)
        for command in ("status", "history", "diff", "report"):
            onlooker(command)
        assert "row counts were not compared" in onlooker("report").stdout  # nobody has counted what was live before
        assert "may not write the ledger" in onlooker("prune", code=1).stderr
        # One of an older version has to be migrated first, which is said before anything of it is read.
        superuser.execute("UPDATE bluegreen.ledger SET version = version - 1")
        for command in ("status", "history", "diff", "report"):
            assert "may not write the ledger" in onlooker(command, code=1).stderr
    finally:
        superuser.execute("DROP OWNED BY onlooker; DROP ROLE onlooker")


def test_a_live_schema_that_was_renamed_by_hand_is_reported_all_the_same(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """A report is what one looks at when something is wrong."""
    bluegreen.write_league()
    bluegreen("load", "data", "--promote")
    connection.execute("ALTER SCHEMA league RENAME TO elsewhere")
    told = bluegreen.json("report")
    assert (told["state"]["drifted"], told["changes"]) == (True, None)
    assert "is not the one that the ledger says is live" in bluegreen("report").stdout
