"""The only place that connects to PostgreSQL: sessions, advisory locks, retries."""

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar, cast
from urllib.parse import quote, urlencode

import psycopg
import tenacity
from psycopg import conninfo, sql
from psycopg.rows import TupleRow

from bluegreen_etl import config, embedded, errors, queries, server_support, sqlstates

Connection = psycopg.Connection[TupleRow]
T = TypeVar("T")

# What a session needs so that hours of loading are not ended by a default meant for web requests. Each may be
# overridden by [load] session.
SESSION_SETTINGS: dict[str, str] = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
    # Where policies hold for the role itself, rows would be missing from what is counted and checked: fail instead.
    "row_security": "off",
    "client_min_messages": "warning",
    # Without it the statement of a client that was killed runs to its end, and holds what it has locked.
    "client_connection_check_interval": "2s",
    # Of Citus: what is made stays the coordinator's own until it is distributed, and SET stays here.
    "citus.enable_schema_based_sharding": "off",
    "citus.use_citus_managed_tables": "off",
    "citus.propagate_set_commands": "none",
}
# Of a question that is asked on a connection of its own while another one holds locks for it.
BRIEFLY = {"statement_timeout": "5s", "lock_timeout": "500ms"}
# Firewalls drop silent connections, often after five minutes.
CONNECTION_DEFAULTS: dict[str, str | int] = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 6,
}
OUTSIDE_WAIT = 300.0  # seconds that a load tries to lock the tables that its foreign keys refer to
LOCK_TIMEOUT = "500ms"  # for one attempt: requests queue behind a waiting lock
_RECONNECT_AFTER = (0.25, 0.5, 1.0)  # seconds before each further try to connect: a server may be starting again
CONNECTIONS = 3  # that may be lost one after the other by something that can be done again
LOCK_SQLSTATES = frozenset({"55P03", "40P01"})


class ConnectionLost(Exception):
    """The connection was lost, with this error, and what was done on it can be done again."""

    def __init__(self, error: psycopg.OperationalError) -> None:
        super().__init__(str(error))
        self.error = error


