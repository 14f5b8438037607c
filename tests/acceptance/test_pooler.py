"""A pooler between bluegreen and the server: refused in transaction mode, no matter in session mode."""

import json
import re
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
            assert said.sentence.startswith("the connection goes through a pooler in transaction mode")
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


@pytest.mark.usefixtures("live")
def test_promote_via_pgbouncer(bluegreen: Bluegreen, connection: psycopg.Connection[TupleRow]) -> None:
    """Rehearse, promote and roll back with the pooler paused; a session that bypasses it is named and blocked."""
    bluegreen.write_league()
    connection.close()  # it does not come through the pooler
    with servers.place() as directory, poolers.running(bluegreen.dsn, directory, mode="transaction") as pooled:
        bluegreen.more["CONSOLE"] = poolers.console(pooled)
        bluegreen.write("bluegreen.toml", '[promote]\nvia = "pgbouncer"\npgbouncer = { consoles = ["${CONSOLE}"] }\n')
        bluegreen("load", "data")
        script = bluegreen("promote", "--dry-run").stdout
        assert re.search(r'^-- before that, .*: PAUSE "test_\w+";\n', script)
        assert script.splitlines()[-1].startswith("-- after that")
        assert "LOCK TABLE" not in script
        assert bluegreen.json("promote", "--rehearse")["rehearsal"]["via"] == "pgbouncer"
        promoted = bluegreen("promote", "--json")
        assert json.loads(promoted.stdout)["cutover"]["via"] == "pgbouncer"
        assert "blocked by locks" not in promoted.stderr
        with psycopg.connect(bluegreen.dsn, application_name="past it"):
            back = bluegreen("rollback")
        assert re.search(
            r"not connected through a paused pooler, so blocked by locks: pid \d+ \(\w+, past it,", back.stderr
        )
        with psycopg.connect(pooled, autocommit=True) as client:
            assert client.execute("SELECT name FROM league.teams ORDER BY id").fetchone() == ("old one",)
        # Somebody else's pause is not ended, and a transaction that does not end is waited for in short turns only.
        with psycopg.connect(pooled) as busy:
            busy.execute("SELECT FROM league.teams")
            late = refused(bluegreen, "promote", "2", "--max-wait", "1", code=4)
            assert re.match(r"could not pause PgBouncer within 0.5 s, .*; blocked by: pid \d+", late.sentence)
            assert not poolers.is_paused(pooled)
        with psycopg.connect(pooled) as client, psycopg.connect(poolers.console(pooled), autocommit=True) as console:
            console.execute(f"PAUSE {client.info.dbname}")
            assert "has already paused test_" in refused(bluegreen, "promote", "2").sentence
            assert poolers.is_paused(pooled)
            console.execute(f"RESUME {client.info.dbname}")
    assert "the admin console of PgBouncer" in refused(bluegreen, "promote", "2").sentence
    bluegreen.write("bluegreen.toml", '[promote]\nvia = "pgbouncer"\n')
    assert "names no console" in refused(bluegreen, "promote", "2", code=2).sentence
    assert bluegreen.json("promote", "2", "--via", "locks")["cutover"]["via"] == "locks"
