"""PgBouncer's admin console: list the databases that it pools, pause and resume them."""

import contextlib
import select
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, LiteralString

import psycopg
from psycopg import conninfo, sql
from psycopg.rows import DictRow, dict_row

from bluegreen_etl import db, errors, model

_NOT_PAUSED = "is not paused"  # the console has one SQLSTATE for all that it refuses
_RESULTS = {psycopg.pq.ExecStatus.COMMAND_OK, psycopg.pq.ExecStatus.TUPLES_OK}


class Console(model.Record, frozen=True, kw_only=True):
    """The admin console of a pooler, and which of its databases to pause.

    Args:
        dsn: a secret; messages show `place`.
        target: the server's database.
        databases: the pooler's databases; empty: all that connect to `target`.
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
    """One PgBouncer: a connection for commands, and one for each database that waits for its PAUSE."""

    def __init__(self, console: Console) -> None:
        self.place = console.place
        self._console = console
        self._commands: db.Connection | None = None
        self._waiting: dict[str, db.Connection] = {}
        self.databases: tuple[str, ...] = ()

    def open(self) -> None:
        """Connect, and find the databases to pause.

        Raises:
            AlreadyPaused: one of them is paused.
            BadConsole: the console cannot be reached, or the user may not use it.
        """
        known = {row["name"]: row for row in self._shown("DATABASES")}
        leading = tuple(name for name, row in known.items() if row["database"] == self._console.target)
        # A pooler for databases of any name lists only those that clients have used recently.
        self.databases = self._console.databases or leading or (self._console.target,)
        if paused := [name for name in self.databases if name in known and known[name]["paused"]]:
            raise errors.AlreadyPaused(
                f"PgBouncer at {self.place} has already paused {', '.join(paused)}: by another session, or by a "
                "cut-over that was killed with its watchdog",
                hint=f'If no other session has paused it, run on its console: `RESUME "{paused[0]}";`.',
            )

    def backends(self) -> set[int]:
        """Return the pids of the server's sessions that the pooler uses for these databases."""
        return {int(row["remote_pid"]) for row in self._shown("SERVERS") if row["database"] in self.databases}

    def prepare(self) -> None:
        """Open a connection for each database before the pause, so that nobody waits for it."""
        for name in self.databases:
            if name not in self._waiting:
                self._waiting[name] = self._connected()

    def begin_pause(self) -> None:
        """Send PAUSE: clients wait from now on, or after the end of their transaction."""
        for name, connection in self._waiting.items():
            connection.pgconn.send_query(sql.SQL("PAUSE {}").format(sql.Identifier(name)).as_bytes())

    def is_paused(self, deadline: float) -> bool:
        """Wait until no client is in a transaction; return False at the deadline (of time.monotonic)."""
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
        """Send RESUME for each database that is paused."""
        for name in self.databases:
            with contextlib.suppress(_AlreadyDone):
                self._execute(sql.SQL("RESUME {}").format(sql.Identifier(name)))
        self._forget_waiting()

    def close(self) -> None:
        """Close all connections."""
        self._forget_waiting()
        if self._commands is not None:
            self._commands.close()
            self._commands = None

    def _forget_waiting(self) -> None:
        """Close the connections that may still wait for a PAUSE."""
        for connection in self._waiting.values():
            connection.close()
        self._waiting.clear()

    def _shown(self, what: LiteralString) -> list[dict[str, Any]]:
        return self._execute(sql.SQL("SHOW {}").format(sql.SQL(what))).fetchall()

    def _execute(self, command: sql.SQL | sql.Composed) -> psycopg.Cursor[DictRow]:
        """Execute a command of the console; reconnect first if the connection is closed."""
        if self._commands is None or self._commands.closed:
            self._commands = self._connected()
        try:
            # Without parameters psycopg uses the simple protocol, the only one that the console has.
            return self._commands.cursor(row_factory=dict_row).execute(command)
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
            f"the admin console of PgBouncer at {self.place} failed: {said}",
            hint="Its DSN must name the database pgbouncer and a user of admin_users; or promote with `--via locks`.",
        )


class _AlreadyDone(Exception):
    """The database is not paused."""


@contextlib.contextmanager
def opened(consoles: Sequence[Console]) -> Iterator[list[Pooler]]:
    """Open all consoles, before any gets a command.

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
    """Resume all poolers; report an error of one and continue with the others. Return whether all succeeded."""
    done = True
    for pooler in poolers:
        try:
            pooler.resume()
        except errors.BluegreenError as error:
            done = False
            say(error.message)
    return done
