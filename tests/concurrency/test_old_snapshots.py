"""Transactions whose snapshot is older than the load: they find the new release full, or promote waits for them."""

import threading
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.rows import TupleRow

from bluegreen_etl import errors
from bluegreen_etl.commands import load as load_command
from bluegreen_etl.commands import promote as promote_command
from bluegreen_etl.shadow import copy
from tests.concurrency import scene
from tests.support import Bluegreen, Live


@pytest.fixture
def old(dsn: str, live: Live) -> Iterator[psycopg.Connection[TupleRow]]:
    """A REPEATABLE READ transaction that has its snapshot and has not read live."""
    with psycopg.connect(dsn, application_name="old report") as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT FROM pg_class")
        yield connection
        connection.rollback()


@pytest.fixture
def unfrozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Split tables of any size over two connections, which cannot freeze."""
    monkeypatch.setattr(copy, "DEAL_BYTES", 0)


def load(dsn: str, bluegreen: Bluegreen) -> bool:
    """Load release 2, and return whether every table was frozen."""
    bluegreen.write_league()
    loaded = load_command.load(scene.context(dsn), [str(bluegreen.directory / "data")])
    return all(table.frozen for table in loaded.tables)


def players(connection: psycopg.Connection[TupleRow]) -> list[str]:
    """Return the names of the players visible to a transaction."""
    return [row[0] for row in connection.execute("SELECT name FROM league.players ORDER BY id")]


def test_older_snapshot_finds_a_frozen_release_full(
    dsn: str, bluegreen: Bluegreen, old: psycopg.Connection[TupleRow]
) -> None:
    """COPY FREEZE: a transaction older than the load reads all rows of the release that has since become live."""
    assert load(dsn, bluegreen)
    promote_command.promote(scene.context(dsn, max_wait=1))
    assert players(old) == ['Robert "Bobby" Øst', "Zoë", "Ann"]


@pytest.mark.usefixtures("unfrozen")
def test_older_snapshot_would_find_an_unfrozen_release_empty(
    dsn: str, bluegreen: Bluegreen, old: psycopg.Connection[TupleRow]
) -> None:
    """Without the wait for older transactions, such a transaction finds no rows."""
    assert not load(dsn, bluegreen)
    scene.exchange(scene.context(dsn))
    assert players(old) == []


@pytest.mark.usefixtures("unfrozen")
def test_promote_names_the_older_snapshot_and_gives_up(
    dsn: str, bluegreen: Bluegreen, old: psycopg.Connection[TupleRow], connection: psycopg.Connection[TupleRow]
) -> None:
    """If a table is not frozen, promote waits for older transactions and then names the blocker."""
    assert not load(dsn, bluegreen)
    with pytest.raises(errors.LockNotObtained) as caught:
        promote_command.promote(scene.context(dsn, max_wait=0.5))
    assert f"pid {old.info.backend_pid} ({old.info.user}, old report, idle in transaction" in caught.value.message
    assert caught.value.exit_code == 4
    assert scene.statuses(connection) == {1: "live", 2: "ready"}
    scene.assert_whole(connection)


@pytest.mark.usefixtures("unfrozen")
def test_promote_goes_on_when_the_older_transaction_ends(
    dsn: str, bluegreen: Bluegreen, old: psycopg.Connection[TupleRow], connection: psycopg.Connection[TupleRow]
) -> None:
    """The wait ends with the transaction."""
    assert not load(dsn, bluegreen)
    listener = scene.Listener()
    promote = threading.Thread(target=promote_command.promote, args=(scene.context(dsn, listener=listener),))
    promote.start()
    scene.wait_until(lambda: any("transactions older than the load" in line for line in listener.said))
    assert scene.statuses(connection) == {1: "live", 2: "ready"}
    old.rollback()
    promote.join(timeout=10)
    assert scene.statuses(connection) == {1: "previous", 2: "live"}
    assert players(old) == ['Robert "Bobby" Øst', "Zoë", "Ann"]
