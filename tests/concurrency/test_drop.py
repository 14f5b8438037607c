"""A release is dropped with its contents and nothing else, whatever other sessions do at that moment."""

from concurrent import futures
from pathlib import Path

import psycopg
from psycopg.rows import TupleRow

from bluegreen_etl.commands import prune
from tests.concurrency import scene

Connection = psycopg.Connection[TupleRow]
NAMED = (
    "schema league__r1 cannot be dropped: {} depends on it; HINT: Drop these dependents first, "
    "or re-create them on the live schema."
)


def test_what_begins_to_depend_on_a_release_that_is_being_dropped_is_spared(
    dsn: str, tmp_path: Path, connection: Connection
) -> None:
    """Functions and types cannot be locked: the second query finds a dependent created between query and DROP."""
    scene.generations(dsn, tmp_path, tables=2)
    surroundings = scene.context(dsn)
    scene.exchange(surroundings)
    with futures.ThreadPoolExecutor() as pool:
        with scene.holding(dsn, "SELECT FROM league__r1.t02"):
            pruning = pool.submit(prune.prune, surroundings, keep=0)
            # prune has run its first query, and has locked the first table
            scene.wait_until(lambda: scene.sessions(connection, scene.DROPPING))
            connection.execute("CREATE FUNCTION public.late(league__r1.t01) RETURNS int LANGUAGE sql AS 'SELECT 1'")
        refused = pruning.result(timeout=30).refused
    assert refused == {1: NAMED.format("function public.late(league__r1.t01)")}
    assert connection.execute("SELECT public.late(NULL)").fetchone() == (1,)
    scene.exchange(surroundings)
    scene.assert_whole(connection)
    connection.execute("DROP FUNCTION public.late")
    scene.exchange(surroundings)
    assert prune.prune(surroundings, keep=0).dropped == (1,)
    scene.assert_whole(connection)
