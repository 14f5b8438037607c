"""Run checks: read only, on one snapshot, over several connections, the release first in the search path."""

import itertools
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import LiteralString, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow, scalar_row

from bluegreen_etl import config, db, errors, model, parallel
from bluegreen_etl.checks import builtin, failure_tables, psql_variables, read_only
from bluegreen_etl.checks.check import Check
from bluegreen_etl.model import CheckResult, CheckStatus


class Place(model.Record, frozen=True, kw_only=True):
    """The schemas of the checked release and of live, and the columns of live's tables; None if nothing is live yet.

    `failures` is the schema for offending rows, if these are stored.
    """

    shadow: str
    live: str | None
    columns: dict[str, frozenset[str]]
    failures: str | None = None


class Terms(NamedTuple):
    """How checks run: on which schemas, with which settings, over at most how many connections."""

    place: Place
    settings: config.Checks
    jobs: int


def run(server: db.Server, connection: db.Connection, checks: Sequence[Check], terms: Terms) -> list[CheckResult]:
    """Run checks; return their results in the same order.

    A check that cannot run has status broken, and counts as failed whatever its severity.

    Raises:
        Refused: the schema for offending rows exists, and bluegreen has not created it.
    """
    place = terms.place
    with ExitStack() as stack:
        store = stack.enter_context(failure_tables.opened(server, place.failures)) if place.failures else None
        stack.enter_context(connection.transaction())
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        with connection.cursor(row_factory=scalar_row) as cursor:
            snapshot = cursor.execute("SELECT pg_catalog.pg_export_snapshot()").fetchone()
        runner = _Runner(place, terms.settings, store, snapshot=str(snapshot))
        numbered = list(enumerate(checks))
        groups = itertools.groupby(sorted(numbered, key=_scanned), key=_scanned)
        tasks = [parallel.Task(partial(runner.run, list(group))) for table, group in groups if table]
        tasks += [parallel.Task(partial(runner.run, [each])) for each in numbered if not _scanned(each)]
        parallel.run(server, f"check {place.shadow}", tasks, jobs=terms.jobs, settings={})
    return [runner.results[number] for number in range(len(checks))]


def failed(results: Sequence[CheckResult]) -> list[CheckResult]:
    """Return the results that stop a release."""
    return [result for result in results if result.status in {CheckStatus.FAILED, CheckStatus.BROKEN}]


# Errors on any tables: syntax, and a malformed interval or regular expression.
_MALFORMED = frozenset({"42601", "22007", "2201B"})


def refuse_malformed(connection: db.Connection, checks: Sequence[Check], place: Place, settings: config.Checks) -> None:
    """Let the server parse checks before the load, so that an error is not found only after hours.

    Errors that depend on tables do not count: the release may have other tables.

    Raises:
        BadConfiguration: a check is malformed whatever the tables are.
    """
    values, session = _values(place), read_only.Session(place.shadow, settings)
    for check in checks:
        if _lacks_live(check, place):
            continue
        counted = psql_variables.bound(sql.SQL(_COUNT).format(check.query, sql.Literal(check.limit)), values)
        statement = sql.SQL("EXPLAIN {}").format(counted)
        try:
            with session.transaction(connection, role=False):
                read_only.one_statement(connection, statement)
        except psycopg.Error as error:
            _raise_lost(connection, error)
            if error.sqlstate in _MALFORMED:
                said = _explained(check, statement.as_string(connection), error)
                raise errors.BadConfiguration(
                    f"check {check.name} cannot run: {said}", hint="Fix it; nothing was loaded."
                ) from error


# One line before the check's own first, and no more: _explained counts the lines of an error from there.
_COUNT: LiteralString = "SELECT count(*) FROM (SELECT FROM (\n{}\n) AS offending LIMIT {}) AS counted"
_TIMED_OUT = "57014"
Numbered = tuple[int, Check]


def _scanned(numbered: Numbered) -> str:
    """Return the table whose scan answers a check; an empty text if the check runs alone."""
    return (numbered[1].table or "") if numbered[1].scan else ""


class _Rows(NamedTuple):
    """The number of offending rows that a check has found, and the first of them."""

    failures: int = 0
    columns: tuple[str, ...] = ()
    sample: tuple[tuple[str | None, ...], ...] = ()
    stored: str | None = None


