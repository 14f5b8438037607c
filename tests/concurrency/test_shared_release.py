"""Many processes fill one release: each part is there once, whichever process retries, dies, or finishes."""

import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg.rows import TupleRow

from bluegreen_etl import SharedRelease, errors, ledger, model, names, queries
from bluegreen_etl.commands import doctor, load, prune, status
from bluegreen_etl.releases import drop
from tests.concurrency import scene
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
TRIES = 5


class Slow:
    """Rows of a table that stop after the first row until released."""

    def __init__(self, first: int = 1) -> None:
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()
        self._first = first

    def __iter__(self) -> Iterator[dict[str, object]]:
        """Yield three players."""
        yield {"id": self._first, "team_id": 1, "name": "Ann"}
        self.begun.release()
        assert self.go.wait(20)
        yield {"id": self._first + 1, "team_id": 1, "name": "Bob"}
        yield {"id": self._first + 2, "team_id": 1, "name": "Zoë"}


class Try(threading.Thread):
    """One attempt in a thread, which ends with a value or an error."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self.result: object = None
        self.error: Exception | None = None
        self.start()

    def run(self) -> None:
        """Run the attempt."""
        try:
            self.result = self._work()
        except Exception as error:  # the test checks which
            self.error = error

    def ended(self) -> object:
        """Wait for the end, and return the value."""
        self.join(20)
        assert not self.is_alive()
        assert self.error is None
        return self.result


@pytest.fixture
def shared(live: Live) -> SharedRelease:
    """A release that is open for parts."""
    return SharedRelease.open(live.dsn, schema="league", settings={"promote": {"max_wait": 0.3}})


def players(connection: Connection, schema: str = "league__r2") -> int:
    """Count the rows of a table."""
    row = connection.execute(f"SELECT count(*) FROM {schema}.players").fetchone()  # noqa: S608 - names of our own
    assert row
    return int(row[0])


def waiting(connection: Connection) -> int:
    """Count the sessions that wait for the outcome of another session's part."""
    return len(scene.sessions(connection, "wait_event = 'transactionid' AND query LIKE '%bluegreen.part%'"))


@pytest.mark.parametrize("keyed", [True, False])
def test_part_that_is_tried_many_times_at_once_is_there_once(
    shared: SharedRelease, connection: Connection, monkeypatch: pytest.MonkeyPatch, keyed: bool
) -> None:
    """The others wait for the first and find the part done; without the unique key its rows are there five times."""
    if not keyed:
        connection.execute("ALTER TABLE bluegreen.part DROP CONSTRAINT part_pkey")
        text = queries.blocks("ledger_queries")["begin_part"].partition("ON CONFLICT")[0]
        monkeypatch.setitem(queries.blocks("ledger_queries"), "begin_part", text)
    slow = Slow()
    tries = [Try(lambda: shared.part("players", slow, key="7")) for _ in range(TRIES)]
    assert slow.begun.acquire(timeout=20)
    if keyed:
        scene.wait_until(lambda: waiting(connection) == TRIES - 1)
    else:
        assert all(slow.begun.acquire(timeout=20) for _ in range(TRIES - 1))
    slow.go.set()
    parts = [each.ended() for each in tries]
    assert {part.rows for part in parts if isinstance(part, model.Part)} == {3}
    assert players(connection) == (3 if keyed else 3 * TRIES)
    if keyed:
        assert not slow.begun.acquire(blocking=False)  # the other attempts have not started with their rows


def test_second_try_takes_over_when_the_first_one_dies(shared: SharedRelease, connection: Connection) -> None:
    """A session that ends in the middle of its part leaves no rows, and the attempt does not count."""
    slow = Slow()
    first = Try(lambda: shared.part("players", slow, key="7"))
    assert slow.begun.acquire(timeout=20)
    [pid] = scene.sessions(connection, f"application_name = '{names.program('league', 2)}'")
    second = Try(lambda: shared.part("players", [{"team_id": 1, "name": "Bob"}], key="7"))
    scene.wait_until(lambda: waiting(connection) == 1)
    scene.terminate(connection, pid)
    part = second.ended()
    assert isinstance(part, model.Part)
    assert part.rows == players(connection) == 1
    slow.go.set()
    first.join(20)
    assert isinstance(first.error, errors.ServerFailed)
    assert players(connection) == 1


