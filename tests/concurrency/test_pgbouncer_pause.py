"""Readers connect through a pooler, which is paused for the swap: no mixed reads, and no endless wait."""

import itertools
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import TupleRow

from bluegreen_etl import db, errors, pgbouncer
from bluegreen_etl.cutover import pgbouncer_pause, swap
from bluegreen_etl.cutover.pgbouncer_pause import Pause
from bluegreen_etl.cutover.plan import Fence, Plan, Terms
from bluegreen_etl.cutover.strategy import Patience
from bluegreen_etl.model import Via
from bluegreen_etl.releases.context import Context
from tests import poolers, servers
from tests.concurrency import scene
from tests.concurrency.storm import readers
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
STYLES = {"plain": 1, "transaction": 1, "writer": 1, "view": 1}
SWAPS = 20


@pytest.fixture
def pooled(dsn: str) -> Iterator[str]:
    """DSN of a PgBouncer in transaction mode."""
    with servers.place() as directory, poolers.running(dsn, directory, mode="transaction") as through:
        yield through


@pytest.fixture
def ready(bluegreen: Bluegreen, live: Live, pooled: str) -> str:
    """Load release 2, and configure a pause with a very long wait; return a dump of live."""
    bluegreen.write_league()
    configure(bluegreen, pooled, wait=60)
    bluegreen("load", "data")
    return live.dump()


def configure(bluegreen: Bluegreen, pooled: str, *, wait: float) -> None:
    """Write the configuration."""
    bluegreen.write(
        "bluegreen.toml",
        f'[promote]\nvia = "pgbouncer"\n[promote.pgbouncer]\nconsoles = ["${{CONSOLE}}"]\npause_wait = {wait}\n',
    )
    bluegreen.more["CONSOLE"] = poolers.console(pooled)


@contextmanager
def pausing(surroundings: Context, pooled: str) -> Iterator[Callable[[Plan], Pause]]:
    """Yield a function that makes strategies with one shared console and one shared watchdog."""
    consoles = [pgbouncer.Console(dsn=poolers.console(pooled), target="any", databases=(database(pooled),))]

    def way(plan: Plan) -> Pause:
        return Pause(plan, Patience(30), surroundings.watcher.say, poolers=opened, watchdog=watchdog, wait=1, planner=0)

    with pgbouncer.opened(consoles) as opened, pgbouncer_pause.watching(consoles) as watchdog:
        yield way


def database(pooled: str) -> str:
    """Return the database name in a DSN."""
    return str(psycopg.conninfo.conninfo_to_dict(pooled)["dbname"])


def test_reader_through_a_paused_pooler_never_sees_half_a_release(
    dsn: str, pooled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four readers in a closed loop through 20 swaps without a lock: no read is mixed or empty, none fails."""
    scene.generations(dsn, tmp_path, tables=10)
    monkeypatch.setattr(
        pgbouncer_pause, "LEAVING", 2
    )  # a busy machine takes its time to end a session; locks are for others
    listener = scene.Listener()
    surroundings = scene.context(dsn, listener=listener)
    with pausing(surroundings, pooled) as way, readers(pooled, STYLES, tables=10, pooled=True) as storm:
        for plan in itertools.islice(scene.exchanges(surroundings), SWAPS):
            cutover = swap.run(surroundings.server, plan, way(plan), say=surroundings.watcher.say)
            assert cutover.via is Via.PGBOUNCER
    assert storm.damage == (0, 0, 0)
    assert storm.total("reads") > SWAPS
    assert [line for line in listener.said if "blocked by locks" in line] == []


def test_without_the_pause_readers_see_half_a_release(
    dsn: str, pooled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same storm without PAUSE, and without the locks as its fallback, sees mixed reads."""
    scene.generations(dsn, tmp_path, tables=20)
    surroundings = scene.context(dsn)
    monkeypatch.setattr(pgbouncer.Pooler, "begin_pause", lambda _pooler: None)
    monkeypatch.setattr(pgbouncer_pause, "LEAVING", 0)
    with pausing(surroundings, pooled) as way, readers(pooled, {"plain": 4}, tables=20, pooled=True) as storm:
        deadline = time.monotonic() + 60
        for plan in scene.exchanges(surroundings):
            unlocked = scene.unlocked(plan)
            swap.run(surroundings.server, unlocked, way(unlocked), say=surroundings.watcher.say)
            if storm.seen_mixed or time.monotonic() > deadline:
                break
    assert storm.total("mixed") > 0


class Late:
    """A strategy whose terms no longer hold when the transaction is about to commit."""

    via = Via.PGBOUNCER
    max_wait = 0.2

    def __init__(self, fence: Fence) -> None:
        self._fence = fence

    def hold(self, _connection: db.Connection, _number: int, send: Callable[[Terms], float]) -> float:
        """Send."""
        return send(Terms(timeout=None, order=(), fence=self._fence))

    def learn(self, _connection: db.Connection, _number: int, error: BaseException) -> None:
        """Insist on the reason."""
        assert isinstance(error, psycopg.errors.LockNotAvailable)

    def rest(self, _number: int) -> float:
        """Wait for a moment."""
        return 0.05

    def given_up(self, _connection: db.Connection) -> errors.LockNotObtained:
        """Say so."""
        return errors.LockNotObtained("late")


@pytest.mark.parametrize(
    "fence",
    [
        Fence(until=datetime.now(UTC) - timedelta(hours=1), allowed=None),
        Fence(until=datetime.now(UTC) + timedelta(hours=1), allowed=()),
    ],
    ids=["the pause may be over", "somebody has come"],
)
def test_swap_is_not_committed_when_readers_may_go_on(
    dsn: str, tmp_path: Path, connection: Connection, fence: Fence
) -> None:
    """The server itself compares, last before COMMIT: the client may have been stopped for a long time."""
    scene.generations(dsn, tmp_path, tables=2)
    surroundings = scene.context(dsn)
    plan = scene.exchange_plan(surroundings)
    with pytest.raises(errors.LockNotObtained, match="late"):
        swap.run(surroundings.server, plan, Late(fence), say=surroundings.watcher.say)
    assert scene.live_generation(connection) == 1


@pytest.mark.parametrize("fatal", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_readers_go_on_when_bluegreen_cannot(
    bluegreen: Bluegreen, live: Live, pooled: str, ready: str, connection: Connection, fatal: signal.Signals
) -> None:
    """Readers continue at once if promote is killed in a pause, and after the time limit if promote is stopped."""
    if fatal is signal.SIGSTOP:
        configure(bluegreen, pooled, wait=1)
    with psycopg.connect(pooled) as busy:
        busy.execute("SELECT FROM league.players")
        promote = bluegreen.start("promote", "--max-wait", "60")
        scene.wait_until(lambda: poolers.is_paused(pooled), seconds=30)
        promote.send_signal(fatal)
        begun = time.monotonic()
        with psycopg.connect(pooled) as reader:  # waits until the pooler resumes
            reader.execute("SELECT FROM league.players")
        waited = time.monotonic() - begun
        assert not poolers.is_paused(pooled)
    if fatal is signal.SIGKILL:
        assert waited < 5
        assert live.dump() == ready
        promote.communicate(timeout=10)
    else:
        assert waited < 1 + pgbouncer_pause.HELD + pgbouncer_pause.MARGIN + 5
        promote.send_signal(signal.SIGCONT)
        stderr = promote.communicate(timeout=60)[1]
        assert promote.returncode == 0, stderr
    scene.assert_whole(connection)
