"""PgBouncer by its admin console: which databases it pools, and pausing and resuming them."""

import contextlib
import select
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, LiteralString

import psycopg
from psycopg import conninfo, sql
from psycopg.rows import TupleRow

from bluegreen_etl import db, errors, model

_NOT_PAUSED = "is not paused"  # the console has one SQLSTATE for all that it refuses
_RESULTS = {psycopg.pq.ExecStatus.COMMAND_OK, psycopg.pq.ExecStatus.TUPLES_OK}


class Console(model.Record, frozen=True, kw_only=True):
    """Where a pooler is told what to do, and the databases of it that are paused; none says: all that lead to `target`.

    It holds a secret, the DSN: `place` is what people are shown.
    """

    dsn: str
    target: str
    databases: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Host and port."""
        given = conninfo.conninfo_to_dict(self.dsn)
        return f"{given.get('host', 'localhost')}:{given.get('port', 6432)}"


class Pooler:
    """One PgBouncer, with a connection for orders and one for each database that waits for its pause."""

    def __init__(self, console: Console) -> None:
        self.place = console.place
        self._console = console
        self._orders: db.Connection | None = None
        self._waiting: dict[str, db.Connection] = {}
        self.databases: tuple[str, ...] = ()

    def open(self) -> None:
        """Connect, and learn which databases there are.

        Raises:
            AlreadyPaused: one of them is.
            BadConsole: it cannot be reached, or the user may not look there.
        """
        known = {row["name"]: row for row in self._shown("DATABASES")}
        leading = tuple(name for name, row in known.items() if row["database"] == self._console.target)
        # A pooler for databases of any name knows only those that clients have asked for lately.
        self.databases = self._console.databases or leading or (self._console.target,)
        if paused := [name for name in self.databases if name in known and known[name]["paused"]]:
            raise errors.AlreadyPaused(
                f"PgBouncer at {self.place} has paused {', '.join(paused)} already: somebody else is at work, or a "
                "cut-over was killed together with its watchdog",
                hint=f'If nobody is, run there: RESUME "{paused[0]}";',
            )

    def backends(self) -> set[int]:
        """Return the pids of the server's sessions that the paused databases' clients take turns in."""
        return {int(row["remote_pid"]) for row in self._shown("SERVERS") if row["database"] in self.databases}

    def prepare(self) -> None:
        """Have a connection ready for each database, so that nobody waits for that."""
        for name in self.databases:
            if name not in self._waiting:
                self._waiting[name] = self._connected()

    def begin_pause(self) -> None:
        """Let clients wait from here on, those within a transaction after its end."""
        for name, connection in self._waiting.items():
            connection.pgconn.send_query(sql.SQL("PAUSE {}").format(sql.Identifier(name)).as_bytes())

    def is_paused(self, deadline: float) -> bool:
        """Wait until no client is within a transaction; False where one is at the deadline (of time.monotonic)."""
        for connection in self._waiting.values():
            pgconn = connection.pgconn
            while pgconn.is_busy():
                left = deadline - time.monotonic()
                if left <= 0 or not select.select([pgconn.socket], [], [], left)[0]:
                    return False
                pgconn.consume_input()
            while result := pgconn.get_result():
                if result.status not in _RESULTS:
                    raise self._refused(result.get_error_message())
        return True

    def resume(self) -> None:
        """Let clients go on; those of a database that is not paused do already."""
        for name in self.databases:
            with contextlib.suppress(_AlreadyDone):
                self._ordered(sql.SQL("RESUME {}").format(sql.Identifier(name)))
        self._forget_waiting()

    def close(self) -> None:
        """Close all connections."""
        self._forget_waiting()
        if self._orders is not None:
            self._orders.close()
            self._orders = None

    def _forget_waiting(self) -> None:
        """Close what may still wait for a pause that does not come any more."""
        for connection in self._waiting.values():
            connection.close()
        self._waiting.clear()

    def _shown(self, what: LiteralString) -> list[dict[str, Any]]:
        cursor = self._ordered(sql.SQL("SHOW {}").format(sql.SQL(what)))
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _ordered(self, order: sql.SQL | sql.Composed) -> psycopg.Cursor[TupleRow]:
        """Give an order; once more on another connection where the first one was lost."""
        if self._orders is None or self._orders.closed:
            self._orders = self._connected()
        try:
            # Without parameters psycopg takes the simple protocol, the only one that the console knows.
            return self._orders.execute(order)
        except psycopg.Error as error:
            said = str(error).strip()
            if _NOT_PAUSED in said:
                raise _AlreadyDone from error
            raise self._refused(said) from error

    def _connected(self) -> db.Connection:
        try:
            return db.Server(self._console.dsn, origin="promote.pgbouncer.consoles").open("cut-over")
        except errors.ServerFailed as error:
            raise self._refused(error.message) from error

    def _refused(self, said: str) -> errors.BadConsole:
        return errors.BadConsole(
            f"the admin console of PgBouncer at {self.place} does not obey: {said}",
            hint="Its DSN leads to the database pgbouncer, as a user of admin_users; --via locks goes without it.",
        )


class _AlreadyDone(Exception):
    """The database is not paused."""


@contextlib.contextmanager
def opened(consoles: Sequence[Console]) -> Iterator[list[Pooler]]:
    """Open the consoles, all of them before any is told to do something.

    Raises:
        AlreadyPaused, BadConsole: as Pooler.open.
    """
    poolers = [Pooler(console) for console in consoles]
    try:
        for pooler in poolers:
            pooler.open()
        yield poolers
    finally:
        for pooler in poolers:
            pooler.close()


def resume_all(poolers: Sequence[Pooler], say: Callable[[str], None]) -> bool:
    """Let all clients go on; say what went wrong with one, and go on with the others."""
    done = True
    for pooler in poolers:
        try:
            pooler.resume()
        except errors.BluegreenError as error:
            done = False
            say(error.message)
    return done
