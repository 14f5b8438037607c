"""A pooler between bluegreen and the server: refused in transaction mode, no matter in session mode."""

from pathlib import Path

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests import poolers, servers
from tests.acceptance.refusals import refused
from tests.support import Bluegreen, Live


def test_transaction_mode_is_refused(bluegreen: Bluegreen, live: Live) -> None:
    """Exit code 1, how to reach the server itself, and no setting is left in the pooler's session."""
    bluegreen.write_league()
    with servers.place() as directory, poolers.running(bluegreen.dsn, directory, mode="transaction") as pooled:
        through = Bluegreen(pooled, bluegreen.directory)
        for command in (("load", "data"), ("status",), ("promote",)):
            said = refused(through, *command, live=live)
            assert said.sentence.startswith("a pooler in transaction mode lies between")
            assert "Connect to the server itself" in said.hint
        with psycopg.connect(pooled) as connection:
            row = connection.execute("SELECT current_setting('row_security')").fetchone()
            assert row == ("on",)


@pytest.mark.usefixtures("live")
def test_session_mode_works(bluegreen: Bluegreen, connection: psycopg.Connection[TupleRow], tmp_path: Path) -> None:
    """Each client has a session of the server for itself."""
    bluegreen.write_league()
    with servers.place() as directory, poolers.running(bluegreen.dsn, directory, mode="session") as pooled:
        through = Bluegreen(pooled, tmp_path)
        through("load", "data", "--promote")
        through("rollback")
        assert through.json("status")["live"] == 1
    assert connection.execute("SELECT count(*) FROM league.players").fetchone() == (1,)
