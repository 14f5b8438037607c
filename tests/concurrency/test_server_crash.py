"""The server crashes in the middle of a command and restarts: live is one whole release, and status knows it."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import conninfo, sql
from psycopg.rows import TupleRow

from bluegreen_etl import errors
from bluegreen_etl.commands import promote, prune
from bluegreen_etl.commands import status as status_command
from tests import servers, warm
from tests.concurrency import proxy, scene
from tests.concurrency.proxy import Cut
from tests.concurrency.slow import STAGES, SlowLoad
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]


@pytest.fixture(scope="module")
def mortal(request: pytest.FixtureRequest) -> Iterator[servers.Server]:
    """A server for this module only: its crashes reach no other test."""
    with (
        servers.place() as directory,
        servers.running(request.config.getoption("--postgres"), directory / "data") as own,
    ):
        own.start()  # max_prepared_transactions takes effect after a restart
        yield own


@pytest.fixture
def dsn(mortal: servers.Server) -> str:
    """DSN of a fresh database on the server that will crash."""
    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(mortal.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return conninfo.make_conninfo(mortal.dsn, dbname=name)


@pytest.fixture
def ready(bluegreen: Bluegreen, live: Live, connection: Connection) -> str:
    """Load until release 2 is live, 1 is kept and 3 is ready; return a dump of live."""
    bluegreen.write_league()
    bluegreen("load", "data", "--promote")
    bluegreen("load", "data")
    assert scene.statuses(connection) == {1: "previous", 2: "live", 3: "ready"}
    return live.dump(sequences=False)


def crash(mortal: servers.Server, process: warm.Command) -> str:
    """Crash the server, wait for the command to end, restart the server; return the command's stderr."""
    mortal.crash()
    stderr = process.communicate(timeout=60)[1]
    mortal.start()
    assert stderr.count("bluegreen: error: ") == 1, stderr
    assert "Traceback" not in stderr
    return stderr


def assert_all_is_well(bluegreen: Bluegreen) -> None:
    """Assert that status is right, that prune drops stale releases, and that load and promote work."""
    surroundings = scene.context(bluegreen.dsn)
    state = status_command.status(surroundings)
    assert not state.drifted
    with psycopg.connect(bluegreen.dsn, autocommit=True) as connection:
        statuses = scene.statuses(connection)
        assert [number for number, status in statuses.items() if status == "live"] == [state.live]
        prune.prune(surroundings, keep=0)
        rows = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ '^(league|bluegreen__)'").fetchall()
        ready = {f"league__r{number}" for number, status in statuses.items() if status == "ready"}
        assert {row[0] for row in rows} == {"league", *ready}
        promote.load_and_promote(surroundings, [str(bluegreen.directory / "data")])
        scene.assert_whole(connection)


@pytest.mark.parametrize("stage", STAGES)
def test_load(mortal: servers.Server, bluegreen: Bluegreen, live: Live, connection: Connection, stage: str) -> None:
    """Exit code 1; live is unchanged, the release is stale, and the next load drops it."""
    slow = SlowLoad(bluegreen, live, connection)
    before = live.dump(sequences=False)  # a crash skips some sequence values
    with slow.stopped(stage) as load:
        crash(mortal, load)
        assert load.returncode == 1
    assert live.dump(sequences=False) == before
    found = {release["number"]: release["dead"] for release in bluegreen.json("status")["releases"]}
    assert found == {1: False, 2: True}
    assert_all_is_well(bluegreen)


@pytest.mark.parametrize("command", ["promote", "rollback"])
def test_cut_over_that_waits_for_locks(
    mortal: servers.Server, bluegreen: Bluegreen, live: Live, connection: Connection, ready: str, command: str
) -> None:
    """The swap was not done: exit code 1, because the server answers again in time."""
    with scene.holding(bluegreen.dsn, "SELECT FROM league.players"):
        process = bluegreen.start(command, "--max-wait", "30")
        scene.wait_until(lambda: scene.sessions(connection, scene.SWAPPING))
        mortal.crash()
        mortal.start()
        stderr = process.communicate(timeout=60)[1]
    assert process.returncode == 1, stderr
    assert "live is unchanged" in stderr
    assert live.dump(sequences=False) == ready
    assert_all_is_well(bluegreen)


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("command", ["promote", "rollback"])
@pytest.mark.parametrize("cut", [Cut.BEFORE_THE_SWAP, Cut.BEFORE_THE_ANSWER, Cut.BEFORE_THE_FLUSH])
def test_cut_over_at_its_commit(mortal: servers.Server, bluegreen: Bluegreen, command: str, cut: Cut) -> None:
    """Before the swap arrives, before its answer, before the flush: the report agrees with the ledger."""
    target = 3 if command == "promote" else 1
    with proxy.between(bluegreen.dsn, cut) as between:
        process = Bluegreen(between.dsn, bluegreen.directory).start(command, "--max-wait", "30")
        assert between.happened.wait(timeout=20)
        mortal.crash()
        mortal.start()
        stderr = process.communicate(timeout=60)[1]
    state = bluegreen.json("status")
    assert (process.returncode, state["live"]) in {(0, target), (1, 2)}, stderr
    if cut is Cut.BEFORE_THE_SWAP:
        assert state["live"] == 2
    assert_all_is_well(bluegreen)


