"""Ctrl-C, SIGTERM, kill -9 and lost backends in every stage: live is unchanged and nothing is left."""

import signal

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests import warm
from tests.concurrency import proxy, scene
from tests.concurrency.slow import STAGES, STOPPED, SlowLoad
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
SIGNALS = [(stage, signal.SIGINT) for stage in STAGES] + [("copy", signal.SIGTERM), ("check", signal.SIGTERM)]


@pytest.fixture
def slow(bluegreen: Bluegreen, live: Live, connection: Connection) -> SlowLoad:
    """A load that can be stopped in any stage."""
    return SlowLoad(bluegreen, live, connection)


def ended(process: warm.Command) -> str:
    """Wait for a command to end; return its stderr, which has exactly one error and no traceback."""
    stderr = process.communicate(timeout=20)[1]
    assert process.returncode == 1, stderr
    assert stderr.count("bluegreen: error: ") == 1
    assert "Traceback" not in stderr
    return stderr


@pytest.mark.parametrize(("stage", "number"), SIGNALS)
def test_interrupted_load_takes_back_what_it_began(slow: SlowLoad, stage: str, number: signal.Signals) -> None:
    """Exit code 1, live unchanged, the release marked failed, no shadow left, and the next load works."""
    with slow.stopped(stage) as load:
        load.send_signal(number)
        assert "error: interrupted: live is unchanged" in ended(load)
        assert scene.statuses(slow.connection) == {1: "live", 2: "failed"}
        assert not scene.is_busy(slow.connection, "load")
    slow.assert_untouched()
    slow.assert_next_load_works()


@pytest.mark.parametrize("stage", STAGES)
def test_killed_load_is_recognised_and_dropped(slow: SlowLoad, stage: str) -> None:
    """After kill -9 status says dead, prune leaves nothing behind, and the next load works."""
    with slow.stopped(stage) as load:
        load.kill()
        load.communicate(timeout=20)
        scene.wait_until(lambda: not scene.is_busy(slow.connection, "load"))
        found = {release["number"]: release["dead"] for release in slow.bluegreen.json("status")["releases"]}
        assert found == {1: False, 2: True}
    scene.wait_until(lambda: not scene.sessions(slow.connection, "application_name LIKE 'bluegreen load%'"))
    assert slow.bluegreen.json("prune")["dropped"] == [2]
    slow.assert_untouched()
    slow.assert_next_load_works()


def test_next_load_sweeps_a_killed_one(slow: SlowLoad) -> None:
    """The next load drops what a killed load left, without prune."""
    with slow.stopped("copy") as load:
        load.kill()
        load.communicate(timeout=20)
    scene.wait_until(lambda: not scene.sessions(slow.connection, "application_name LIKE 'bluegreen load%'"))
    slow.assert_next_load_works()
    assert scene.statuses(slow.connection) == {1: "previous", 2: "pruned", 3: "live"}


def test_dead_shadow_in_use_does_not_stop_the_next_load(slow: SlowLoad) -> None:
    """A reader blocks the drop of a killed load's shadow: a later load drops it."""
    with slow.stopped("analyze") as load:
        load.kill()
        load.communicate(timeout=20)
    scene.wait_until(lambda: not scene.sessions(slow.connection, "application_name LIKE 'bluegreen load%'"))
    with scene.holding(slow.bluegreen.dsn, "SELECT FROM league__r2.players"):
        loaded = slow.bluegreen("load", "data")
    assert "release 2 was not dropped" in loaded.stderr
    slow.bluegreen("promote")
    scene.assert_whole(slow.connection)
    assert scene.statuses(slow.connection) == {1: "previous", 2: "pruned", 3: "live"}