class Server:
    """One database that a command works on: it hands out connections that are alike.

    Args:
        dsn: a connection string or URL; empty leaves everything to libpq's own rules.
        origin: where the connection comes from, for people.
        say: told of what has failed and is tried again.
    """

    def __init__(self, dsn: str, *, origin: str, say: Callable[[str], None] | None = None) -> None:
        self.dsn = dsn
        self.origin = origin
        self.say = say or (lambda _text: None)
        self._open: set[Connection] = set()
        self._guard = threading.Lock()
        self._looked = False
        self._writable = False

    @contextmanager
    def connect(
        self, purpose: str, settings: Mapping[str, str] | None = None, *, to_read: bool = False
    ) -> Iterator[Connection]:
        """Open a connection in autocommit mode, close it at the end, and raise the server's errors as ours.

        Args:
            purpose: shown in pg_stat_activity: `bluegreen <purpose>`.
            settings: server settings of this session, over SESSION_SETTINGS.
            to_read: a standby will do.

        Raises:
            UsageError: the connection string is malformed.
            UnfitEngine, ReadOnly: the server cannot do a cut-over, or nothing can be written there.
            PoolerBetween: a pooler gives each transaction another session of the server.
            ServerFailed: no connection, or the server failed or vanished meanwhile.
        """
        with sqlstates.translated():
            connection = self._connect(purpose)
            with self._guard:
                self._open.add(connection)
            try:
                if not self._looked:
                    _refuse_engine(connection)
                    # Before the settings: they would stay in a session that belongs to the pooler's other clients.
                    self._refuse_pooler(connection)
                    self._looked = True
                apply_settings(connection, {**SESSION_SETTINGS, **(settings or {})})
                if not to_read and not self._writable:
                    _refuse_read_only(connection)
                    self._writable = True
                yield connection
            finally:
                with self._guard:
                    self._open.discard(connection)
                connection.close()

    def open(self, purpose: str) -> Connection:
        """Open a connection to what talks like PostgreSQL and is none: a pooler's console, which knows no settings."""
        return self._connect(purpose)

    def beside(self, database: str) -> "Server":
        """Return another database of the same server, reached in the same way."""
        return Server(conninfo.make_conninfo(self.dsn, dbname=database), origin=self.origin, say=self.say)

    def persist(self, purpose: str, settings: Mapping[str, str], work: Callable[[Connection], None]) -> None:
        """Call `work` with a connection, and again with another one when it raises ConnectionLost, some times.

        Raises:
            ServerFailed: as connect, or one connection too many was lost.
        """
        lost: list[int] = []

        def once() -> None:
            with self.connect(purpose, settings) as connection:
                for pid in lost:  # the server may not have noticed that its client is gone, and it holds locks
                    connection.execute(queries.get("session.end_session"), {"pid": pid})
                lost[:] = [connection.info.backend_pid]
                work(connection)

        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(ConnectionLost),
            stop=tenacity.stop_after_attempt(CONNECTIONS),
            before_sleep=lambda _state: self.say("a connection was lost; what it was at begins again"),
            reraise=True,
        )
        try:
            attempts(once)
        except ConnectionLost as error:
            raise sqlstates.explain(error.error) from error

    def cancel_all(self) -> None:
        """Cancel what runs on any open connection: the other streams of a load that has failed or was interrupted."""
        with self._guard:
            connections = list(self._open)
        for connection in connections:
            if not connection.closed:
                connection.cancel_safe(timeout=5)

    def _refuse_pooler(self, connection: Connection) -> None:
        """Refuse a pooler in transaction mode: neither advisory locks nor settings would hold there.

        A pooler tells its clients pids of its own. One in session mode does no harm; one in transaction mode gives the
        session that is idle here to the next client, or the next of its sessions to this one.
        """
        first = backend(connection)
        if first == connection.info.backend_pid:
            return
        with self._connect("looks for a pooler") as other, other.transaction():
            if backend(other) == first or any(backend(connection) != first for _ in range(2)):
                raise errors.PoolerBetween(
                    "a pooler in transaction mode lies between: the locks and settings of a session do not hold there",
                    hint="Connect to the server itself, with --dsn, BLUEGREEN_DSN or dsn in bluegreen.toml: its own "
                    "host and port (often 5432), not the pooler's (often 6432 or 6543).",
                )

    def _connect(self, purpose: str) -> Connection:
        try:
            given = conninfo.conninfo_to_dict(self.dsn)
        except psycopg.ProgrammingError:
            # What libpq quotes of it may be the password, so nothing of its error is kept.
            raise errors.UsageError(
                f"the connection string is neither key=value pairs nor a URL that libpq can read ({self.origin})",
                hint="Write postgresql://user:password@host/database with special characters as %XX, or quote values.",
            ) from None
        defaults = {key: value for key, value in CONNECTION_DEFAULTS.items() if key not in given}
        attempts = tenacity.Retrying(
            # Only where no server is, or one that begins or ends: a wrong password is not tried again.
            retry=tenacity.retry_if_exception(lambda error: self._is_away(error, defaults)),
            stop=tenacity.stop_after_attempt(len(_RECONNECT_AFTER) + 1),
            wait=tenacity.wait_chain(*map(tenacity.wait_fixed, _RECONNECT_AFTER)),
            before_sleep=lambda state: self.say(f"trying again: {sqlstates.one_line(_failure(state))}"),
            sleep=time.sleep,
            reraise=True,
        )
        try:
            return attempts(
                psycopg.connect,
                self.dsn,
                autocommit=True,
                application_name=f"bluegreen {purpose}"[:63],
                client_encoding="utf8",
                prepare_threshold=None,
                **cast("Any", defaults),
            )
        except psycopg.OperationalError as error:
            raise sqlstates.no_connection(error) from error

    def _is_away(self, error: BaseException, defaults: Mapping[str, str | int]) -> bool:
        """Say whether the server cannot be talked to, which libpq can tell without a password."""
        if not isinstance(error, psycopg.OperationalError):
            return False
        address = conninfo.make_conninfo(self.dsn, **{**defaults, "connect_timeout": 2})
        return psycopg.pq.PGconn.ping(address.encode()) in {psycopg.pq.Ping.REJECT, psycopg.pq.Ping.NO_RESPONSE}


