"""Schemas that somebody renames or drops by hand, and a ledger that a killed load left behind.

Each case is a sequence that tests/concurrency/test_state_machine.py has found, as short as it can be.
"""

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]


@pytest.fixture
def league(bluegreen: Bluegreen, live: Live) -> Bluegreen:
    """Adopt `live` as release 1, and load release 2."""
    bluegreen.write_league()
    bluegreen("load", "data")
    return bluegreen


def statuses(bluegreen: Bluegreen) -> dict[int, str]:
    """Return what `status` says of each release."""
    return {release["number"]: release["status"] for release in bluegreen.json("status")["releases"]}


def schemas(connection: Connection) -> list[str]:
    """Return the names of all schemas of the league."""
    rows = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'league%' ORDER BY 1")
    return [row[0] for row in rows]


def test_schema_that_was_renamed_by_hand_is_never_dropped(league: Bluegreen, connection: Connection) -> None:
    """A schema renamed by hand may be a backup: prune reports it and does not drop it."""
    connection.execute("ALTER SCHEMA league RENAME TO league_kept_by_hand")
    league("promote", "--force")
    assert list(league.json("prune", "--keep", "0")["refused"]) == ["1"]
    assert schemas(connection) == ["league", "league_kept_by_hand"]
    connection.execute("ALTER SCHEMA league_kept_by_hand RENAME TO league__r1")
    assert league.json("prune", "--keep", "0")["dropped"] == [1]


def test_schema_that_the_ledger_does_not_know_by_its_oid_stays(league: Bluegreen, connection: Connection) -> None:
    """The ledger records the OID with the schema: a schema known only by its name belongs to somebody else."""
    connection.execute("UPDATE bluegreen.release SET status = 'loading', schema_oid = NULL WHERE number = 2")
    league("load", "data")
    assert statuses(league) == {1: "live", 2: "pruned", 3: "ready"}
    assert schemas(connection) == ["league", "league__r2", "league__r3"]


def test_release_that_was_put_live_by_hand_is_known_again(league: Bluegreen, connection: Connection) -> None:
    """A schema renamed to live by hand is recognised as its old release and not adopted as a new one."""
    connection.execute("ALTER SCHEMA league RENAME TO league__r1")
    connection.execute("ALTER SCHEMA league__r2 RENAME TO league")
    assert "release 2 is live already" in league("promote", "--force", code=1).stderr
    assert statuses(league) == {1: "previous", 2: "live"}
    league("rollback", "--to", "1")
    assert statuses(league) == {1: "live", 2: "previous"}
    assert schemas(connection) == ["league", "league__r2"]


def test_live_that_was_dropped_by_hand_is_not_kept_as_previous(league: Bluegreen, connection: Connection) -> None:
    """A dropped schema must not count as a previous release, nor take the place of one."""
    connection.execute("DROP SCHEMA league CASCADE")
    league("promote", "--force")
    assert statuses(league) == {1: "pruned", 2: "live"}