@pytest.mark.parametrize("stage", ["copy", "finish", "check"])
def test_lost_backend_fails_the_load_in_one_sentence(slow: SlowLoad, stage: str) -> None:
    """pg_terminate_backend on a connection of the load: exit code 1, and nothing is left."""
    with slow.stopped(stage) as load:
        for pid in scene.sessions(slow.connection, STOPPED):
            scene.terminate(slow.connection, pid)
        assert "the server ended the connection" in ended(load)
    assert scene.statuses(slow.connection) == {1: "live", 2: "failed"}
    slow.assert_untouched()
    slow.assert_next_load_works()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_promote_leaves_live_alone(
    bluegreen: Bluegreen, live: Live, connection: Connection, number: signal.Signals
) -> None:
    """While promote waits for locks, it blocks others only briefly; the release stays ready."""
    bluegreen.write_league()
    bluegreen("load", "data")
    before = live.dump()
    with scene.holding(bluegreen.dsn, "SELECT FROM league.players"):
        promote = bluegreen.start("promote", "--max-wait", "60")
        scene.wait_until(lambda: scene.sessions(connection, scene.SWAPPING))
        promote.send_signal(number)
        if number == signal.SIGKILL:
            promote.communicate(timeout=5)
        else:
            assert "error: interrupted: live is unchanged" in ended(promote)
        scene.wait_until(lambda: not scene.is_busy(connection, "cutover"), seconds=5)
    assert live.dump() == before
    assert scene.statuses(connection) == {1: "live", 2: "ready"}
    bluegreen("promote")
    scene.assert_whole(connection)


@pytest.mark.usefixtures("live")
def test_interrupt_after_the_swap_does_not_claim_that_live_is_unchanged(
    bluegreen: Bluegreen, connection: Connection
) -> None:
    """Ctrl-C while promote prunes old releases: the swap is done, and the exit code is 0."""
    bluegreen.write_league()
    bluegreen("load", "data", "--promote")
    bluegreen("load", "data")
    with scene.holding(bluegreen.dsn, "SELECT FROM league__r1.players"):
        promote = bluegreen.start("promote")
        scene.wait_until(lambda: scene.statuses(connection)[3] == "live")
        promote.send_signal(signal.SIGINT)
        stderr = promote.communicate(timeout=20)[1]
    assert promote.returncode == 0, stderr
    assert "interrupted after the cut-over: release 3 is live" in stderr
    scene.assert_whole(connection)


@pytest.fixture
def three(bluegreen: Bluegreen, live: Live, connection: Connection) -> Live:
    """Release 2 is live, 1 is kept, 3 is ready."""
    bluegreen.write_league()
    bluegreen("load", "data", "--promote")
    bluegreen("load", "data")
    assert scene.statuses(connection) == {1: "previous", 2: "live", 3: "ready"}
    return live


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(("command", "target"), [("promote", 3), ("rollback", 1)])
def test_cut_over_killed_at_its_commit_is_known_to_the_ledger(
    bluegreen: Bluegreen, connection: Connection, command: str, target: int
) -> None:
    """kill -9 after the server received the swap and before its answer: the swap is done, and status says so."""
    with proxy.between(bluegreen.dsn, proxy.Cut.BEFORE_THE_ANSWER) as between:
        process = Bluegreen(between.dsn, bluegreen.directory).start(command)
        assert between.happened.wait(timeout=20)
        process.kill()
        process.communicate(timeout=20)
        scene.wait_until(lambda: not scene.is_busy(connection, "cutover"))
    assert bluegreen.json("status")["live"] == target
    scene.assert_whole(connection)
    bluegreen("load", "data", "--promote")
    scene.assert_whole(connection)


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "SIGKILL", "terminate"])
def test_interrupted_prune_drops_all_of_a_release_or_nothing(
    bluegreen: Bluegreen, connection: Connection, three: Live, how: str
) -> None:
    """However prune is stopped while it waits for a reader: the release is whole, and the next prune drops it."""
    before, kept = three.dump(), three.dump("league__r1")
    with scene.holding(bluegreen.dsn, "SELECT FROM league__r1.players"):
        process = bluegreen.start("prune", "--keep", "0")
        scene.wait_until(lambda: scene.sessions(connection, scene.DROPPING))
        if how == "terminate":
            for pid in scene.sessions(connection, "application_name LIKE 'bluegreen prune%'"):
                scene.terminate(connection, pid)
        else:
            process.send_signal(signal.Signals[how])
        process.communicate(timeout=20)
        assert process.returncode != 0
        scene.wait_until(lambda: not scene.is_busy(connection, "cutover"))
    assert (three.dump(), three.dump("league__r1")) == (before, kept)
    assert bluegreen.json("prune", "--keep", "0")["dropped"] == [1]
    scene.assert_whole(connection)
