"""Readers in a closed loop, each in its own process, while the test swaps the schemas."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext
from multiprocessing.queues import Queue

import psycopg
from psycopg.rows import TupleRow

from bluegreen_etl import model
from tests import warm
from tests.concurrency.scene import joined

Connection = psycopg.Connection[TupleRow]
Answers = list[list[int]]
_START = 60  # seconds until all readers must be reading


class Tally(model.Record, frozen=True, kw_only=True):
    """The results of one reader; `worst` is its longest wait for one answer, in seconds."""

    style: str
    reads: int
    mixed: int
    empty: int
    errors: tuple[str, ...]
    worst: float


class Signals:
    """Signals between the readers and the test."""

    def __init__(self, forking: ForkServerContext) -> None:
        self.ready = forking.Semaphore(0)
        self.mixed = forking.Event()
        self.stop = forking.Event()


class Storm:
    """Running readers; `tallies` is filled when they have ended."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self.tallies: list[Tally] = []

    @property
    def seen_mixed(self) -> bool:
        """Whether a reader has seen two releases in one answer so far."""
        return self._signals.mixed.is_set()

    def total(self, field: str) -> int:
        """Return the sum of a field over all readers."""
        counts = [getattr(tally, field) for tally in self.tallies]
        return sum(len(count) if isinstance(count, tuple) else count for count in counts)

    @property
    def damage(self) -> tuple[int, int, int]:
        """Reads that mixed two releases, reads that found nothing, errors."""
        return self.total("mixed"), self.total("empty"), self.total("errors")


@contextmanager
def readers(dsn: str, styles: Mapping[str, int], *, tables: int, pooled: bool = False) -> Iterator[Storm]:
    """Run readers while the body runs; `styles` gives the number of readers per style.

    `pooled`: the readers connect through a pooler that does not support prepared statements.
    """
    forking = warm.CONTEXT  # a reader that imports all of this itself would cost half a second of CPU time
    signals, results = Signals(forking), forking.Queue()
    names = [name for name, count in styles.items() for _ in range(count)]
    processes = [
        forking.Process(target=_read_on, args=(dsn, name, tables, pooled, signals, results), daemon=True)
        for name in names
    ]
    for process in processes:
        process.start()
    storm = Storm(signals)
    try:
        for _ in processes:
            assert signals.ready.acquire(timeout=_START), "the readers did not start"
        yield storm
    finally:
        signals.stop.set()
        storm.tallies += [results.get(timeout=30) for _ in processes]
        for process in processes:
            process.join(timeout=30)


def _read_on(dsn: str, style: str, tables: int, pooled: bool, signals: Signals, results: "Queue[Tally]") -> None:
    reads = mixed = empty = 0
    worst = 0.0
    errors: list[str] = []
    with psycopg.connect(dsn, autocommit=True, application_name=f"reader {style}") as connection:
        if pooled:
            connection.prepare_threshold = None
        # Planning 20 tables in every join order, or compiling the statement, would take longer than the read.
        connection.execute("SET join_collapse_limit = 1")
        connection.execute("SET jit = off")
        read = STYLES[style]
        read(connection, tables)
        signals.ready.release()
        while not signals.stop.is_set():
            begun = time.perf_counter()
            try:
                answers = read(connection, tables)
            except psycopg.Error as error:
                errors.append(f"{error.sqlstate}: {error}")
                continue
            worst = max(worst, time.perf_counter() - begun)
            reads += len(answers)
            mixed += sum(len(set(answer)) > 1 for answer in answers)
            empty += sum(not answer for answer in answers)
            if mixed:
                signals.mixed.set()
    results.put(Tally(style=style, reads=reads, mixed=mixed, empty=empty, errors=tuple(errors), worst=worst))


def _flat(rows: list[TupleRow]) -> list[int]:
    """Return all generations in an answer, from plain numbers and from arrays."""
    return [gen for row in rows for value in row for gen in (value if isinstance(value, list) else [value])]


def _plain(connection: Connection, tables: int) -> Answers:
    return [_flat(connection.execute(joined(tables), prepare=False).fetchall())]


def _prepared(connection: Connection, tables: int) -> Answers:
    return [_flat(connection.execute(joined(tables), prepare=True).fetchall())]


def _pipelined(connection: Connection, tables: int) -> Answers:
    with connection.pipeline():
        cursors = [connection.execute(joined(tables)) for _ in range(3)]
    return [_flat(cursor.fetchall()) for cursor in cursors]


def _view(connection: Connection, tables: int) -> Answers:
    query = f"SELECT v.gens, x.gen FROM league.everything AS v, league.t{tables:02} AS x"  # noqa: S608 - a name of our own
    return [_flat(connection.execute(query).fetchall())]


def _outside(connection: Connection, tables: int) -> Answers:
    """Read a view on a view and a materialized view of another schema, and a table of live itself."""
    query = (
        "SELECT v.gens, m.gens, x.gen FROM outside.again AS v, outside.kept AS m, "  # noqa: S608 - a name of our own
        f"league.t{tables:02} AS x"
    )
    return [_flat(connection.execute(query).fetchall())]


def _function(connection: Connection, _tables: int) -> Answers:
    return [_flat(connection.execute("SELECT public.read_league()").fetchall())]


def _transaction(connection: Connection, tables: int) -> Answers:
    """Run two statements at READ COMMITTED: what the transaction has read stays live until it ends."""
    with connection.transaction():
        both = [_flat(connection.execute(joined(tables)).fetchall()) for _ in range(2)]
    return [both[0] + both[1] if all(both) else []]


def _snapshot(connection: Connection, tables: int) -> Answers:
    """Run two statements at REPEATABLE READ, with an older snapshot: a swap may happen in between."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        connection.execute("SELECT FROM pg_class LIMIT 1")
        time.sleep(0.005)
        both = [_flat(connection.execute(joined(tables)).fetchall()) for _ in range(2)]
    return [both[0] + both[1] if all(both) else []]


def _writer(connection: Connection, tables: int) -> Answers:
    """Write to the first table and to the last one in one transaction."""
    with connection.transaction():
        written = [
            connection.execute(f"UPDATE league.t{number:02} SET gen = gen RETURNING gen").fetchall()  # noqa: S608 - our own
            for number in (1, tables)
        ]
    return [_flat([row for rows in written for row in rows]) if all(written) else []]


def _reverse(connection: Connection, tables: int) -> Answers:
    """Read the tables one by one in one transaction, the last table first."""
    with connection.transaction():
        names = [f"t{number:02}" for number in range(tables, 0, -1)]
        rows = [connection.execute(f"SELECT gen FROM league.{name}").fetchall() for name in names]  # noqa: S608 - our own
    return [_flat([row for found in rows for row in found]) if all(rows) else []]


STYLES: dict[str, Callable[[Connection, int], Answers]] = {
    "plain": _plain,
    "prepared": _prepared,
    "pipelined": _pipelined,
    "view": _view,
    "function": _function,
    "transaction": _transaction,
    "snapshot": _snapshot,
    "writer": _writer,
    "reverse": _reverse,
    "outside": _outside,
}
# Styles with one lock order: readers with conflicting orders leave a swap only idle moments.
IN_ORDER = tuple(style for style in STYLES if style not in {"reverse", "outside"})
