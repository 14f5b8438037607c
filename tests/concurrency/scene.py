"""Helpers for this ring: bluegreen as a library, two distinguishable releases, and the invariants."""

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psycopg
import pytest
from psycopg.rows import TupleRow

from bluegreen_etl import activity, config, db, ledger, model
from bluegreen_etl.commands import load, promote_plan
from bluegreen_etl.cutover import matviews, steps, swap
from bluegreen_etl.cutover.locks import Locks
from bluegreen_etl.cutover.plan import Plan
from bluegreen_etl.cutover.strategy import Patience
from bluegreen_etl.model import Direction, Status
from bluegreen_etl.releases.context import Context

Connection = psycopg.Connection[TupleRow]
# Sessions that try to lock what a transaction holds; they poll where it lasts, and wait where it may end soon.
SWAPPING = "application_name ~ '^bluegreen (promote|rollback) .* r[0-9]+$' AND query LIKE 'BEGIN ISOLATION%'"
DROPPING = "application_name ~ '^bluegreen (prune|promote)' AND query ~ '^(LOCK TABLE|ROLLBACK TO|RELEASE)'"


class Listener:
    """A watcher that records every line."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        """Record a line."""
        self.said.append(text)

    def stage(self, name: str, *, total: int = 0) -> None:
        """Record a stage."""
        self.said.append(f"{name} {total}")

    def copied(self, table: str, size: int) -> None:
        """Ignore the progress of a copy."""

    def confirm(self, question: str, answer: str) -> bool:
        """Answer no, as without a terminal."""
        return bool(question and not answer)


def context(
    dsn: str,
    *,
    max_wait: float = 30,
    cancel_blockers: float | None = None,
    keep: int = 5,
    jobs: int = 2,
    publications: str = "refuse",
    listener: Listener | None = None,
) -> Context:
    """Return the context of a command on the schema `league`."""
    flags = {
        "schema": "league",
        "dsn": dsn,
        "load": {"jobs": jobs},
        "promote": {"max_wait": max_wait, "cancel_blockers": cancel_blockers, "publications": publications},
        "retention": {"keep": keep},
    }
    return Context(config.resolve(flags, environ={}), listener or Listener())


def joined(tables: int) -> str:
    """Return a SELECT of one row: the generation of each of the first `tables` tables."""
    names = [f"t{number:02}" for number in range(1, tables + 1)]
    first, *rest = names
    joins = " ".join(f"CROSS JOIN league.{name}" for name in rest)
    return f"SELECT ARRAY[{', '.join(f'{name}.gen' for name in names)}] FROM league.{first} {joins}"  # noqa: S608 - names of our own


def generations(dsn: str, directory: Path, *, tables: int) -> None:
    """Create live with generation 1 in tables t01, t02 …, and load release 2 with generation 2.

    The view `everything` is inside; the function public.read_league reads by name from outside.
    """
    numbers = range(1, tables + 1)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA league")
        for number in numbers:
            connection.execute(f"CREATE TABLE league.t{number:02} (id int PRIMARY KEY, gen int NOT NULL)")
            connection.execute(f"INSERT INTO league.t{number:02} VALUES (1, 1)")  # noqa: S608 - names of our own
        connection.execute(f"CREATE VIEW league.everything(gens) AS {joined(tables)}")
        connection.execute(
            "CREATE FUNCTION public.read_league() RETURNS int[] LANGUAGE plpgsql AS "
            f"$$ BEGIN RETURN ({joined(tables)}); END $$"
        )
        connection.execute("SELECT pg_stat_force_next_flush()")
    directory.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (directory / f"t{number:02}.csv").write_text("id,gen\n1,2\n")
    load.load(context(dsn), [str(directory)])


def exchange_plan(surroundings: Context) -> Plan:
    """Plan the swap to release 2 if 1 is live, and to 1 if 2 is live."""
    with surroundings.server.connect("exchange") as connection:
        outgoing = ledger.live_release(connection, "league")
        live = outgoing.number if outgoing else 1
        incoming = ledger.find(connection, "league", 3 - live)
        direction = Direction.PROMOTE if incoming.number > live else Direction.ROLLBACK
        return promote_plan.make_plan(connection, direction, incoming, outgoing, surroundings.settings.promote)


def exchanges(surroundings: Context) -> Iterator[Plan]:
    """Yield plans of swaps without end; reuse them as soon as both releases have been live."""
    yield exchange_plan(surroundings)
    there_and_back = []
    for _ in range(2):
        there_and_back.append(exchange_plan(surroundings))
        yield there_and_back[-1]
    yield from itertools.cycle(there_and_back)


def exchange(surroundings: Context) -> model.Cutover:
    """Swap to release 2 if 1 is live, and to 1 if 2 is live."""
    return carry_out(surroundings, exchange_plan(surroundings))


def unlocked(plan: Plan) -> Plan:
    """Return the plan without its locks, which nothing in the product can do."""
    return msgspec.structs.replace(plan, relations=())


def carry_out(surroundings: Context, plan: Plan) -> model.Cutover:
    """Execute a swap."""
    way = Locks(plan, Patience(surroundings.settings.promote.max_wait), surroundings.watcher.say)
    say = surroundings.watcher.say
    with matviews.built(surroundings.server, plan.incoming, plan.outgoing, plan.dependents.rebuilt, say):
        return swap.run(surroundings.server, plan, way, say=say)


def live_generation(connection: Connection) -> int:
    """Return the generation that readers see now."""
    row = connection.execute("SELECT gen FROM league.t01").fetchone()
    assert row
    return int(row[0])


def statuses(connection: Connection) -> dict[int, str]:
    """Return the status of each release of league from the ledger."""
    return {release.number: str(release.status) for release in ledger.releases(connection, "league")}


def assert_whole(connection: Connection) -> None:
    """Assert that ledger and schemas agree: one live release, each kept one under its name, no unknown schema."""
    rows = connection.execute(
        "SELECT nspname, oid::bigint FROM pg_namespace WHERE nspname ~ '^(league|bluegreen__parked)'"
    ).fetchall()
    found: dict[str, int] = dict(rows)
    releases = ledger.releases(connection, "league")
    assert [r.schema_oid for r in releases if r.status is Status.LIVE] == [found.pop("league")]
    for release in releases:
        if release.status in {Status.READY, Status.PREVIOUS}:
            assert found.pop(release.shadow_schema) == release.schema_oid
    assert found == {}


def wait_until(condition: Callable[[], object], *, seconds: float = 15) -> None:
    """Wait until a condition is true; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def wait_for_lasting_holders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let swaps of this process wait for the locks of transactions that last, as they do for short ones."""
    monkeypatch.setattr(activity.LastingHolders, "found", lambda _self, _connection: False)
    monkeypatch.setattr(steps, "LASTING", 3600.0)


def sessions(connection: Connection, where: str) -> list[int]:
    """Return the pids of this database's other sessions that meet a condition on pg_stat_activity."""
    rows = connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "  # noqa: S608 - the tests' own text
        f"AND ({where})"
    )
    return [row[0] for row in rows]


