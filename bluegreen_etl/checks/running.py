"""Runs checks: read only, on one snapshot, over several connections, the release first in the search path."""

import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from bluegreen_etl import config, db, model, parallel, queries
from bluegreen_etl.checks import psql
from bluegreen_etl.checks.check import Check
from bluegreen_etl.model import CheckResult, CheckStatus


class Place(model.Record, frozen=True, kw_only=True):
    """Where the release lies that is checked, and what it is compared with: live, None where nothing is live yet."""

    shadow: str
    live: str | None


def run(
    server: db.Server,
    connection: db.Connection,
    checks: Sequence[Check],
    place: Place,
    settings: config.Checks,
    *,
    jobs: int,
) -> list[CheckResult]:
    """Run checks over at most `jobs` connections; return their results in the same order.

    A check that cannot be run has status broken: it counts as failed whatever its severity.
    """
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        row = connection.execute("SELECT pg_catalog.pg_export_snapshot()").fetchone()
        runner = _Runner(place, settings, snapshot=row[0] if row else "")
        tasks = [parallel.Task(partial(runner.run, number, check)) for number, check in enumerate(checks)]
        parallel.run(server, f"check {place.shadow}", tasks, jobs=jobs, settings={})
    return [runner.results[number] for number in range(len(checks))]


def failed(results: Sequence[CheckResult]) -> list[CheckResult]:
    """Return the results that stop a release."""
    return [result for result in results if result.status in {CheckStatus.FAILED, CheckStatus.BROKEN}]


class _Runner:
    """Runs the checks of one snapshot, each on the connection that it is given; `results` are by their numbers."""

    def __init__(self, place: Place, settings: config.Checks, *, snapshot: str) -> None:
        self.results: dict[int, CheckResult] = {}
        self._sample = settings.sample
        self._values = {"shadow": place.shadow} | ({"live": place.live} if place.live else {})
        self._begin = queries.get(
            "begin_check",
            snapshot=sql.Literal(snapshot),
            schema=sql.Literal(place.shadow),
            timeout=sql.Literal(f"{round(settings.statement_timeout * 1000)}ms"),
        )

    def run(self, number: int, check: Check, connection: db.Connection, _stop: threading.Event) -> None:
        """Run one check in a transaction of its own, which holds what it locks of live no longer than it takes."""
        if "live" not in self._values and psql.mentions(check.query, "live"):
            self.results[number] = _result(check, CheckStatus.SKIPPED, message="nothing is live yet to compare with")
            return
        db.run_script(connection, self._begin)
        try:
            self.results[number] = _run_one(connection, check, psql.bound(check.query, self._values), self._sample)
        finally:
            connection.rollback()


def _run_one(connection: db.Connection, check: Check, query: sql.Composable, sample: int) -> CheckResult:
    begun = time.monotonic()
    rows_found = sql.SQL("FROM (\n{}\n) AS offending LIMIT {}")
    # One line before the check's own first, and no more: an error's place is counted from there.
    counted = sql.SQL("SELECT count(*) FROM (SELECT {}) AS counted").format(
        rows_found.format(query, sql.Literal(check.limit))
    )
    most = sample if check.limit is None else min(sample, check.limit)
    shown = sql.SQL("SELECT * {}").format(rows_found.format(query, sql.Literal(most)))
    try:
        # Binary results need the extended protocol, which refuses a second statement: COMMIT would end READ ONLY.
        found = _Rows(_only_value(connection.execute(counted, binary=True)))
        if found.failures:
            cursor = connection.execute(shown)
            columns = tuple(column.name for column in cursor.description or ())
            found = found._replace(columns=columns, sample=tuple(_as_text(cursor)))
    except psycopg.Error as error:
        if isinstance(error, psycopg.OperationalError) and error.sqlstate != "57014":
            raise  # a time-out is the check's failure, a lost connection is not
        message = _explained(check, counted.as_string(connection), error)
        return _result(check, CheckStatus.BROKEN, seconds=time.monotonic() - begun, message=message)
    return _result(check, check.verdict(found.failures), found, seconds=time.monotonic() - begun)


class _Rows(NamedTuple):
    """How many offending rows a check has found, and the first of them."""

    failures: int = 0
    columns: tuple[str, ...] = ()
    sample: tuple[tuple[str | None, ...], ...] = ()


_NONE = _Rows()


def _result(
    check: Check, status: CheckStatus, rows: _Rows = _NONE, *, seconds: float = 0, message: str | None = None
) -> CheckResult:
    return CheckResult(
        name=check.name, severity=check.severity, status=status, seconds=seconds, message=message, **rows._asdict()
    )


def _as_text(cursor: psycopg.Cursor[TupleRow]) -> list[tuple[str | None, ...]]:
    """Return a result as the server wrote it: Python has no date that is infinite."""
    result = cursor.pgresult
    if result is None:
        return []
    fields = [[result.get_value(row, column) for column in range(result.nfields)] for row in range(result.ntuples)]
    return [tuple(None if field is None else field.decode() for field in row) for row in fields]


def _only_value(cursor: psycopg.Cursor[tuple[int]]) -> int:
    row = cursor.fetchone()
    return row[0] if row else 0


def _explained(check: Check, statement: str, error: psycopg.Error) -> str:
    """Return what the server said, with the place in the check's file where it told one."""
    said = error.diag.message_primary or str(error)
    if check.file is None:
        return said
    position = error.diag.statement_position
    # One line comes before the check's own first; what is missing at its end is found in the line after it.
    line = min(statement.count("\n", 0, int(position)), check.query.as_string().count("\n") + 1) if position else 0
    return f"{check.file}, line {line}: {said}" if line else f"{check.file}: {said}"
