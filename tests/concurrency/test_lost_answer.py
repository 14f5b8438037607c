"""The connection is lost at any moment of the swap: the ledger decides the outcome, and nothing is done twice."""

import random
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import TupleRow

from bluegreen_etl import errors
from tests.concurrency import proxy, scene
from tests.concurrency.proxy import Cut
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]


@pytest.fixture
def ready(bluegreen: Bluegreen, live: Live, connection: Connection) -> str:
    """Load release 2; return a dump of live."""
    bluegreen.write_league()
    bluegreen("load", "data")
    assert scene.statuses(connection) == {1: "live", 2: "ready"}
    return live.dump()


def cutovers(connection: Connection) -> int:
    """Return the number of swaps in the ledger."""
    row = connection.execute("SELECT count(*) FROM bluegreen.cutover").fetchone()
    assert row
    return int(row[0])


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("cut", [Cut.BEFORE_THE_ANSWER, Cut.BEFORE_THE_FLUSH])
def test_committed_swap_is_a_success_although_its_answer_was_lost(
    dsn: str, tmp_path: Path, connection: Connection, cut: Cut
) -> None:
    """Exit code 0, one swap, and the ledger agrees."""
    with proxy.between(dsn, cut) as between:
        promoted = Bluegreen(between.dsn, tmp_path).json("promote")
        assert between.happened.is_set()
    assert promoted["cutover"]["to_number"] == 2
    assert scene.statuses(connection) == {1: "previous", 2: "live"}
    assert cutovers(connection) == 1
    scene.assert_whole(connection)


def test_swap_that_never_arrived_is_a_failure_and_can_be_run_again(
    dsn: str, bluegreen: Bluegreen, live: Live, connection: Connection, ready: str
) -> None:
    """Exit code 1, and live is unchanged to the last byte."""
    with proxy.between(dsn, Cut.BEFORE_THE_SWAP) as between:
        failed = Bluegreen(between.dsn, bluegreen.directory)("promote", code=1)
        assert between.happened.is_set()
    assert "was not committed: live is unchanged" in failed.stderr
    assert live.dump() == ready
    assert cutovers(connection) == 0
    bluegreen("promote")
    scene.assert_whole(connection)


@pytest.mark.usefixtures("ready")
def test_unknown_outcome_has_an_exit_code_of_its_own(dsn: str, bluegreen: Bluegreen, connection: Connection) -> None:
    """The server cannot be reached again within --max-wait: exit code 6; status knows the outcome later."""
    with proxy.between(dsn, Cut.BEFORE_THE_ANSWER, deaf=True) as between:
        failed = Bluegreen(between.dsn, bluegreen.directory)("promote", "--max-wait", "1", code=6)
    assert "HINT: Run `bluegreen status`" in failed.stderr
    scene.wait_until(lambda: cutovers(connection) == 1)
    assert bluegreen.json("status")["live"] == 2
    scene.assert_whole(connection)


@pytest.mark.usefixtures("ready")
def test_interrupt_while_the_outcome_is_unknown_does_not_claim_that_live_is_unchanged(
    dsn: str, tmp_path: Path, connection: Connection
) -> None:
    """Ctrl-C while promote queries the outcome of the swap: exit code 6 at once."""
    with proxy.between(dsn, Cut.BEFORE_THE_ANSWER, deaf=True) as between:
        promote = Bluegreen(between.dsn, tmp_path).start("promote", "--max-wait", "600")
        assert between.happened.wait(timeout=20)
        promote.send_signal(signal.SIGINT)
        stderr = promote.communicate(timeout=20)[1]
    assert promote.returncode == 6, stderr
    scene.wait_until(lambda: cutovers(connection) == 1)


def test_backend_terminated_while_it_waits_for_locks(
    dsn: str, bluegreen: Bluegreen, live: Live, connection: Connection, ready: str
) -> None:
    """Exit code 1: the server answered that the swap was not committed."""
    with scene.holding(dsn, "SELECT FROM league.players"):
        promote = bluegreen.start("promote")
        scene.wait_until(lambda: scene.sessions(connection, scene.SWAPPING))
        scene.wait_until(
            lambda: any(scene.terminate(connection, pid) for pid in scene.sessions(connection, scene.SWAPPING))
        )
        stderr = promote.communicate(timeout=30)[1]
    assert promote.returncode == 1, stderr
    assert "live is unchanged" in stderr
    assert live.dump() == ready
    assert cutovers(connection) == 0
    scene.assert_whole(connection)


def test_cancelled_swap_is_not_mistaken_for_a_lost_connection(
    dsn: str, bluegreen: Bluegreen, live: Live, connection: Connection, ready: str
) -> None:
    """A cancelled swap (pg_cancel_backend) has failed: exit code 1, without a query for the outcome."""
    with scene.holding(dsn, "SELECT FROM league.players"):
        promote = bluegreen.start("promote")
        scene.wait_until(lambda: scene.sessions(connection, scene.SWAPPING))

        def ended() -> bool:
            # Again and again, because a request that arrives between two statements cancels nothing.
            for pid in scene.sessions(connection, scene.SWAPPING):
                connection.execute("SELECT pg_cancel_backend(%s)", (pid,))
            return promote.poll() is not None

        scene.wait_until(ended)
        stderr = promote.communicate(timeout=60)[1]
    assert promote.returncode == 1, stderr
    assert "connection was lost" not in stderr
    assert live.dump() == ready
    scene.assert_whole(connection)


@pytest.fixture
def killer(dsn: str) -> Iterator[threading.Event]:
    """A thread that terminates swapping backends at random moments until the event is set."""
    stop = threading.Event()

    def kill() -> None:
        with psycopg.connect(dsn, autocommit=True) as own:
            while not stop.wait(random.uniform(0.0, 0.04)):
                for pid in scene.sessions(own, "application_name ~ '^bluegreen (promote|rollback) league r'"):
                    own.execute("SELECT pg_terminate_backend(%s)", (pid,))

    thread = threading.Thread(target=kill)
    thread.start()
    yield stop
    stop.set()
    thread.join(timeout=20)


def test_what_is_reported_is_what_happened_whenever_the_backend_dies(
    dsn: str, tmp_path: Path, connection: Connection, killer: threading.Event
) -> None:
    """Backends are terminated at random moments of 100 swaps: success exactly if the ledger has the swap."""
    scene.generations(dsn, tmp_path, tables=3)
    surroundings = scene.context(dsn)
    codes: list[int] = []
    for _ in range(100):
        before = scene.live_generation(connection)
        try:
            scene.exchange(surroundings)
            codes.append(0)
        except errors.BluegreenError as error:
            codes.append(error.exit_code)
        assert scene.live_generation(connection) == (before if codes[-1] else 3 - before)
        assert cutovers(connection) == codes.count(0)
    killer.set()
    scene.assert_whole(connection)
    assert set(codes) == {0, 1}