def test_finish_waits_for_parts_under_way_and_lets_none_come_after_it(
    live: Live, shared: SharedRelease, connection: Connection
) -> None:
    """`finish` gives up after a timeout; the parts it has waited for are in the release."""
    shared.part("teams", [(1, "Ajax")], key="all")
    slow = Slow()
    part = Try(lambda: shared.part("players", slow, key="7"))
    assert slow.begun.acquire(timeout=20)
    with pytest.raises(errors.LockNotObtained, match=r"parts of release 2 are still being copied after 0\.3 s: pid "):
        shared.finish()
    scene.wait_until(lambda: not scene.is_busy(connection, "load"))
    patient = SharedRelease(2, live.dsn, schema="league")
    finish = Try(lambda: patient.finish(expect={"players": 1, "teams": 1}))
    scene.wait_until(lambda: scene.is_busy(connection, "load"))
    with pytest.raises(errors.Conflict):
        shared.abort()
    slow.go.set()
    part.ended()
    finish.ended()
    assert shared.part("players", [], key="7").rows == 3  # a retry after a lost answer
    with pytest.raises(errors.Refused, match="release 2 of league is ready, and not open for parts"):
        shared.part("players", [], key="8")
    assert players(connection) == 3
    scene.assert_whole(connection)


def test_abort_ends_the_parts_under_way(shared: SharedRelease, live: Live, connection: Connection) -> None:
    """A process that still copies gets an error; nothing of the release is left."""
    before = live.dump()
    slow = Slow()
    part = Try(lambda: shared.part("players", slow, key="7"))
    assert slow.begun.acquire(timeout=20)
    assert shared.abort().dropped == (2,)
    slow.go.set()
    part.join(20)
    assert isinstance(part.error, errors.ServerFailed)
    with pytest.raises(errors.Refused, match="pruned, and not open for parts: aborted"):
        shared.part("players", Slow(), key="7")
    assert scene.statuses(connection) == {1: "live", 2: "pruned"}
    assert live.dump() == before
    scene.assert_whole(connection)


def test_open_release_keeps_others_away_until_it_is_dead(
    bluegreen: Bluegreen, shared: SharedRelease, live: Live, connection: Connection
) -> None:
    """No process holds the release, so it is stale after its time limit; the next load drops it."""
    bluegreen.write_league()
    listener = scene.Listener()
    surroundings = scene.context(live.dsn, listener=listener)
    data = [str(bluegreen.directory / "data")]
    with pytest.raises(errors.Conflict, match="release 2 of league is open for parts, since 20"):
        load.load(surroundings, data)
    with pytest.raises(errors.Conflict):
        SharedRelease.open(live.dsn, schema="league")
    found = [finding.found for finding in doctor.doctor(surroundings).findings]
    assert "release 2 is open for parts and blocks other loads" in found
    assert prune.prune(surroundings, keep=1).dropped == ()
    connection.execute("UPDATE bluegreen.release SET open_until = clock_timestamp() WHERE number = 2")
    assert status.status(surroundings).releases[1].dead
    for late in (lambda: shared.part("teams", [], key="1"), shared.finish):
        with pytest.raises(errors.Refused, match="release 2 of league is loading, and not open for parts"):
            late()
    load.load(surroundings, data)
    assert "dropping release 2, which is stale" in listener.said
    assert scene.statuses(connection) == {1: "live", 2: "pruned", 3: "ready"}
    scene.assert_whole(connection)


def test_prune_that_has_looked_before_a_release_was_opened_leaves_it(dsn: str, shared: SharedRelease) -> None:
    """The load lock is free as soon as the process that opened the release ends."""
    server = scene.context(dsn).server
    with server.connect("prune league") as own:
        before = ledger.find(own, "league", shared.number)
        with pytest.raises(errors.StillOpen, match="release 2 was opened for parts a moment ago"):
            drop.drop_release(server, own, before)
    shared.part("teams", [(1, "Ajax")], key="all")


def test_release_that_cannot_be_finished_has_failed(live: Live, shared: SharedRelease, connection: Connection) -> None:
    """`finish` fails like a load whose rows break a key; an earlier refusal leaves the release open."""
    before = live.dump()
    shared.part("teams", [(1, "Ajax")], key="a")
    with pytest.raises(errors.BadRow):
        shared.part("teams", [("x", "Ajax")], key="b")
    with pytest.raises(errors.Refused, match="table teams lacks part b, c and has unexpected part a"):
        shared.finish(expect={"teams": ["b", "c"]})
    with pytest.raises(errors.Refused, match="the release has 1 part, 2 expected"):
        shared.finish(expect=2)
    shared.part("teams", [(1, "Ajax")], key="b")
    with pytest.raises(errors.BadRow, match="duplicate key in table teams"):
        shared.finish(expect={"teams": {"a", "b"}})
    assert scene.statuses(connection) == {1: "live", 2: "failed"}
    assert live.dump() == before
    scene.assert_whole(connection)