def _refuse_engine(connection: Connection) -> None:
    row = connection.execute("SELECT pg_catalog.version()").fetchone()
    if reason := server_support.unfit(str(row[0] if row else ""), lambda name: _shown(connection, name)):
        raise errors.UnfitEngine(reason.message, hint=reason.hint)


def _refuse_read_only(connection: Connection) -> None:
    row = connection.execute(queries.get("session.read_only")).fetchone()
    if row and (reason := server_support.read_only(in_recovery=row[0], transaction_read_only=row[1])):
        raise errors.ReadOnly(reason.message, hint=reason.hint)


def backend(connection: Connection) -> int:
    """Return the pid of the server's process, which a pooler does not tell."""
    row = connection.execute("SELECT pg_catalog.pg_backend_pid()").fetchone()
    return int(row[0]) if row else 0


def server(resolved: config.Resolved, say: Callable[[str], None]) -> Server:
    """Return the server that the settings lead to; starts the embedded one where none is named."""
    dsn = embedded.start() if resolved.target.dsn is None else resolved.target.dsn
    return Server(dsn, origin=resolved.target.origin, say=say)


def apply_settings(connection: Connection, settings: Mapping[str, str]) -> None:
    """Set server settings for the session, in one round trip."""
    names, values = list(settings), list(settings.values())
    connection.execute(
        # A server on Windows cannot look at its clients and refuses the setting.
        "SELECT pg_catalog.set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS s(name, value) "
        "WHERE (name <> 'client_connection_check_interval' OR pg_catalog.version() !~* 'windows|visual c|mingw') "
        # The one is new in PostgreSQL 17, the others are there where Citus is.
        "AND (name <> 'transaction_timeout' AND name NOT LIKE 'citus.%%' "
        "OR pg_catalog.current_setting(name, true) IS NOT NULL)",
        (names, values),
    )


def run_script(connection: Connection, text: str | sql.Composable) -> None:
    """Run SQL of any number of statements by the simple protocol, in one round trip."""
    # Without parameters psycopg neither looks for placeholders nor prepares.
    connection.execute(text.encode() if isinstance(text, str) else text.as_bytes(connection))


def client_environment(connection: Connection) -> dict[str, str]:
    """Return libpq's environment variables that lead a child process to the same database as `connection`."""
    options = [(option.envvar, option.val) for option in connection.pgconn.info]
    found = {name.decode(): value.decode() for name, value in options if name and value}
    return {name: value for name, value in found.items() if name != "PGAPPNAME"}


def program_environment(connection: Connection, *, search_path: str, application: str) -> dict[str, str]:
    """Return what leads a program of any language to `connection`'s database, with `search_path` as its own.

    libpq and most others read the PG* variables, the rest DATABASE_URL.
    """
    found = client_environment(connection)
    # Without the second one, the statement of a program that was ended runs on; a server on Windows refuses it.
    own = {
        "search_path": search_path,
        "client_connection_check_interval": _shown(connection, "client_connection_check_interval"),
    }
    settings = [f"-c {name}=" + re.sub(r"([\\\s])", r"\\\1", value) for name, value in own.items() if value != "0"]
    options = " ".join(filter(None, [found.get("PGOPTIONS"), *settings]))
    found |= {"PGOPTIONS": options, "PGAPPNAME": application}
    return {**found, "DATABASE_URL": _url(connection, options=options)}


