"""Reject bad rows when a load may go on without them: count them, and write them to a file with place and reason.

The load is as usual until the server refuses a block. From then on blocks are copied one by one, each in a
subtransaction; a refused block is split, and a record is rejected only if the server refuses it alone.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from pathlib import Path

import psycopg

from bluegreen_etl import errors, model
from bluegreen_etl.model import Block, FileReader, FileRecord
from bluegreen_etl.shadow.copy_errors import Refusal
from bluegreen_etl.shadow.reject_file import RejectFile

# A share says nothing about the first few rows; a file without a good row must not be split to its end.
ASKED_FROM = 1000
# Bad rows come in clusters: after one, few rows are sent at once, and more while these are good.
_AFTER_ONE = 16
_GROWTH = 8


class BlockRefused(Exception):
    """The server refuses a block because of a row that may be rejected."""


class Allowed(model.Record, frozen=True, kw_only=True):
    """How many rows of a table may be rejected: a number or a percentage; `directory` is for the files."""

    rows: int | None = None
    percent: Decimal | None = None
    directory: Path

    def exceeded(self, rejected: int, total: int) -> bool:
        """Say whether `rejected` of `total` rows are too many."""
        if self.percent is None:
            return rejected > (self.rows or 0)
        return rejected * 100 > self.percent * total


def allowed(limit: int | str, directory: Path) -> Allowed | None:
    """Read a setting: a number, or a share such as `1 %`; return None if no row may be rejected."""
    if isinstance(limit, str) and limit.endswith("%"):
        percent = Decimal(limit.rstrip("% "))
        return Allowed(percent=percent, directory=directory) if percent else None
    return Allowed(rows=int(limit), directory=directory) if int(limit) else None


def is_about_row(error: psycopg.Error) -> bool:
    """Say whether the server refuses a value or a row: bad data, a constraint, or an error of a trigger."""
    return bool(error.diag.context) and (error.sqlstate or "")[:2] in {"22", "23", "P0"}


class Rejects:
    """The rejected rows of one table's files, for all connections that load the table."""

    def __init__(self, allowed: Allowed, release: model.Release, table: str, read: Callable[[], int]) -> None:
        """Start with no rejected row; `read` returns about how many rows have been read."""
        self.count = 0
        self._file = RejectFile(allowed.directory / release.shadow_schema, table)
        self._allowed = allowed
        self._table = table
        self._read = read
        self._first = ""
        self._guard = threading.Lock()

    @property
    def path(self) -> Path:
        """The file with the rows."""
        return self._file.path

    def begin(self) -> None:
        """Discard the rejected rows: the load of the table starts again."""
        self._file.discard()
        self.count = 0

    def settle(self, rows: int) -> None:
        """Check the number of rejected rows when `rows` rows are in the table.

        Raises:
            BadRow: too many rows are bad.
        """
        if self.count and self._allowed.exceeded(self.count, rows + self.count):
            raise self._too_many(rows + self.count)

    def sift(self, path: str, reader: FileReader, blocks: Iterable[Block], send: Callable[[Block], int]) -> int:
        """Copy the blocks of a file without their bad rows; return how many rows were copied.

        Args:
            path: what the file is called.
            send: copies a block, or nothing of it, and returns its rows.

        Raises:
            BadRow: too many are broken.
            BadSource: a record has no end.
        """
        rows = 0
        for block in blocks:
            try:
                if not block.broken:
                    rows += send(block)
                    continue
            except psycopg.Error as error:
                if not is_about_row(error):
                    raise
            rows += self._split(path, reader, block, send)
        return rows

    def _split(self, path: str, reader: FileReader, block: Block, send: Callable[[Block], int]) -> int:
        rows = 0
        good = []
        for record in reader.records(block):
            if record.fault:
                self._add(path, reader.unit, record, Refusal(None, None, record.fault))
            else:
                good.append(record)
        place, size, planned = 0, len(good), deque[int]()
        while place < len(good):
            records = good[place : place + (planned.popleft() if planned else size)]
            try:
                rows += send(_joined(block, records))
                size *= _GROWTH
            except psycopg.Error as error:
                if not is_about_row(error):
                    raise
                said = Refusal.of(error, self._table)
                if len(records) > 1:
                    planned = deque(_up_to(records, said.line and said.line - reader.copy_options.csv))
                    continue
                self._add(path, reader.unit, records[0], said)
                size = _AFTER_ONE
            place += len(records)
        return rows

    def _add(self, path: str, unit: str, record: FileRecord, said: Refusal) -> None:
        """Write a record into the file; raise BadRow if too many are bad."""
        with self._guard:
            if not self.count:
                self._first = f"{path}, {unit} {record.number}{', ' if said.column else ': '}{said.explained}"
            text = record.text.replace("\0", "\\x00")
            self._write([path, record.number, said.explained, text])
            # A stray quote turns many lines, each meant as a row, into one record.
            self.count += record.size
            total = max(self._read(), self.count)
            sure = self._allowed.percent is None or self.count >= ASKED_FROM
            if sure and self._allowed.exceeded(self.count, total):
                raise self._too_many(total)

    def _write(self, row: Sequence[object]) -> None:
        try:
            self._file.append(row)
        except OSError as error:
            raise errors.Refused(
                f"{self._first}; it cannot be written to {self.path}: {error.strerror}",
                hint="Make the directory writable, or fix the file and load again.",
            ) from error

    def _too_many(self, total: int) -> errors.BadRow:
        if self._allowed.percent is None:
            found = f"more than {self._allowed.rows} rows for table {self._table} are bad"
        else:
            found = f"{self.count} of {total} rows for table {self._table} are bad, more than {self._allowed.percent} %"
        return errors.BadRow(
            f"{found}; {self.path} has them, the first is {self._first}",
            hint="Fix the files and load again, or raise `reject_limit`.",
        )


def _up_to(records: Sequence[FileRecord], line: int | None) -> tuple[int, ...]:
    """Return how many records come before the one with a line, and 1 for that; half of them if no line is known."""
    last = 0
    for place, record in enumerate(records):
        last += record.lines
        if line is not None and 0 < line <= last:
            return (place, 1) if place else (1,)
    return (len(records) // 2,)


def _joined(block: Block, records: Sequence[FileRecord]) -> Block:
    """Return a block of records."""
    data = b"".join(record.data for record in records)
    return block._replace(data=data, lines=sum(record.lines for record in records), broken=False)
