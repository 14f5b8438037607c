"""Readers in a closed loop while releases are swapped: every answer comes from one release, whole."""

import time
from pathlib import Path

from tests.concurrency import scene
from tests.concurrency.storm import IN_ORDER, readers

SWAPS = 200


def test_reader_never_sees_half_a_release(dsn: str, tmp_path: Path) -> None:
    """Four readers join 20 tables through 200 cut-overs: none is mixed, none is empty, none fails."""
    scene.generations(dsn, tmp_path, tables=20)
    surroundings = scene.context(dsn)
    with readers(dsn, {"plain": 4}, tables=20) as storm:
        for _ in range(SWAPS):
            scene.exchange(surroundings)
    assert storm.damage == (0, 0, 0)
    assert storm.total("reads") > SWAPS


def test_no_style_of_reading_sees_half_a_release(dsn: str, tmp_path: Path) -> None:
    """Prepared, pipelined, by view, by function, in transactions: all stay whole."""
    scene.generations(dsn, tmp_path, tables=10)
    surroundings = scene.context(dsn)
    with readers(dsn, dict.fromkeys(IN_ORDER, 1), tables=10) as storm:
        for _ in range(SWAPS // 4):
            scene.exchange(surroundings)
    assert storm.damage == (0, 0, 0)
    assert all(tally.reads > 0 for tally in storm.tallies)


def test_without_the_locks_readers_see_half_a_release(dsn: str, tmp_path: Path) -> None:
    """The same storm with the locks taken out of the plan sees mixed reads: the storm can tell."""
    scene.generations(dsn, tmp_path, tables=20)
    surroundings = scene.context(dsn)
    with readers(dsn, {"plain": 4}, tables=20) as storm:
        deadline = time.monotonic() + 60
        while not storm.seen_mixed and time.monotonic() < deadline:
            scene.exchange(surroundings, locks=False)
    assert storm.total("mixed") > 0
