"""Maintenance of live during cut-overs: what does not change live does not count, the rest is looked at again."""

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.rows import TupleRow

from bluegreen_etl import errors
from bluegreen_etl.commands import promote, promote_plan, rollback
from bluegreen_etl.cutover.plan import Plan
from tests.concurrency import scene
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
WORK = """
VACUUM FULL league.teams
CLUSTER league.players USING players_pkey
REINDEX TABLE CONCURRENTLY league.players
CREATE INDEX CONCURRENTLY passing ON league.players (name)
DROP INDEX CONCURRENTLY league.passing
ANALYZE league.teams
""".strip().splitlines()
CUTOVERS = 4


class Maintenance(threading.Thread):
    """Each kind of maintenance in turn, until `end`."""

    def __init__(self, dsn: str) -> None:
        super().__init__()
        self._connection = psycopg.connect(dsn, autocommit=True, application_name="maintenance")
        self._ending = threading.Event()
        self.done = 0

    def run(self) -> None:
        """Work until `end`; a swap may take the table away between two statements."""
        while not self._ending.is_set():
            for statement in WORK:
                try:
                    self._connection.execute(statement.encode())
                    self.done += 1
                except psycopg.Error:
                    continue
                time.sleep(0.05)

    def end(self) -> None:
        """Stop after the present round."""
        self._ending.set()
        self.join(timeout=60)
        self._connection.close()


@pytest.fixture
def maintenance(dsn: str) -> Iterator[Maintenance]:
    """Maintenance that runs until the test ends."""
    thread = Maintenance(dsn)
    yield thread
    thread.end()


def test_cut_overs_succeed_beside_maintenance(
    bluegreen: Bluegreen, live: Live, connection: Connection, maintenance: Maintenance
) -> None:
    """With a materialized view outside: every rollback succeeds, and no exit code wants a person."""
    connection.execute("CREATE SCHEMA app; CREATE MATERIALIZED VIEW app.sizes AS SELECT count(*) FROM league.players")
    bluegreen.write("bluegreen.toml", '[promote]\nmaterialized_views = "rebuild"\nmax_wait = 30\n')
    bluegreen.write_league()
    bluegreen("load", "data", "--promote")
    maintenance.start()
    for number in range(CUTOVERS):
        bluegreen("rollback", "--to", "12"[number % 2])
    assert maintenance.done > len(WORK)
    scene.assert_whole(connection)


def test_change_between_look_and_swap_is_looked_at_again(
    dsn: str, bluegreen: Bluegreen, live: Live, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view that is created meanwhile is found by the second look, and follows."""
    bluegreen.write_league()
    bluegreen("load", "data")
    connection.execute("CREATE SCHEMA app")
    make_plan, plans = promote_plan.make_plan, 0

    def then_changed(*arguments: object) -> Plan:
        nonlocal plans
        plans += 1
        plan = make_plan(*arguments)  # type: ignore[arg-type]
        if plans == 1:
            connection.execute("CREATE VIEW app.names AS SELECT name FROM league.teams")
        return plan

    monkeypatch.setattr(promote_plan, "make_plan", then_changed)
    listener = scene.Listener()
    promote.promote(scene.context(dsn, listener=listener))
    assert plans == 2
    assert "live, or what depends on it, was changed meanwhile: live is unchanged; looking again" in listener.said
    assert connection.execute("SELECT count(*) FROM app.names").fetchone() == (2,)
    scene.assert_whole(connection)


def test_change_that_goes_on_ends_in_a_conflict(
    dsn: str, bluegreen: Bluegreen, live: Live, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 5 once `max_wait` is over: each look is followed by another change."""
    bluegreen.write_league()
    bluegreen("load", "data", "--promote")
    make_plan, plans = promote_plan.make_plan, 0

    def then_changed(*arguments: object) -> Plan:
        nonlocal plans
        plans += 1
        plan = make_plan(*arguments)  # type: ignore[arg-type]
        connection.execute(f"COMMENT ON TABLE league.teams IS 'change {plans}'".encode())
        return plan

    monkeypatch.setattr(promote_plan, "make_plan", then_changed)
    begun = time.monotonic()
    with pytest.raises(errors.ChangedDuringSwap):
        rollback.rollback(scene.context(dsn, max_wait=1))
    assert plans > 1
    assert time.monotonic() - begun < 10
    scene.assert_whole(connection)