class _Runner:
    """Run the checks of one snapshot; `results` are by the checks' numbers."""

    def __init__(
        self, place: Place, settings: config.Checks, store: failure_tables.Store | None, *, snapshot: str
    ) -> None:
        self.results: dict[int, CheckResult] = {}
        self._store = store
        self._place = place
        self._sample = settings.sample
        self._values = _values(place)
        self._session = read_only.Session(place.shadow, settings, snapshot=snapshot)

    def run(self, wanted: Sequence[Numbered], connection: db.Connection, stop: threading.Event) -> None:
        """Run checks, several of them in one scan."""
        left: list[Numbered] = []
        for number, check in wanted:
            if reason := self._missing(check):
                self.results[number] = _result(check, CheckStatus.SKIPPED, message=reason)
            else:
                left.append((number, check))
        if len(left) > 1 and self._run_scan(connection, left):
            return
        for number, check in left:
            if stop.is_set():
                return
            self.results[number] = self._run_one(connection, check)

    def _missing(self, check: Check) -> str | None:
        """Return what live lacks for the comparison; None if nothing."""
        if _lacks_live(check, self._place):
            return "nothing is live yet to compare with"
        if self._place.live is None or check.compared is None:
            return None
        table = check.compared.table
        if table not in self._place.columns:
            return f"live has no table {table}"
        lacking = set(check.compared.columns) - self._place.columns[table]
        return f"live's table {table} has no column {', '.join(sorted(lacking))}" if lacking else None

    def _run_one(self, connection: db.Connection, check: Check) -> CheckResult:
        begun = time.monotonic()
        counted = self._bound(sql.SQL(_COUNT).format(check.query, sql.Literal(check.limit)))
        try:
            with self._session.transaction(connection, role=_is_own(check)):
                [count] = _only_row(read_only.one_statement(connection, counted))
            found = self._first(connection, check, count)
        except psycopg.Error as error:
            _raise_lost(connection, error)
            message = _explained(check, counted.as_string(connection), error)
            return _result(check, CheckStatus.BROKEN, seconds=time.monotonic() - begun, message=message)
        return _result(check, check.verdict(count), found, seconds=time.monotonic() - begun)

    def _run_scan(self, connection: db.Connection, wanted: Sequence[Numbered]) -> bool:
        """Answer several checks by one scan of their table; return False if one of them is broken, whichever it is.

        A time-out is that of all: to run each alone could take as much time again for every check.
        """
        begun = time.monotonic()
        query = self._bound(_scan([check for _, check in wanted]))
        try:
            with self._session.transaction(connection, role=True):
                counts = _only_row(read_only.one_statement(connection, query))
            share = (time.monotonic() - begun) / len(wanted)
            for (number, check), count in zip(wanted, counts, strict=True):
                began = time.monotonic()
                found = self._first(connection, check, count)
                seconds = share + time.monotonic() - began
                self.results[number] = _result(check, check.verdict(count), found, seconds=seconds)
        except psycopg.Error as error:
            _raise_lost(connection, error)
            if error.sqlstate != _TIMED_OUT:
                return False
            message = f"{error.diag.message_primary}, in one scan with {len(wanted) - 1} others"
            broken = {number: _result(check, CheckStatus.BROKEN, message=message) for number, check in wanted}
            self.results |= broken | {number: self.results[number] for number in broken.keys() & self.results.keys()}
        return True

    def _first(self, connection: db.Connection, check: Check, count: int) -> _Rows:
        """Return the number of offending rows with the first of them; store all of them if the settings say so."""
        if not count:
            if self._store:
                self._store.forget(check.name)
            return _NONE
        query, role = self._bound(check.query), _is_own(check)
        columns = self._session.columns(connection, query, role=role)
        most = self._sample if check.limit is None else min(self._sample, check.limit)
        with self._session.transaction(connection, role=role):
            rows = read_only.one_statement(
                connection, read_only.rows_as_text(query, columns, most, clipped=True)
            ).fetchall()
        sample = tuple(tuple(map(read_only.clip, row)) for row in rows)
        stored = self._stored(connection, check, columns) if self._store else None
        return _Rows(count, tuple(column.name for column in columns), sample, stored)

    def _stored(self, connection: db.Connection, check: Check, columns: Sequence[read_only.Column]) -> str:
        """Write all offending rows of a check into its table; return the table's name."""
        assert self._store
        every = read_only.rows_as_text(self._bound(check.query), columns, check.limit, clipped=False)
        # The count has ended in time; how many rows it has found is not the check's fault.
        with self._session.transaction(connection, role=_is_own(check), limited=False), connection.cursor() as cursor:
            return self._store.keep(check.name, columns, cursor.stream(every))

    def _bound(self, query: sql.Composable) -> sql.Composed:
        return psql_variables.bound(query, self._values)


