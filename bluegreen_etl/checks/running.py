"""Runs checks: read only, in one snapshot, with the release first in the search path."""

import time
from collections.abc import Sequence

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from bluegreen_etl import config, db
from bluegreen_etl.checks.check import Check
from bluegreen_etl.model import CheckResult, CheckStatus


def run(connection: db.Connection, schema: str, checks: Sequence[Check], settings: config.Checks) -> list[CheckResult]:
    """Run checks in one read-only snapshot with `schema` first in the search path.

    A check that cannot be run has status broken: it counts as failed whatever its severity.
    """
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        connection.execute(
            "SELECT set_config('search_path', quote_ident(%s) || ', ' || current_setting('search_path'), true)",
            (schema,),
        )
        connection.execute(
            "SELECT set_config('statement_timeout', %s, true)", (f"{round(settings.statement_timeout * 1000)}ms",)
        )
        return [_run_one(connection, check, settings.sample) for check in checks]


def failed(results: Sequence[CheckResult]) -> list[CheckResult]:
    """Return the results that stop a release."""
    return [result for result in results if result.status in {CheckStatus.FAILED, CheckStatus.BROKEN}]


def _run_one(connection: db.Connection, check: Check, sample: int) -> CheckResult:
    begun = time.monotonic()
    rows_found = sql.SQL("FROM (\n{}\n) AS offending LIMIT {}")
    # One line before the check's own first, and no more: an error's place is counted from there.
    counted = sql.SQL("SELECT count(*) FROM (SELECT {}) AS counted").format(
        rows_found.format(check.query, sql.Literal(check.limit))
    )
    most = sample if check.limit is None else min(sample, check.limit)
    shown = sql.SQL("SELECT * {}").format(rows_found.format(check.query, sql.Literal(most)))
    columns: tuple[str, ...] = ()
    rows: list[tuple[str | None, ...]] = []
    try:
        with connection.transaction():
            # Binary results need the extended protocol, which refuses a second statement: COMMIT would end READ ONLY.
            count = _only_value(connection.execute(counted, binary=True))
            if count:
                cursor = connection.execute(shown)
                columns = tuple(column.name for column in cursor.description or ())
                rows = _as_text(cursor)
    except psycopg.OperationalError as error:
        if error.sqlstate != "57014":  # a time-out is the check's failure, a lost connection is not
            raise
        return _broken(check, counted.as_string(connection), error, time.monotonic() - begun)
    except psycopg.Error as error:
        return _broken(check, counted.as_string(connection), error, time.monotonic() - begun)
    return CheckResult(
        name=check.name,
        severity=check.severity,
        status=check.verdict(count),
        failures=count,
        seconds=time.monotonic() - begun,
        columns=columns,
        sample=tuple(rows),
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


def _broken(check: Check, statement: str, error: psycopg.Error, seconds: float) -> CheckResult:
    place = ""
    if check.file:
        position = error.diag.statement_position
        # One line comes before the check's own first; what is missing at its end is found in the line after it.
        line = min(statement.count("\n", 0, int(position)), check.query.as_string().count("\n") + 1) if position else 0
        place = f"{check.file}, line {line}: " if line else f"{check.file}: "
    return CheckResult(
        name=check.name,
        severity=check.severity,
        status=CheckStatus.BROKEN,
        failures=0,
        seconds=seconds,
        message=f"{place}{error.diag.message_primary or error}",
    )