def test_server_that_stays_away_is_an_unknown_outcome(mortal: servers.Server, bluegreen: Bluegreen, ready: str) -> None:
    """Exit code 6 if the server cannot be reached within --max-wait; status knows when the server is back."""
    assert ready
    with proxy.between(bluegreen.dsn, Cut.BEFORE_THE_FLUSH) as between:
        process = Bluegreen(between.dsn, bluegreen.directory).start("promote", "--max-wait", "1")
        assert between.happened.wait(timeout=20)
        stderr = crash(mortal, process)
    assert process.returncode == 6, stderr
    assert bluegreen.json("status")["live"] in {2, 3}
    assert_all_is_well(bluegreen)


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize(("command", "code"), [("promote", 0), ("prune", 1)])
def test_prune(mortal: servers.Server, bluegreen: Bluegreen, connection: Connection, command: str, code: int) -> None:
    """The release being dropped is still whole, and the next prune drops it; an earlier swap stays done."""
    arguments = ["prune", "--keep", "0"] if command == "prune" else ["promote"]
    with scene.holding(bluegreen.dsn, "SELECT FROM league__r1.players"):
        process = bluegreen.start(*arguments)
        scene.wait_until(lambda: scene.sessions(connection, scene.DROPPING))
        mortal.crash()
        mortal.start()
        stderr = process.communicate(timeout=60)[1]
    assert process.returncode == code, stderr
    assert bluegreen.json("status")["live"] == (3 if command == "promote" else 2)
    assert_all_is_well(bluegreen)


def test_crashes_at_any_moment_of_many_swaps(mortal: servers.Server, bluegreen: Bluegreen, tmp_path: Path) -> None:
    """The server crashes several times while releases are swapped: live is always one whole generation."""
    scene.generations(bluegreen.dsn, tmp_path / "generations", tables=3)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            try:
                scene.exchange(scene.context(bluegreen.dsn))
            except Exception:
                time.sleep(0.02)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for number in range(4):
            time.sleep(0.3 + 0.11 * number)
            mortal.crash()
            mortal.start()
            _eventually(lambda: _assert_whole(bluegreen.dsn))
    finally:
        stop.set()
        thread.join(timeout=60)
    _assert_whole(bluegreen.dsn)


def _assert_whole(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        rows = connection.execute(scene.joined(3)).fetchall()
        assert len(rows) == 1
        assert len(set(rows[0][0])) == 1
        scene.assert_whole(connection)


def _eventually(condition: Callable[[], None]) -> None:
    """Retry: a running swap may commit between the reads of the ledger and of the schemas."""
    for _ in range(5):
        try:
            return condition()
        except AssertionError:
            time.sleep(0.05)
    return condition()


def test_prepared_transaction_survives_and_is_named_by_its_gid(
    mortal: servers.Server, dsn: str, live: Live, bluegreen: Bluegreen
) -> None:
    """It holds its locks without a session, so there is no pid to name, and promote says what does block it."""
    bluegreen.write_league()
    bluegreen("load", "data")
    before = live.dump(sequences=False)
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM league.teams")
        other.execute("PREPARE TRANSACTION 'app-1'")
    mortal.crash()
    mortal.start()
    try:
        with pytest.raises(errors.LockNotObtained, match=r"blocked by: prepared transaction app-1 \(\w+, prepared "):
            promote.promote(scene.context(dsn, max_wait=0.5))
    finally:
        with psycopg.connect(dsn, autocommit=True) as other:
            other.execute("ROLLBACK PREPARED 'app-1'")
    assert live.dump(sequences=False) == before