def terminate(connection: Connection, pid: int) -> bool:
    """Terminate a session and wait until it has ended; False if it had ended before."""
    row = connection.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,)).fetchone()
    return bool(row and row[0])


@contextlib.contextmanager
def holding(dsn: str, statement: str, *, application: str = "holder") -> Iterator[Connection]:
    """Run a statement and keep its transaction open until the body or the server ends."""
    connection = psycopg.connect(dsn, application_name=application)
    try:
        connection.execute(statement)
        yield connection
    finally:
        connection.close()


def is_busy(connection: Connection, kind: str) -> bool:
    """Return whether a session holds bluegreen's advisory lock of a kind (load, cutover) on league."""
    return db.is_locked(connection, kind, "league")


class Reader(threading.Thread):
    """Read one table in a closed loop until `end`, and record the longest wait."""

    def __init__(self, dsn: str, query: str) -> None:
        super().__init__(daemon=True)
        self._dsn = dsn
        self._query = query
        self._stop_reading = threading.Event()
        self.worst = 0.0
        self.reads = 0

    def run(self) -> None:
        """Read until `end`."""
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            while not self._stop_reading.wait(0.002):
                begun = time.monotonic()
                connection.execute(self._query)
                self.worst = max(self.worst, time.monotonic() - begun)
                self.reads += 1

    def end(self) -> None:
        """Stop reading."""
        self._stop_reading.set()
        self.join(timeout=30)
