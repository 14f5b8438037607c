"""The locks that each command takes outside of its own release: all are known, and none is held for long.

Weaker modes than these block no reader and no writer of rows.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
_WATCH = """
    SELECT n.nspname || '.' || c.relname, l.mode, l.pid, l.virtualtransaction
    FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_stat_activity AS a ON a.pid = l.pid
    WHERE l.granted AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
      AND a.datname = current_database() AND a.application_name ~ '^(bluegreen|pg_dump|pg_restore)'
      AND c.relkind NOT IN ('i', 'I', 't') AND n.nspname !~ '^(league__r|bluegreen|pg_)'
      AND c.relname !~ '^bluegreen (incoming|outgoing) [0-9]+$'
"""
LONGEST = 0.5  # seconds that a lock which blocks readers may be held; a busy machine needs some
KEY = "a key to this table is added: blocks its writers, in a transaction of its own"
DROPPED = "a key to this table is dropped: blocks its readers, in a transaction of its own"
SWAP = "the swap"
FOLLOWS = "the swap re-creates it"
# What each command may hold, by relation and mode, and why.
KNOWN = {
    ("load", "public.users", "ShareRowExclusiveLock"): KEY,
    ("load", "public.users", "AccessExclusiveLock"): DROPPED,
    ("run", "public.users", "ShareRowExclusiveLock"): KEY,
    ("run", "public.users", "AccessExclusiveLock"): DROPPED,
    ("prune", "public.users", "AccessExclusiveLock"): DROPPED,
    ("abort", "public.users", "AccessExclusiveLock"): DROPPED,
    **{
        (command, relation, "AccessExclusiveLock"): SWAP if relation.startswith("league.") else FOLLOWS
        for command in ("promote", "rollback")
        for relation in (
            *("league.teams", "league.players", "league.squads", "league.players_id_seq"),
            *("app.names", "app.visits", "app.sizes"),
        )
    },
    **{
        (command, relation, mode): FOLLOWS
        for command in ("promote", "rollback")
        for relation in ("app.names", "app.visits", "league.teams")
        for mode in ("ShareRowExclusiveLock", "ShareLock", "ExclusiveLock")
    },
    ("promote", "public.users", "AccessExclusiveLock"): DROPPED + ", by its prune",
}


class Watcher(threading.Thread):
    """Looks for locks of bluegreen's sessions without a pause; `held` has the longest time of each in seconds."""

    def __init__(self, dsn: str) -> None:
        super().__init__()
        self._connection = psycopg.connect(dsn, autocommit=True, application_name="watcher")
        self._ending = threading.Event()
        self.held: dict[tuple[str, str], float] = {}

    def run(self) -> None:
        """Look until `end`."""
        since: dict[tuple[object, ...], float] = {}
        while not self._ending.is_set():
            now = time.monotonic()
            rows = self._connection.execute(_WATCH).fetchall()
            since = {row: since.get(row, now) for row in rows}
            for row, begun in since.items():
                key = (str(row[0]), str(row[1]))
                self.held[key] = max(self.held.get(key, 0.0), now - begun)
            time.sleep(0.001)

    def end(self) -> None:
        """Stop looking."""
        self._ending.set()
        self.join(timeout=20)
        self._connection.close()


@contextmanager
def watched(dsn: str) -> Iterator[Watcher]:
    """Watch the locks while the body runs."""
    watcher = Watcher(dsn)
    watcher.start()
    try:
        yield watcher
    finally:
        watcher.end()


@pytest.fixture
def surrounded(bluegreen: Bluegreen, live: Live, connection: Connection) -> Bluegreen:
    """Live with a key to an outside table, and with dependents of each kind."""
    connection.execute("""
        CREATE TABLE public.users (id int PRIMARY KEY);
        ALTER TABLE league.teams ADD owner int CONSTRAINT owned REFERENCES public.users;
        CREATE SCHEMA app; CREATE VIEW app.names AS SELECT name FROM league.teams;
        CREATE TABLE app.visits (team int REFERENCES league.teams);
        CREATE MATERIALIZED VIEW app.sizes AS SELECT count(*) FROM league.players;
        SELECT pg_stat_force_next_flush();
    """)
    bluegreen.write("bluegreen.toml", '[promote]\nmaterialized_views = "rebuild"\n[retention]\nkeep = 1\n')
    bluegreen.write_league()
    return bluegreen


def test_every_lock_outside_the_release_is_known(surrounded: Bluegreen, dsn: str) -> None:
    """All commands that change something, one after the other; those that only read take none."""
    commands = [
        ("load", "data"), ("promote",), ("rollback",), ("load", "data"), ("promote",), ("load", "data"), ("promote",),
        ("check", "live"), ("diff",), ("doctor",), ("status",), ("open",), ("abort", "5"),
        ("run", "--", "psql", "-q", "-c", "INSERT INTO teams VALUES (1, 'a'), (2, 'b')",
         "-c", "INSERT INTO players (team_id, name) VALUES (1, 'a'), (1, 'b'), (2, 'c')"),
        ("prune", "--keep", "0"),
    ]  # fmt: skip
    unknown, long = [], []
    for command in commands:
        with watched(dsn) as watcher:
            surrounded(*command)
        for (relation, mode), seconds in watcher.held.items():
            if (command[0], relation, mode) not in KNOWN:
                unknown.append((command[0], relation, mode))
            elif mode == "AccessExclusiveLock" and seconds > LONGEST:
                long.append((command[0], relation, mode, seconds))
    assert unknown == []
    assert long == []
