"""Finds and runs checks: SELECTs of offending rows, read only, with the release first in the search path.

A check is what dbt calls a singular test: one *.sql file with one SELECT; header comments say the rest
(docs/checks.md).
"""

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from bluegreen_etl import catalog, config, db, errors, model
from bluegreen_etl.model import CheckResult, CheckStatus, Severity

_HEADER = re.compile(r"^--\s*(?P<key>\w+):\s*(?P<value>.*?)\s*$", re.MULTILINE)


class Check(model.Record, frozen=True, kw_only=True):
    """One check: its SELECT, and where it was found (None for those that come with the tool)."""

    name: str
    query: sql.Composable
    severity: Severity = Severity.ERROR
    description: str | None = None
    tags: tuple[str, ...] = ()
    file: str | None = None


def find(directory: Path) -> list[Check]:
    """Read every *.sql file of a directory, in the order of their names.

    Raises:
        UsageError: no such directory, an unreadable or empty file, an unknown severity.
    """
    if not directory.is_dir():
        raise errors.UsageError(f"no such directory of checks: {directory}", hint="Check checks.path.")
    return [_read(file) for file in sorted(directory.glob("*.sql"))]


def no_empty_table(schema: str, tables: Sequence[str]) -> list[Check]:
    """Return the check that comes with every load: it finds the tables of `tables` that hold no row."""
    query = sql.SQL("SELECT {} AS empty_table WHERE NOT EXISTS (SELECT FROM {})")
    parts = [query.format(sql.Literal(table), sql.Identifier(schema, table)) for table in tables]
    if not parts:
        return []
    description = "allow it for a table with allow_empty = true in its section"
    return [Check(name="no_empty_table", query=sql.SQL("\nUNION ALL ").join(parts), description=description)]


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


def empty_tables(connection: db.Connection, oid: int, allowed: Mapping[str, config.TableSettings]) -> list[str]:
    """Return the tables of a schema that may not be empty."""
    names = [table.name for table in catalog.tables(connection, oid)]
    return [name for name in names if not (name in allowed and allowed[name].allow_empty)]


def _read(file: Path) -> Check:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise errors.UsageError(f"{file} cannot be read: {error}", hint="Check checks.path.") from error
    header = {match["key"].lower(): match["value"] for match in _HEADER.finditer(text)}
    try:
        severity = msgspec.convert(header.get("severity", "error").lower(), Severity)
    except msgspec.ValidationError as error:
        raise errors.UsageError(
            f'{file}: severity "{header["severity"]}" is neither warn nor error', hint="Write `-- severity: warn`."
        ) from error
    # The text is the project's own SQL; the server runs it read only.
    return Check(
        name=file.stem,
        query=sql.SQL(text.rstrip().rstrip(";")),
        severity=severity,
        description=header.get("description"),
        tags=tuple(tag.strip() for tag in header.get("tags", "").split(",") if tag.strip()),
        file=str(file),
    )


def _run_one(connection: db.Connection, check: Check, sample: int) -> CheckResult:
    begun = time.monotonic()
    counted = sql.SQL("SELECT count(*) FROM (\n{}\n) AS offending").format(check.query)
    shown = sql.SQL("SELECT * FROM (\n{}\n) AS offending LIMIT {}").format(check.query, sql.Literal(sample))
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
        return _broken(check, error, time.monotonic() - begun)
    except psycopg.Error as error:
        return _broken(check, error, time.monotonic() - begun)
    bad = CheckStatus.FAILED if check.severity is Severity.ERROR else CheckStatus.WARNED
    return CheckResult(
        name=check.name,
        severity=check.severity,
        status=bad if count else CheckStatus.PASSED,
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


def _broken(check: Check, error: psycopg.Error, seconds: float) -> CheckResult:
    line = ""
    if error.diag.statement_position and check.file:
        text = check.query.as_string()
        # The wrapping query puts one line before the check's own first.
        position = int(error.diag.statement_position) - len("SELECT count(*) FROM (\n")
        line = f", line {text.count(chr(10), 0, max(position, 0)) + 1}"
    place = f"{check.file}{line}: " if check.file else ""
    return CheckResult(
        name=check.name,
        severity=check.severity,
        status=CheckStatus.BROKEN,
        failures=0,
        seconds=seconds,
        message=f"{place}{error.diag.message_primary or error}",
    )
