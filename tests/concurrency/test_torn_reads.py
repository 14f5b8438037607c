"""Readers in a closed loop while releases are swapped: every answer comes from one release, whole."""

import itertools
import re
import threading
import time
from pathlib import Path

from tests.concurrency import scene
from tests.concurrency.storm import IN_ORDER, readers
from tests.support import Live

SWAPS = 100


def test_reader_never_sees_half_a_release(dsn: str, tmp_path: Path) -> None:
    """Four readers join 20 tables through 100 swaps: no read is mixed or empty, and none fails."""
    scene.generations(dsn, tmp_path, tables=20)
    surroundings = scene.context(dsn)
    with readers(dsn, {"plain": 4}, tables=20) as storm:
        for plan in itertools.islice(scene.exchanges(surroundings), SWAPS):
            scene.carry_out(surroundings, plan)
    assert storm.damage == (0, 0, 0)
    assert storm.total("reads") > SWAPS


def test_no_kind_of_reader_sees_half_a_release(dsn: str, tmp_path: Path) -> None:
    """Prepared, pipelined, by view, by function, in transactions, with older snapshots, writing: all stay whole."""
    scene.generations(dsn, tmp_path, tables=10)
    surroundings = scene.context(dsn)
    with readers(dsn, dict.fromkeys(IN_ORDER, 1), tables=10) as storm:
        for plan in itertools.islice(scene.exchanges(surroundings), SWAPS // 4):
            scene.carry_out(surroundings, plan)
    assert storm.damage == (0, 0, 0)
    assert all(tally.reads > 0 for tally in storm.tallies)


def test_readers_from_outside_never_see_half_a_release(dsn: str, tmp_path: Path, connection: scene.Connection) -> None:
    """The swap replaces outside views and materialized views: they show the release that is live."""
    scene.generations(dsn, tmp_path, tables=5)
    connection.execute(
        "CREATE SCHEMA outside; CREATE VIEW outside.gens AS SELECT gens FROM league.everything;"
        "CREATE VIEW outside.again AS SELECT gens FROM outside.gens;"
        "CREATE MATERIALIZED VIEW outside.kept AS SELECT gens FROM league.everything"
    )
    surroundings = scene.context(dsn)
    with readers(dsn, {"outside": 3}, tables=5) as storm:
        for _ in range(SWAPS // 4):
            scene.exchange(surroundings)
    assert storm.damage == (0, 0, 0)
    assert storm.total("reads") > SWAPS


def test_dump_is_of_one_release(dsn: str, tmp_path: Path) -> None:
    """pg_dump reads the catalog first and each table later, while releases are swapped."""
    scene.generations(dsn, tmp_path, tables=10)
    surroundings = scene.context(dsn)
    dumps: list[str] = []
    stop = threading.Event()

    def dump() -> None:
        while not stop.is_set():
            dumps.append(Live(dsn).dump())

    thread = threading.Thread(target=dump)
    thread.start()
    for cutovers, plan in enumerate(scene.exchanges(surroundings)):
        if cutovers >= SWAPS // 2 and len(dumps) >= SWAPS // 4:
            break
        scene.carry_out(surroundings, plan)
    stop.set()
    thread.join(timeout=60)
    for text in dumps:
        # A table's only row follows the COPY line: id and generation.
        rows = re.findall(r"^COPY league\.t\d\d .*\n1\t(\d)\n", text, re.MULTILINE)
        assert len(rows) == 10
        assert len(set(rows)) == 1
    assert {rows for text in dumps for rows in re.findall(r"\n1\t(\d)\n", text)} == {"1", "2"}


def test_without_the_locks_readers_see_half_a_release(dsn: str, tmp_path: Path) -> None:
    """The same storm without the locks of the plan sees mixed reads: the storm can detect them."""
    scene.generations(dsn, tmp_path, tables=20)
    surroundings = scene.context(dsn)
    with readers(dsn, {"plain": 4}, tables=20) as storm:
        deadline = time.monotonic() + 60
        for plan in scene.exchanges(surroundings):
            scene.carry_out(surroundings, scene.unlocked(plan))
            if storm.seen_mixed or time.monotonic() > deadline:
                break
    assert storm.total("mixed") > 0
