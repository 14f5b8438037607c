"""A client that freezes while it holds locks: the server ends its transaction, and nobody waits for longer."""

import threading
import time
from collections.abc import Callable
from types import ModuleType

import psycopg
import pytest
from psycopg.rows import TupleRow

from bluegreen_etl import db, errors
from bluegreen_etl.commands import load, prune
from bluegreen_etl.releases import drop
from bluegreen_etl.shadow import structure
from tests.concurrency import scene
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
BOUND = 0.5  # seconds
FREEZES: list[tuple[ModuleType, str, Callable[[str], object]]] = [
    (drop, "_refuse_other_schema", lambda dsn: prune.prune(scene.context(dsn), keep=0)),
    (structure, "refuse_dependents", lambda dsn: load.load(scene.context(dsn), [])),
]


@pytest.mark.parametrize(("module", "name", "command"), FREEZES, ids=["prune", "load"])
def test_locks_of_a_frozen_client_end_with_the_bound(
    bluegreen: Bluegreen,
    live: Live,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    name: str,
    command: Callable[[str], object],
) -> None:
    """Between DROP and COMMIT the session holds ACCESS EXCLUSIVE on the release; the server lets go of it."""
    bluegreen.write_league()
    bluegreen.write("bluegreen.toml", '[sources]\npaths = ["data"]\n')
    monkeypatch.chdir(bluegreen.directory)
    bluegreen("load", "data", "--promote")
    monkeypatch.setattr(db, "FROZEN", f"{BOUND * 1000:.0f}ms")
    frozen, thawed = threading.Event(), threading.Event()
    original = getattr(module, name)

    def freeze(*arguments: object, **options: object) -> object:
        if holds_exclusive(connection):
            frozen.set()
            assert thawed.wait(20)
        return original(*arguments, **options)

    monkeypatch.setattr(module, name, freeze)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            command(live.dsn)
        except errors.BluegreenError as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert frozen.wait(20)
        begun = time.monotonic()
        scene.wait_until(lambda: not holds_exclusive(connection))
        assert time.monotonic() - begun < BOUND + 2
    finally:
        thawed.set()
        thread.join(60)
    assert live.dump()


def holds_exclusive(connection: Connection) -> bool:
    """Return whether a session of the tool holds relations exclusively while it waits for its client."""
    query = (
        "SELECT count(*) > 0 FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid) "
        "WHERE l.mode = 'AccessExclusiveLock' AND l.locktype = 'relation' AND l.granted "
        "AND a.application_name LIKE 'bluegreen%' AND a.state = 'idle in transaction'"
    )
    row = connection.execute(query).fetchone()
    return bool(row and row[0])
