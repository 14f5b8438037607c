"""Connections to PostgreSQL, which no other module opens: sessions, advisory locks, retries."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import psycopg
import tenacity
from psycopg import conninfo, sql
from psycopg.rows import TupleRow

from bluegreen_etl import config, embedded, errors, queries, server_support, sqlstates

Connection = psycopg.Connection[TupleRow]
T = TypeVar("T")

# A default meant for web requests must not end hours of loading. `[load] session` overrides each of these.
SESSION_SETTINGS: dict[str, str] = {
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
    # Policies that apply to the role would hide rows from counts and checks: fail instead.
    "row_security": "off",
    "client_min_messages": "warning",
    # A default of the role or database must not change how the server writes values, names and definitions.
    "datestyle": "ISO",  # the order of day and month for input stays
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmloption": "content",
    "quote_all_identifiers": "off",
    "standard_conforming_strings": "on",
    # Otherwise the statement of a killed client runs to its end, and keeps its locks.
    "client_connection_check_interval": "2s",
    # Citus: new objects stay on the coordinator until they are distributed, and SET is not sent to nodes.
    "citus.enable_schema_based_sharding": "off",
    "citus.use_citus_managed_tables": "off",
    "citus.propagate_set_commands": "none",
}
# Keeps the search path of the role, or of `[load] session`, while the session's own is empty.
_KEPT_PATH = "bluegreen.search_path"
# Every name in it is qualified, and it has no operators: the path is still the role's, with objects of strangers on it.
PIN_PATH = (
    "SELECT pg_catalog.set_config('bluegreen.search_path', pg_catalog.current_setting('search_path'), false); "
    "SET search_path = ''"
)
# For a short query on a second connection, while the first one holds locks.
BRIEFLY = {"statement_timeout": "5s", "lock_timeout": "500ms"}
# Firewalls drop idle connections, often after five minutes.
CONNECTION_DEFAULTS: dict[str, str | int] = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 6,
}
FROZEN = "5s"  # how long a transaction may wait for its client
OUTSIDE_WAIT = 300.0  # seconds that a load tries to lock the tables that its foreign keys refer to
LOCK_TIMEOUT = "500ms"  # for one attempt: requests queue behind a waiting lock
_RECONNECT_AFTER = (0.25, 0.5, 1.0)  # seconds before each further attempt to connect: a server may be restarting
CONNECTIONS = 3  # attempts of work that is repeated after a lost connection
LOCK_SQLSTATES = frozenset({"55P03", "40P01"})
_HINT_URL = (
    "Write `postgresql://user:password@host/database` with special characters of the password as %XX (`@` is `%40`), "
    "or write `key=value` pairs."
)
# Connection parameters that messages may show.
_SHOWN_PARAMETERS = frozenset({"host", "hostaddr", "port", "user", "dbname", "service"})


class RetryOnNewConnection(Exception):
    """The connection was lost with this error, and the work on it can be repeated on another one."""

    def __init__(self, error: psycopg.OperationalError) -> None:
        super().__init__(str(error))
        self.error = error


class Server:
    """One database, and how to connect to it.

    Args:
        dsn: a connection string or URL; empty leaves everything to libpq's own rules.
        origin: which option or setting named the database, for messages.
        say: gets a message when an attempt has failed and will be repeated.
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
        """Open a connection in autocommit mode, close it after the body, and raise the server's errors as ours.

        Args:
            purpose: shown in pg_stat_activity: `bluegreen <purpose>`.
            settings: server settings of this session; they override SESSION_SETTINGS.
            to_read: accept a standby.

        Raises:
            UsageError: the connection string is malformed.
            UnfitEngine, ReadOnly: the server cannot run a cut-over, or accepts no writes.
            PoolerBetween: a pooler gives each transaction another session of the server.
            ServerFailed: no connection, or the server failed or disappeared during the body.
        """
        with sqlstates.translated():
            connection = self._connect(purpose)
            with self._guard:
                self._open.add(connection)
            try:
                if not self._looked:
                    _refuse_engine(connection)
                    # Before the settings: they would stay in a session that other clients of the pooler use.
                    self._refuse_pooler(connection)
                    self._looked = True
                connection.execute(PIN_PATH)
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
        """Open a connection to the console of a pooler, which speaks the protocol but has no settings."""
        return self._connect(purpose)

    def other_database(self, database: str) -> "Server":
        """Return another database of the same server, with the same connection settings."""
        return Server(conninfo.make_conninfo(self.dsn, dbname=database), origin=self.origin, say=self.say)

    def persist(self, purpose: str, settings: Mapping[str, str], work: Callable[[Connection], None]) -> None:
        """Call `work` with a connection; repeat it with a new one when it raises RetryOnNewConnection.

        Raises:
            ServerFailed: as connect, or CONNECTIONS connections were lost.
        """
        lost: list[int] = []

        def once() -> None:
            with self.connect(purpose, settings) as connection:
                for pid in lost:  # a session whose client is gone may still hold locks
                    connection.execute(queries.get("session.end_session"), {"pid": pid})
                lost[:] = [connection.info.backend_pid]
                work(connection)

        attempts = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(RetryOnNewConnection),
            stop=tenacity.stop_after_attempt(CONNECTIONS),
            before_sleep=lambda _state: self.say("a connection was lost; repeating its work"),
            reraise=True,
        )
        try:
            attempts(once)
        except RetryOnNewConnection as error:
            raise sqlstates.explain(error.error) from error

    def cancel_all(self) -> None:
        """Cancel the statements of all open connections, after a failure or an interrupt."""
        with self._guard:
            connections = list(self._open)
        for connection in connections:
            if not connection.closed:
                connection.cancel_safe(timeout=5)

    def _refuse_pooler(self, connection: Connection) -> None:
        """Refuse a pooler in transaction mode: it keeps neither advisory locks nor settings of a session.

        A pooler reports pids of its own to its clients. In session mode it is harmless. In transaction mode it gives
        our idle session to the next client, or gives us another session.
        """
        first = backend(connection)
        if first == connection.info.backend_pid:
            return
        with self._connect("detect pooler") as other, other.transaction():
            if backend(other) == first or any(backend(connection) != first for _ in range(2)):
                raise errors.PoolerBetween(
                    "the connection goes through a pooler in transaction mode: it keeps no locks or settings of ours",
                    hint="Connect to the server itself with `--dsn`, `BLUEGREEN_DSN` or `dsn` in bluegreen.toml: its "
                    "own host and port (often 5432), not the pooler's (often 6432 or 6543).",
                )

    def _connect(self, purpose: str) -> Connection:
        try:
            given = conninfo.conninfo_to_dict(self.dsn)
        except psycopg.ProgrammingError:
            # libpq's error may quote the password, so none of it is kept.
            raise errors.UsageError(
                f"the connection string is neither key=value pairs nor a URL that libpq can read ({self.origin})",
                hint=_HINT_URL,
            ) from None
        if reason := _broken_address(given):
            raise errors.UsageError(f"the connection string {reason} ({self.origin})", hint=_HINT_URL)
        defaults = {key: value for key, value in CONNECTION_DEFAULTS.items() if key not in given}
        attempts = tenacity.Retrying(
            # Only if no server listens, or it is starting or stopping: a wrong password is not retried.
            retry=tenacity.retry_if_exception(lambda error: self._is_away(error, defaults)),
            stop=tenacity.stop_after_attempt(len(_RECONNECT_AFTER) + 1),
            wait=tenacity.wait_chain(*map(tenacity.wait_fixed, _RECONNECT_AFTER)),
            before_sleep=lambda state: self.say(f"connecting again: {sqlstates.one_line(_failure(state))}"),
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
        except psycopg.ProgrammingError:  # a value that the driver cannot use: its error quotes that
            raise errors.UsageError(
                f"the connection string has a value that is not valid ({self.origin})", hint=_HINT_URL
            ) from None
        except psycopg.OperationalError as error:
            # libpq quotes values that it does not know; after a mistake in a URL they may be parts of the password.
            secrets = [str(value) for key, value in given.items() if key not in _SHOWN_PARAMETERS]
            raise sqlstates.no_connection(error, secrets) from error

    def _is_away(self, error: BaseException, defaults: Mapping[str, str | int]) -> bool:
        """Return whether no server accepts connections, which libpq can find out without a password."""
        if not isinstance(error, psycopg.OperationalError):
            return False
        address = conninfo.make_conninfo(self.dsn, **{**defaults, "connect_timeout": 2})
        return psycopg.pq.PGconn.ping(address.encode()) in {psycopg.pq.Ping.REJECT, psycopg.pq.Ping.NO_RESPONSE}


def _broken_address(given: Mapping[str, object]) -> str | None:
    """Return why host or port may contain a part of the password, of which nothing is shown; None if they do not."""
    if any("@" in host[1:] for host in str(given.get("host") or "").split(",")):
        return "has an unescaped `@` in front of its host"
    if not all(port.isdigit() for port in str(given.get("port") or "0").split(",") if port):
        return "has a port that is no number"
    return None


def _refuse_engine(connection: Connection) -> None:
    version = queries.value(connection, str, sql.SQL("SELECT pg_catalog.version()")) or ""
    if reason := server_support.unfit_engine(version, lambda name: setting(connection, name)):
        raise errors.UnfitEngine(reason.message, hint=reason.hint)


def _refuse_read_only(connection: Connection) -> None:
    [(in_recovery, transaction_read_only)] = connection.execute(queries.get("session.read_only")).fetchall()
    if reason := server_support.read_only(in_recovery=in_recovery, transaction_read_only=transaction_read_only):
        raise errors.ReadOnly(reason.message, hint=reason.hint)


def backend(connection: Connection) -> int:
    """Return the pid of the server's process; a pooler reports another one to libpq."""
    pid = queries.value(connection, int, sql.SQL("SELECT pg_catalog.pg_backend_pid()"))
    assert pid is not None
    return pid


def server(resolved: config.Resolved, say: Callable[[str], None]) -> Server:
    """Return the server that the settings name; start the embedded one if they name none.

    Raises:
        BadConfiguration: see Target.refuse_unchosen.
    """
    resolved.target.refuse_unchosen()
    dsn = embedded.start() if resolved.target.dsn is None else resolved.target.dsn
    return Server(dsn, origin=resolved.target.origin, say=say)


def apply_settings(connection: Connection, settings: Mapping[str, str]) -> None:
    """Set server settings for the session, in one round trip; `search_path` is the one that user_path sets."""
    names = [_KEPT_PATH if name == "search_path" else name for name in settings]
    values = list(settings.values())
    connection.execute(
        # A server on Windows cannot check its clients, and refuses the setting.
        "SELECT pg_catalog.set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS s(name, value) "
        "WHERE (name <> 'client_connection_check_interval' OR pg_catalog.version() !~* 'windows|visual c|mingw') "
        # The first one is new in PostgreSQL 17; the others exist only with Citus.
        "AND (name <> 'transaction_timeout' AND name NOT LIKE 'citus.%%' "
        "OR pg_catalog.current_setting(name, true) IS NOT NULL)",
        (names, values),
    )


def run_script(connection: Connection, text: str | sql.Composable) -> None:
    """Run any number of SQL statements in one round trip, by the simple protocol."""
    # Without parameters psycopg neither parses placeholders nor prepares.
    connection.execute(text.encode() if isinstance(text, str) else text.as_bytes(connection))


def end_sessions(connection: Connection, application: str) -> None:
    """Terminate the role's sessions with this application name."""
    connection.execute(queries.get("session.end_sessions"), {"application": application})


def setting(connection: Connection, name: str) -> str:
    """Return the value of a server setting; an empty text if the server does not have it."""
    query = sql.SQL("SELECT pg_catalog.current_setting(%(name)s, true)")
    return queries.value(connection, str, query, {"name": name}) or ""


def lock_key(kind: str, live_schema: str) -> str:
    """Return the text whose hash is the key of an advisory lock."""
    return f"bluegreen {kind} {live_schema}"


def try_lock(connection: Connection, kind: str, live_schema: str) -> bool:
    """Take the session's advisory lock `kind` of a schema without waiting; return False if another session holds it."""
    return bool(queries.value(connection, bool, "session.try_lock", {"key": lock_key(kind, live_schema)}))


def unlock(connection: Connection, kind: str, live_schema: str) -> None:
    """Release an advisory lock taken by try_lock."""
    connection.execute(queries.get("session.unlock"), {"key": lock_key(kind, live_schema)})


def is_locked(connection: Connection, kind: str, live_schema: str) -> bool:
    """Return whether a session, this one included, holds the advisory lock."""
    return bool(queries.value(connection, bool, "session.is_locked", {"key": lock_key(kind, live_schema)}))


def retry(
    attempt: Callable[[int], T],
    *,
    max_wait: float,
    pause: Callable[[int], float],
    on_retry: Callable[[int, BaseException], None],
) -> T:
    """Run `attempt(number)` until it succeeds; retry only lock errors, for at most `max_wait` seconds.

    Args:
        attempt: the whole transaction; it holds no locks when it has raised.
        pause: seconds to wait after the failed attempt of this number.
        on_retry: gets the number of the failed attempt and its error.

    Raises:
        psycopg.Error, LockNotObtained: the last attempt's error, or the first that is not about locks.
    """
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception(is_lock_error),
        stop=tenacity.stop_after_delay(max_wait),
        wait=lambda state: pause(state.attempt_number),
        before_sleep=lambda state: on_retry(state.attempt_number, _failure(state)),
        sleep=time.sleep,
        reraise=True,
    )
    for state in attempts:
        with state:
            result = attempt(state.retry_state.attempt_number)
    return result


def bound_idle_transaction(connection: Connection) -> None:
    """Let the server roll the open transaction back if this process stops in the middle of it.

    For transactions that hold locks others wait for, and wait for nothing but the server.
    """
    connection.execute(queries.get("session.bound_idle_transaction"), {"timeout": FROZEN})


def retry_on_lock_timeout(connection: Connection, attempt: Callable[[], T]) -> T:
    """Run a transaction that may lock tables outside the release; retry it while it cannot get the locks."""
    # Requests queue behind a waiting lock, so wait at most LOCK_TIMEOUT and pause between attempts.

    def once(_number: int) -> T:
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            return attempt()

    return retry(once, max_wait=OUTSIDE_WAIT, pause=lambda _number: 1.0, on_retry=lambda _number, _error: None)


def is_lock_error(error: BaseException) -> bool:
    """Return whether an error means that a lock could not be taken, so that the transaction may be retried."""
    return isinstance(error, errors.LockNotObtained) or (
        isinstance(error, psycopg.Error) and error.sqlstate in LOCK_SQLSTATES
    )


def _failure(state: tenacity.RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome else None
    assert error is not None
    return error
