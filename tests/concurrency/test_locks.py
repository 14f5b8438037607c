"""Sessions that hold locks the swap needs: the swap backs off, names them, and learns their lock order."""

import contextlib
import threading
import time
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import TupleRow

from bluegreen_etl import errors
from tests.concurrency import scene
from tests.concurrency.storm import readers
from tests.support import Bluegreen, Live


def test_promote_names_who_is_in_the_way_and_leaves_live_alone(
    dsn: str, bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """Exit code 4, with pid, user, application and query of the session that reads."""
    bluegreen.write_league()
    bluegreen("load", "data")
    before = live.dump()
    with scene.holding(dsn, "SELECT count(*) FROM league.players", application="nightly report") as holder:
        failed = bluegreen("promote", "--max-wait", "1", code=4)
        pid, user = holder.info.backend_pid, holder.info.user
    assert f"pid {pid} ({user}, nightly report, idle in transaction" in failed.stderr
    assert "SELECT count(*) FROM league.players" in failed.stderr
    assert "HINT: Live is unchanged." in failed.stderr
    assert live.dump() == before
    scene.assert_whole(connection)
    bluegreen("promote")
    assert scene.statuses(connection) == {1: "previous", 2: "live"}


@pytest.mark.usefixtures("live")
def test_promote_succeeds_when_the_holder_ends_in_time(
    dsn: str, bluegreen: Bluegreen, connection: psycopg.Connection[TupleRow]
) -> None:
    """Promote retries until --max-wait."""
    bluegreen.write_league()
    bluegreen("load", "data")
    with scene.holding(dsn, "SELECT FROM league.squads"):
        promote = bluegreen.start("promote", "--max-wait", "30")
        scene.wait_until(lambda: scene.sessions(connection, scene.SWAPPING))
    assert promote.communicate(timeout=30)[0]
    assert promote.returncode == 0
    scene.assert_whole(connection)
    assert scene.statuses(connection) == {1: "previous", 2: "live"}


def test_other_readers_get_through_while_promote_keeps_trying(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One session holds a table while promote retries; no other reader waits for a second."""
    scene.wait_for_lasting_holders(monkeypatch)
    scene.generations(dsn, tmp_path, tables=3)
    reader = scene.Reader(dsn, "SELECT FROM league.t02")
    with scene.holding(dsn, "SELECT FROM league.t02"):
        reader.start()
        with pytest.raises(errors.LockNotObtained):
            scene.exchange(scene.context(dsn, max_wait=6))
        reader.end()
    assert reader.reads > 100
    assert reader.worst < 1


def test_patience_is_for_all_locks_together(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blockers that end one after the other do not add up to a long wait for readers of the first table."""
    scene.wait_for_lasting_holders(monkeypatch)
    scene.generations(dsn, tmp_path, tables=12)
    reader = scene.Reader(dsn, "SELECT FROM league.t01")
    holders = [psycopg.connect(dsn) for _ in range(12)]
    for number, holder in enumerate(holders, 1):
        holder.execute(f"SELECT FROM league.t{number:02}")
    swap = threading.Thread(target=scene.exchange, args=(scene.context(dsn),))
    swap.start()
    reader.start()
    time.sleep(4)  # by now each attempt waits for about half a second
    for holder in holders:
        holder.close()
        time.sleep(0.2)
    swap.join(timeout=30)
    reader.end()
    assert reader.worst < 1


def test_readers_in_another_order_do_not_starve_the_swap(dsn: str, tmp_path: Path) -> None:
    """Four closed-loop readers lock ten tables from the last to the first: the swap learns this order."""
    scene.generations(dsn, tmp_path, tables=10)
    surroundings = scene.context(dsn, max_wait=20)
    with readers(dsn, {"reverse": 4}, tables=10) as storm:
        cutovers = [scene.exchange(surroundings) for _ in range(10)]
    assert storm.damage == (0, 0, 0)
    assert len(cutovers) == 10


def test_no_reader_is_the_victim_of_a_deadlock(
    dsn: str, tmp_path: Path, connection: psycopg.Connection[TupleRow]
) -> None:
    """Readers with conflicting lock orders, with deadlock_timeout at 200 ms: the server cancels none of them."""
    name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    connection.execute(f"ALTER DATABASE {name} SET deadlock_timeout = '200ms'".encode())
    scene.generations(dsn, tmp_path, tables=10)
    surroundings = scene.context(dsn, max_wait=2)
    with readers(dsn, {"reverse": 2, "transaction": 2}, tables=10) as storm:
        deadline = time.monotonic() + 6
        while time.monotonic() < deadline:
            with contextlib.suppress(errors.LockNotObtained):
                scene.exchange(surroundings)
    assert storm.damage == (0, 0, 0)


@pytest.mark.usefixtures("live")
def test_promote_waits_for_a_load_that_is_making_its_structure(
    dsn: str, bluegreen: Bluegreen, connection: psycopg.Connection[TupleRow]
) -> None:
    """A load renames live for a moment; promote waits for it without a lock, and both succeed."""
    bluegreen.write_league()
    bluegreen("load", "data")
    bluegreen.write("bluegreen.toml", '[structure]\nddl = ["schema.sql"]\n')
    bluegreen.write("schema.sql", f"{Live.DDL.partition('INSERT')[0].partition(';')[2]} SELECT pg_sleep(5);")
    reader = scene.Reader(dsn, "SELECT FROM league.players")
    load = bluegreen.start("load", "data", "--structure", "ddl")
    scene.wait_until(lambda: scene.sessions(connection, "wait_event = 'PgSleep'"))
    reader.start()
    promote = bluegreen.start("promote", "2")
    scene.wait_until(lambda: scene.is_busy(connection, "cutover"))
    for command in (load, promote):
        stderr = command.communicate(timeout=30)[1]
        assert command.returncode == 0, stderr
    reader.end()
    assert reader.reads > 100
    assert reader.worst < 0.2
    scene.assert_whole(connection)
    assert scene.statuses(connection) == {1: "previous", 2: "live", 3: "ready"}