def end_sessions(connection: Connection, application: str) -> None:
    """End the role's sessions of this application name: those of a program that has ended, or should have."""
    connection.execute(queries.get("session.end_sessions"), {"application": application})


def _shown(connection: Connection, setting: str) -> str:
    row = connection.execute("SELECT coalesce(current_setting(%s, true), '')", (setting,)).fetchone()
    return str(row[0]) if row else ""


def _url(connection: Connection, *, options: str) -> str:
    """Return the connection's address as a URL, in the form that programs not built on libpq read as well."""
    info = connection.info
    own = {*CONNECTION_DEFAULTS, "application_name", "client_encoding", "options", "user", "dbname", "host", "port"}
    query = {key: value for key, value in info.get_parameters().items() if key not in own}
    login = quote(info.user, safe="") + (f":{quote(info.password, safe='')}" if info.password else "")
    if info.host.startswith(("/", "@")):  # a socket's directory has no place in a URL but its query
        query |= {"host": info.host, "port": str(info.port)}
        place = ""
    else:
        place = (f"[{info.host}]" if ":" in info.host else info.host) + f":{info.port}"
    encoded = urlencode({**query, "options": options}, quote_via=quote)
    return f"postgresql://{login}@{place}/{quote(info.dbname, safe='')}?{encoded}"


def try_lock(connection: Connection, kind: str, live_schema: str) -> bool:
    """Take the session's advisory lock `kind` of a target without waiting; False when another session holds it."""
    row = connection.execute(queries.get("session.try_lock"), {"key": f"bluegreen {kind} {live_schema}"}).fetchone()
    return bool(row and row[0])


def unlock(connection: Connection, kind: str, live_schema: str) -> None:
    """Release an advisory lock taken by try_lock."""
    connection.execute(queries.get("session.unlock"), {"key": f"bluegreen {kind} {live_schema}"})


def is_locked(connection: Connection, kind: str, live_schema: str) -> bool:
    """Say whether some session, this one included, holds the advisory lock."""
    row = connection.execute(queries.get("session.is_locked"), {"key": f"bluegreen {kind} {live_schema}"}).fetchone()
    return bool(row and row[0])


def retry(
    attempt: Callable[[int], T],
    *,
    max_wait: float,
    pause: Callable[[int], float],
    on_retry: Callable[[int, BaseException], None],
) -> T:
    """Run `attempt(number)` until it succeeds, again only where a lock was not to be had, for `max_wait` seconds.

    Args:
        attempt: the whole transaction; it leaves nothing held when it raises.
        pause: seconds to wait after the failed try of this number.
        on_retry: told the number of the failed try and its error.

    Raises:
        psycopg.Error, LockNotObtained: the last try's error, or the first that is not about locks.
    """
    retry = tenacity.Retrying(
        retry=tenacity.retry_if_exception(is_lock_error),
        stop=tenacity.stop_after_delay(max_wait),
        wait=lambda state: pause(state.attempt_number),
        before_sleep=lambda state: on_retry(state.attempt_number, _failure(state)),
        sleep=time.sleep,
        reraise=True,
    )
    for state in retry:
        with state:
            result = attempt(state.retry_state.attempt_number)
    return result


def retry_on_lock_timeout(connection: Connection, attempt: Callable[[], T]) -> T:
    """Run a transaction that may have to lock tables outside of the release, without holding their users up for long.

    Whoever comes after a lock that is waited for waits too, so each wait is short, and there is a pause after it.
    """

    def once(_number: int) -> T:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            return attempt()

    return retry(once, max_wait=OUTSIDE_WAIT, pause=lambda _number: 1.0, on_retry=lambda _number, _error: None)


def is_lock_error(error: BaseException) -> bool:
    """Say whether an error means that a lock was not to be had, so that the transaction may be tried again."""
    return isinstance(error, errors.LockNotObtained) or (
        isinstance(error, psycopg.Error) and error.sqlstate in LOCK_SQLSTATES
    )


def _failure(state: tenacity.RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome else None
    assert error is not None
    return error
