"""Two commands at the same moment: one wins or both succeed in order, and the ledger agrees with the schemas."""

import contextlib
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import TupleRow

from bluegreen_etl import errors
from bluegreen_etl.commands import load, promote, prune, rollback
from tests.concurrency import scene
from tests.concurrency.slow import SlowLoad
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
Command = Callable[[str, Path], object]
ROUNDS = 4

COMMANDS: dict[str, Command] = {
    "load": lambda dsn, data: load.load(scene.context(dsn, keep=1), [str(data)]),
    "promote": lambda dsn, _: promote.promote(scene.context(dsn, keep=1)),
    "rollback": lambda dsn, _: rollback.rollback(scene.context(dsn, keep=1)),
    "prune": lambda dsn, _: prune.prune(scene.context(dsn), keep=0),
}


def at_once(dsn: str, data: Path, *names: str) -> list[int]:
    """Run commands at almost the same moment; return their exit codes."""
    barrier = threading.Barrier(len(names))
    codes = dict.fromkeys(range(len(names)), 0)

    def run(index: int, name: str) -> None:
        barrier.wait()
        time.sleep(random.choice((0, 0.05, 0.1, 0.2)))
        try:
            COMMANDS[name](dsn, data)
        except errors.BluegreenError as error:
            codes[index] = error.exit_code

    threads = [threading.Thread(target=run, args=item) for item in enumerate(names)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return [codes[index] for index in range(len(names))]


@pytest.mark.parametrize(
    "names",
    [
        ("promote", "promote"),
        ("load", "load"),
        ("load", "promote"),
        ("load", "rollback"),
        ("promote", "rollback"),
        ("promote", "prune"),
        ("rollback", "rollback"),
        ("rollback", "prune"),
        ("load", "prune"),
    ],
)
def test_two_commands_at_once_leave_everything_whole(
    dsn: str, tmp_path: Path, connection: Connection, names: tuple[str, str]
) -> None:
    """Each command ends with success, a refusal (1) or a conflict (5); never with a partial change."""
    scene.generations(dsn, tmp_path, tables=3)
    seen = []
    for _ in range(ROUNDS):
        statuses = set(scene.statuses(connection).values())
        # Something to go back to, unless nobody goes back and one is there, and something that is ready.
        missing = ["load", "promote"] if "rollback" in names or "previous" not in statuses else []
        if missing or "ready" not in statuses:
            missing.append("load")
        for name in missing:
            with contextlib.suppress(errors.BluegreenError):
                COMMANDS[name](dsn, tmp_path)
        seen.append(at_once(dsn, tmp_path, *names))
        scene.assert_whole(connection)
    assert {code for codes in seen for code in codes} <= {0, 1, 5}
    assert all(0 in codes for codes in seen)


def test_swap_that_was_planned_before_another_one_is_a_conflict(
    dsn: str, tmp_path: Path, connection: Connection
) -> None:
    """The swap compares again under the locks and finds that another release is live."""
    scene.generations(dsn, tmp_path, tables=3)
    surroundings = scene.context(dsn)
    stale = scene.exchange_plan(surroundings)
    scene.exchange(surroundings)
    with pytest.raises(errors.Conflict):
        scene.carry_out(surroundings, stale)
    assert scene.live_generation(connection) == 2
    scene.assert_whole(connection)


def test_swap_that_would_not_lock_a_new_table_is_a_conflict(dsn: str, tmp_path: Path, connection: Connection) -> None:
    """A table created in live after the inspection would not be locked: nothing is swapped."""
    scene.generations(dsn, tmp_path, tables=3)
    surroundings = scene.context(dsn)
    stale = scene.exchange_plan(surroundings)
    connection.execute("CREATE TABLE league.late (id int)")
    with pytest.raises(errors.Conflict):
        scene.carry_out(surroundings, stale)
    assert scene.live_generation(connection) == 1
    scene.assert_whole(connection)


@pytest.mark.usefixtures("live")
def test_second_promote_is_turned_away_at_once(dsn: str, bluegreen: Bluegreen, connection: Connection) -> None:
    """While one promote waits for locks, the second does not queue: exit code 5."""
    bluegreen.write_league()
    bluegreen("load", "data")
    with scene.holding(dsn, "SELECT FROM league.players"):
        first = bluegreen.start("promote")
        scene.wait_until(lambda: scene.is_busy(connection, "cutover"))
        second = bluegreen("promote", code=5)
        assert "another cut-over of league is running" in second.stderr
        assert "another cut-over of league is running" in bluegreen("prune", code=5).stderr
    assert first.communicate(timeout=30)[0]
    assert first.returncode == 0
    scene.assert_whole(connection)


@pytest.mark.parametrize(("kind", "command"), [("load", ("load", "data")), ("cutover", ("rollback",))])
@pytest.mark.usefixtures("live")
def test_holder_of_the_advisory_lock_is_named(
    dsn: str, bluegreen: Bluegreen, kind: str, command: tuple[str, ...]
) -> None:
    """Any role that may connect can take the lock: the message leads to its session."""
    bluegreen.write_league()
    bluegreen("load", "data", "--promote")
    with psycopg.connect(dsn, autocommit=True, application_name="stranger") as other:
        other.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (f"bluegreen {kind} league",))
        stderr = bluegreen(*command, code=5).stderr
        assert f"held by: pid {other.info.backend_pid} ({other.info.user}, stranger" in stderr


def test_second_load_is_turned_away_at_once(bluegreen: Bluegreen, live: Live, connection: Connection) -> None:
    """Exit code 5, and the first command continues."""
    slow = SlowLoad(bluegreen, live, connection)
    with slow.stopped("copy") as first:
        assert "another load of league is running" in bluegreen("load", "data", code=5).stderr
        assert scene.statuses(connection) == {1: "live", 2: "loading"}
        assert bluegreen.json("prune")["dropped"] == []
    assert first.returncode == 0
    assert scene.statuses(connection) == {1: "live", 2: "ready"}
    scene.assert_whole(connection)


def test_rollback_during_a_load_succeeds_and_the_load_is_not_promoted_over_it(
    bluegreen: Bluegreen, live: Live, connection: Connection
) -> None:
    """Live is not what the load saw: promote refuses with exit code 5, and works with --force."""
    bluegreen.write_league()
    bluegreen("load", "data", "--promote")
    slow = SlowLoad(bluegreen, live, connection)
    with slow.stopped("copy"):
        bluegreen("rollback")
    assert scene.statuses(connection) == {1: "live", 2: "previous", 3: "ready"}
    assert "not what the load of release 3 saw" in bluegreen("promote", code=5).stderr
    scene.assert_whole(connection)
    bluegreen("promote", "--force")
    scene.assert_whole(connection)
