"""How long readers are held does not grow with the data, and a thousand tables are swapped like one."""

import contextlib
import re
import statistics
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import TupleRow

from bluegreen_etl import errors, ledger, model, workflow
from bluegreen_etl.cutover import changes
from bluegreen_etl.model import Status
from tests.concurrency import scene

Connection = psycopg.Connection[TupleRow]
TABLES = 1000
RAISE = "Raise max_locks_per_transaction and restart the server."


def make_tables(connection: Connection, schema: str) -> int:
    """Make a schema of many tiny tables, each with one row; return its OID."""
    connection.execute(f"CREATE SCHEMA {schema}")
    connection.execute(
        f"DO $$ BEGIN FOR n IN 1 .. {TABLES} LOOP "
        f"EXECUTE format('CREATE TABLE {schema}.t%s AS SELECT 1 AS gen', n); END LOOP; END $$"
    )
    row = connection.execute("SELECT %s::regnamespace::oid::bigint", (schema,)).fetchone()
    assert row
    return int(row[0])


@contextlib.contextmanager
def little_room(dsn: str) -> Iterator[None]:
    """Fill the server's lock table while the body runs: there is room for whatever else runs, not for many tables."""
    with psycopg.connect(dsn, autocommit=True) as greedy:
        with pytest.raises(psycopg.errors.OutOfMemory):
            # In a select list, so that it is no table of ten million rows first.
            greedy.execute("SELECT count(pg_advisory_lock(n)) FROM (SELECT generate_series(1, 10000000)) AS g(n)")
        greedy.execute("SELECT count(pg_advisory_unlock(n)) FROM generate_series(1, 500) AS n")
        yield


@pytest.fixture
def many(connection: Connection) -> Connection:
    """Two releases of 1,000 tables: 1 is live, 2 is ready."""
    ledger.ensure(connection)
    live = ledger.adopt(connection, "league", schema_oid=make_tables(connection, "league"))
    release = ledger.open_release(connection, "league", base_oid=live.schema_oid)
    changes.remember(connection, release, carried=())
    oid = make_tables(connection, release.shadow_schema)
    release = ledger.set_structure(connection, release, schema_oid=oid, structure=model.StructureFrom.LIVE)
    ledger.advance(connection, release, Status.READY)
    return connection


def test_a_thousand_tables_are_swapped_in_one_go(dsn: str, many: Connection) -> None:
    """Forward and back, with all of them locked; readers are held for well under a second."""
    promoted = workflow.promote(scene.context(dsn))
    assert promoted.cutover is not None
    assert promoted.cutover.held is not None
    assert promoted.cutover.held < 1
    scene.assert_whole(many)
    workflow.rollback(scene.context(dsn))
    scene.assert_whole(many)
    assert scene.statuses(many) == {1: "live", 2: "previous"}


def test_lock_table_without_room_is_a_sentence_with_a_hint(dsn: str, many: Connection) -> None:
    """Somebody fills the server's lock table: no lock is tried, and the error names the setting."""
    with little_room(dsn), pytest.raises(errors.LockTableFull) as caught:
        workflow.promote(scene.context(dsn, max_wait=1))
    assert f"the cut-over locks {TABLES} relations at once" in caught.value.message
    assert caught.value.hint == RAISE
    assert scene.statuses(many) == {1: "live", 2: "ready"}
    scene.assert_whole(many)


def test_release_for_whose_locks_there_is_no_room_stays_whole(dsn: str, many: Connection) -> None:
    """DROP wants a lock for each type as well: prune looks beforehand, and knows the server's refusal."""
    workflow.promote(scene.context(dsn))
    with little_room(dsn):
        refused = workflow.prune(scene.context(dsn), keep=0).refused
    assert re.fullmatch(
        f"dropping schema league__r1 locks {3 * TABLES + 1} objects at once; the server has room for [0-9]+ more; "
        f"HINT: {RAISE}",
        refused[1],
    )
    with contextlib.ExitStack() as later, futures.ThreadPoolExecutor() as pool:
        with scene.holding(dsn, "LOCK TABLE league__r1.t1000"):  # somebody takes the room after prune has looked
            pruning = pool.submit(workflow.prune, scene.context(dsn), keep=0)
            scene.wait_until(lambda: scene.sessions(many, "wait_event_type = 'Lock'"))
            later.enter_context(little_room(dsn))
        refused = pruning.result(timeout=30).refused
    assert refused[1].endswith(f"; HINT: {RAISE}")
    workflow.rollback(scene.context(dsn))
    scene.assert_whole(many)


def test_readers_are_held_as_briefly_for_much_data_as_for_little(
    dsn: str, tmp_path: Path, connection: Connection
) -> None:
    """A release of 500,000 rows beside one of a single row: the stall stays in the same milliseconds."""

    def median() -> float:
        cutovers = [scene.exchange(scene.context(dsn)) for _ in range(10)]
        return statistics.median(cutover.held for cutover in cutovers if cutover.held is not None)

    scene.generations(dsn, tmp_path, tables=5)
    little = median()
    connection.execute("INSERT INTO league.t01 SELECT n, 1 FROM generate_series(2, 500000) AS n")
    connection.execute("INSERT INTO league__r2.t01 SELECT n, 2 FROM generate_series(2, 500000) AS n")
    much = median()
    assert much < 3 * little + 0.02