def _is_own(check: Check) -> bool:
    """Say whether a check is the project's own, and not one that comes with every load."""
    return check.name not in builtin.NAMES


def _lacks_live(check: Check, place: Place) -> bool:
    """Say whether a check compares with live although nothing is live."""
    return place.live is None and psql_variables.mentions(check.query, psql_variables.LIVE, psql_variables.LIVE_TEXT)


def _values(place: Place) -> dict[psql_variables.Variable, sql.Composable]:
    values: dict[psql_variables.Variable, sql.Composable] = {
        psql_variables.SHADOW: sql.Identifier(place.shadow),
        psql_variables.SHADOW_TEXT: sql.Literal(place.shadow),
    }
    if place.live:
        values |= {psql_variables.LIVE: sql.Identifier(place.live), psql_variables.LIVE_TEXT: sql.Literal(place.live)}
    return values


def _scan(checks: Sequence[Check]) -> sql.Composable:
    """Return the query whose columns are the numbers of offending rows of checks that share a scan."""
    own, live, failures = [], [], []
    for number, check in enumerate(checks):
        assert check.scan
        name = sql.Identifier(f"number_{number}")
        gathered = sql.SQL("{} AS {}").format(check.scan.number, name)
        own.append(gathered)
        if psql_variables.mentions(check.scan.failures, psql_variables.LIVE_NUMBER):
            live.append(gathered)
        values = {
            psql_variables.NUMBER: sql.SQL("own.{}").format(name),
            psql_variables.LIVE_NUMBER: sql.SQL("live.{}").format(name),
        }
        failures.append(psql_variables.bound(check.scan.failures, values))
    sources = [
        sql.SQL("(SELECT {} FROM {}.{}) AS {}").format(
            sql.SQL(", ").join(numbers), schema, sql.Identifier(checks[0].table or ""), sql.Identifier(alias)
        )
        for numbers, schema, alias in ((own, psql_variables.SHADOW, "own"), (live, psql_variables.LIVE, "live"))
        if numbers
    ]
    return sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(failures), sql.SQL(", ").join(sources))


def _raise_lost(connection: db.Connection, error: psycopg.Error) -> None:
    """Raise an error that no check causes: a lost connection, a server without memory or disk."""
    if connection.closed or (error.sqlstate or "")[:2] in {"53", "58"}:
        raise error


_NONE = _Rows()


def _result(
    check: Check, status: CheckStatus, rows: _Rows = _NONE, *, seconds: float = 0, message: str | None = None
) -> CheckResult:
    return CheckResult(
        name=check.name,
        table=check.table,
        severity=check.severity,
        status=status,
        seconds=seconds,
        message=message,
        **rows._asdict(),
    )


def _only_row(cursor: psycopg.Cursor[TupleRow]) -> TupleRow:
    row = cursor.fetchone()
    assert row is not None  # they are aggregates
    return row


def _explained(check: Check, statement: str, error: psycopg.Error) -> str:
    """Return the server's message, with the place in the check's file if there is one."""
    # An unterminated comment or text that it quotes runs on into the SQL around the check.
    message = (error.diag.message_primary or str(error)).partition("\n")[0]
    if check.file is None:
        return message
    position = error.diag.statement_position
    # One line comes before the check's own first; what is missing at its end is reported in the line after it.
    line = min(statement.count("\n", 0, int(position)), check.query.as_string().count("\n") + 1) if position else 0
    return f"{check.file}, line {line}: {message}" if line else f"{check.file}: {message}"
