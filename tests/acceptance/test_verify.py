"""promote.verify: checks run on live after a promote, and where they fail the release before is live again."""

import signal

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.concurrency import scene
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
# In the shadow it finds nothing: only live is called league.
BAD = "-- tags: nightly, smoke\nSELECT id FROM teams WHERE current_schema() = 'league'\n"
GOOD = "-- tags: smoke\nSELECT id FROM teams WHERE id < 0\n"
SLOW = "-- tags: smoke\nSELECT id FROM teams WHERE current_schema() = 'league' AND pg_sleep(0.8) IS NOT NULL\n"
VERIFYING = "application_name LIKE 'bluegreen check%' AND wait_event = 'PgSleep'"


@pytest.fixture
def ready(bluegreen: Bluegreen, live: Live) -> str:
    """Release 2 is ready, and promote verifies; what live looks like."""
    bluegreen.write("bluegreen.toml", '[checks]\npath = "checks"\n[promote]\nverify = ["smoke"]\n')
    bluegreen.write("checks/good.sql", GOOD)
    bluegreen.write("checks/untagged.sql", BAD.partition("\n")[2])
    bluegreen.write_league()
    bluegreen("load", "data")
    return live.dump(sequences=False)  # a rollback leaves them where live's were


@pytest.mark.usefixtures("ready")
def test_release_that_passes_stays_live(bluegreen: Bluegreen) -> None:
    """Only the checks with the tag are run, and what they found is in the ledger."""
    done = bluegreen("promote")
    assert "verify release 2" in done.stderr
    assert bluegreen.json("status")["live"] == 2


@pytest.mark.parametrize("command", [("promote",), ("load", "data", "--promote")])
def test_release_that_fails_is_rolled_back(
    bluegreen: Bluegreen, live: Live, connection: Connection, ready: str, command: tuple[str, ...]
) -> None:
    """Exit code 3, live is as it was before the promote, and the release is kept for a look."""
    bluegreen.write("checks/bad.sql", BAD)
    failed = bluegreen(*command, code=3)
    number = 2 if command == ("promote",) else 3
    assert f"release {number} has failed its verification; release 1 is live again: 1 of " in failed.stderr
    assert "bad: 2 offending rows, first id=1" in failed.stderr
    assert "bad" in failed.stdout
    assert live.dump(sequences=False) == ready
    assert scene.statuses(connection)[number] == "previous"
    assert bluegreen.json("status")["live"] == 1
    directions = [cutover["direction"] for cutover in bluegreen.json("history")["cutovers"]]
    assert directions == ["promote", "rollback"]


def test_first_release_has_nothing_to_go_back_to(bluegreen: Bluegreen) -> None:
    """Exit code 3, and it says that the release is live all the same."""
    bluegreen.write("bluegreen.toml", '[checks]\npath = "checks"\n[promote]\nverify = ["smoke"]\n')
    bluegreen.write("checks/bad.sql", BAD)
    bluegreen.write_league()
    failed = bluegreen("load", "data", "--promote", code=3)
    assert "release 1 has failed its verification and is still live: it replaced no release" in failed.stderr
    assert bluegreen.json("status")["live"] == 1


def test_tag_that_no_check_has_is_found_out_before_the_swap(bluegreen: Bluegreen, live: Live, ready: str) -> None:
    """Exit code 2; a rollback asks for no checks at all."""
    bluegreen("promote")
    bluegreen.write("checks/good.sql", GOOD.replace("smoke", "smoky"))
    bluegreen("load", "data")
    before = live.dump()
    failed = bluegreen("promote", code=2)
    assert "no check has the tag smoke, which promote.verify names" in failed.stderr
    assert live.dump() == before
    bluegreen("rollback")
    assert live.dump(sequences=False) == ready


@pytest.mark.usefixtures("ready")
def test_rollback_that_is_blocked_is_reported(bluegreen: Bluegreen, connection: Connection) -> None:
    """The failed release is still live: exit code 3, and the hint names the rollback."""
    bluegreen.write("checks/bad.sql", SLOW)
    promote = bluegreen.start("promote", "--max-wait", "1")
    scene.wait_until(lambda: scene.sessions(connection, VERIFYING))
    with scene.holding(bluegreen.dsn, "SELECT FROM league.players"):
        stderr = promote.communicate(timeout=60)[1]
    assert promote.returncode == 3, stderr
    assert "release 2 has failed its verification and is still live: could not lock league" in stderr
    assert "HINT: Run `bluegreen rollback`." in stderr
    assert bluegreen.json("status")["live"] == 2
    bluegreen("rollback")
    scene.assert_whole(connection)


@pytest.mark.usefixtures("ready")
def test_interrupted_verification_leaves_the_release_live(bluegreen: Bluegreen, connection: Connection) -> None:
    """Ctrl-C is not a failed check: the cut-over is done, and exit code 0 says so."""
    bluegreen.write("checks/bad.sql", SLOW)
    promote = bluegreen.start("promote")
    scene.wait_until(lambda: scene.sessions(connection, VERIFYING))
    promote.send_signal(signal.SIGINT)
    stderr = promote.communicate(timeout=60)[1]
    assert promote.returncode == 0, stderr
    assert "interrupted after the cut-over: release 2 is live" in stderr
    assert bluegreen.json("status")["live"] == 2


@pytest.mark.usefixtures("ready")
def test_verification_that_is_lost_is_not_taken_for_one_that_passed(
    bluegreen: Bluegreen, connection: Connection
) -> None:
    """Exit code 6: the release is live, and nobody knows whether it should be."""
    bluegreen.write("checks/bad.sql", SLOW)
    promote = bluegreen.start("promote")
    scene.wait_until(lambda: scene.sessions(connection, VERIFYING))
    for session in scene.sessions(connection, VERIFYING):
        scene.terminate(connection, session)
    stderr = promote.communicate(timeout=60)[1]
    assert promote.returncode == 6, stderr
    assert "release 2 is live, but may not have been verified: " in stderr
    assert "HINT: Run `bluegreen check live`" in stderr
