"""The time that readers are blocked does not grow with the data, and a thousand tables are swapped like one."""

import contextlib
import re
import statistics
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import TupleRow

from bluegreen_etl import errors, ledger, model
from bluegreen_etl.commands import promote, prune, rollback
from bluegreen_etl.cutover import preflight
from bluegreen_etl.model import Status
from bluegreen_etl.releases import retention
from tests.concurrency import scene

Connection = psycopg.Connection[TupleRow]
TABLES = 1000
RAISE = "Raise `max_locks_per_transaction` and restart the server."


def make_tables(connection: Connection, schema: str, tables: int = TABLES, defaults: int = 0) -> int:
    """Create a schema of many tiny tables, each with one row, and columns with defaults; return its OID."""
    added = ", ".join(f"ADD c{n} int DEFAULT 1" for n in range(defaults))
    change = f"; ALTER TABLE {schema}.t%1$s {added}" if added else ""
    connection.execute(f"CREATE SCHEMA {schema}")
    connection.execute(
        f"DO $$ BEGIN FOR n IN 1 .. {tables} LOOP "
        f"EXECUTE format('CREATE TABLE {schema}.t%1$s AS SELECT 1 AS gen{change}', n); END LOOP; END $$"
    )
    row = connection.execute("SELECT %s::regnamespace::oid::bigint", (schema,)).fetchone()
    assert row
    return int(row[0])


@contextlib.contextmanager
def little_room(dsn: str) -> Iterator[None]:
    """Fill the server's lock table while the body runs: there is room for other commands, not for many tables."""
    with psycopg.connect(dsn, autocommit=True) as greedy:
        # Session-level locks survive the error. A statement of its own could not unlock: planning it takes locks.
        greedy.execute("""
            DO $$ DECLARE n bigint := 0; BEGIN
                LOOP n := n + 1; PERFORM pg_advisory_lock(n); END LOOP;
            EXCEPTION WHEN out_of_memory THEN
                FOR m IN 1 .. 500 LOOP PERFORM pg_advisory_unlock(m); END LOOP;
            END $$
        """)
        yield


def releases(connection: Connection, tables: int = TABLES, defaults: int = 0) -> None:
    """Create two releases of such tables: 1 is live, 2 is ready."""
    ledger.ensure(connection)
    live = ledger.adopt(connection, "league", schema_oid=make_tables(connection, "league", tables, defaults))
    release = ledger.open_release(connection, "league", base_oid=live.schema_oid)
    preflight.remember_definition(connection, release, carried=())
    oid = make_tables(connection, release.shadow_schema, tables, defaults)
    release = ledger.set_structure(connection, release, schema_oid=oid, structure=model.StructureFrom.LIVE)
    ledger.advance(connection, release, Status.READY)


@pytest.fixture
def many(connection: Connection) -> Connection:
    """Two releases of 1,000 tables."""
    releases(connection)
    return connection


def test_a_thousand_tables_are_swapped_in_one_go(dsn: str, many: Connection) -> None:
    """Promote and rollback lock all tables and block readers for less than a second."""
    promoted = promote.promote(scene.context(dsn))
    assert promoted.cutover is not None
    assert promoted.cutover.held is not None
    assert promoted.cutover.held < 1
    scene.assert_whole(many)
    rollback.rollback(scene.context(dsn))
    scene.assert_whole(many)
    assert scene.statuses(many) == {1: "live", 2: "previous"}


def test_lock_table_without_room_is_a_sentence_with_a_hint(dsn: str, many: Connection) -> None:
    """The server's lock table is full: promote tries no lock, and the error names the setting."""
    with little_room(dsn), pytest.raises(errors.LockTableFull) as caught:
        promote.promote(scene.context(dsn, max_wait=1))
    assert f"the cut-over locks {TABLES} relations at once" in caught.value.message
    assert caught.value.hint == RAISE
    assert scene.statuses(many) == {1: "live", 2: "ready"}
    scene.assert_whole(many)


def test_release_for_whose_locks_there_is_no_room_stays_whole(dsn: str, many: Connection) -> None:
    """DROP also locks each type: prune checks the room first, and recognises the server's error."""
    promote.promote(scene.context(dsn))
    with little_room(dsn):
        refused = prune.prune(scene.context(dsn), keep=0).refused
    assert re.fullmatch(
        f"dropping schema league__r1 locks {3 * TABLES + 1} objects at once; the server has room for [0-9]+ more; "
        f"HINT: {RAISE}",
        refused[1],
    )
    with contextlib.ExitStack() as later, futures.ThreadPoolExecutor() as pool:
        with scene.holding(dsn, "LOCK TABLE league__r1.t1000"):  # the room is taken after prune has checked
            pruning = pool.submit(prune.prune, scene.context(dsn), keep=0)
            scene.wait_until(lambda: scene.sessions(many, scene.DROPPING))
            later.enter_context(little_room(dsn))
        refused = pruning.result(timeout=30).refused
    assert refused[1].endswith(f"; HINT: {RAISE}")
    rollback.rollback(scene.context(dsn))
    scene.assert_whole(many)


def test_readers_are_blocked_as_briefly_for_much_data_as_for_little(
    dsn: str, tmp_path: Path, connection: Connection
) -> None:
    """Readers are blocked for the same few milliseconds with 500,000 rows as with one row."""

    def median() -> float:
        cutovers = [scene.exchange(scene.context(dsn)) for _ in range(10)]
        return statistics.median(cutover.held for cutover in cutovers if cutover.held is not None)

    scene.generations(dsn, tmp_path, tables=5)
    little = median()
    connection.execute("INSERT INTO league.t01 SELECT n, 1 FROM generate_series(2, 500000) AS n")
    connection.execute("INSERT INTO league__r2.t01 SELECT n, 2 FROM generate_series(2, 500000) AS n")
    much = median()
    assert much < 3 * little + 0.02


def test_release_for_whose_locks_there_never_is_room_goes_table_by_table(
    dsn: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The release is whole, and rollback works, until its first table is dropped; the next prune continues."""
    monkeypatch.setattr(retention, "_MAX_WAIT", 0)
    releases(connection, tables=40, defaults=200)
    promote.promote(scene.context(dsn))
    connection.execute("CREATE FUNCTION public.late(league__r1.t9) RETURNS int LANGUAGE sql AS 'SELECT 1'")
    refused = prune.prune(scene.context(dsn), keep=0).refused
    assert "function public.late(league__r1.t9) depends on it" in refused[1]
    assert scene.statuses(connection) == {1: "previous", 2: "live"}
    connection.execute("DROP FUNCTION public.late")
    with scene.holding(dsn, "SELECT FROM league__r1.t9"):  # the last one by name
        refused = prune.prune(scene.context(dsn), keep=0).refused
    assert "is in use" in refused[1]
    assert scene.statuses(connection) == {1: "failed", 2: "live"}
    left = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'league__r1'").fetchone()
    assert left
    assert 0 < left[0] < 40
    assert prune.prune(scene.context(dsn), keep=0).dropped == (1,)
    assert scene.statuses(connection) == {1: "pruned", 2: "live"}
    scene.assert_whole(connection)
