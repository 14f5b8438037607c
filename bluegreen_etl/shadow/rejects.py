"""Rows that are broken, where a load may go on without them: counted, and written to a file with place and reason.

Nothing of this happens until a block is refused. From there on blocks are copied one by one, each in a subtransaction;
one that is refused is taken apart, and a record is rejected only when the server refuses it by itself.
"""

import csv
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from pathlib import Path

import psycopg

from bluegreen_etl import errors, model
from bluegreen_etl.model import Block, FileReader, FileRecord
from bluegreen_etl.shadow.copy_errors import Refusal

_HEAD = ("file", "line", "reason", "text")
# A share says nothing of the first few rows; a file that is wholly broken must not be taken apart to its end.
ASKED_FROM = 1000
# Broken rows come in clusters: after one, few are sent at once, and more where these are sound.
_AFTER_ONE = 16
_GROWTH = 8
_UNSAFE = re.compile(r"[\x00-\x1f/\\:*?\"<>|%]|^\.")


class Broken(Exception):
    """A block is refused, for the sake of a row that may be left out."""


class Allowed(model.Record, frozen=True, kw_only=True):
    """How many rows of a table may be broken: so many, or so many in a hundred; `directory` is for the files."""

    rows: int | None = None
    percent: Decimal | None = None
    directory: Path

    def exceeded(self, rejected: int, total: int) -> bool:
        """Say whether so many of so many rows are too many."""
        if self.percent is None:
            return rejected > (self.rows or 0)
        return rejected * 100 > self.percent * total


def allowed(limit: int | str, directory: Path) -> Allowed | None:
    """Read a setting: a number, or a share such as `1 %`; None where no row may be broken."""
    if isinstance(limit, str) and limit.endswith("%"):
        percent = Decimal(limit.rstrip("% "))
        return Allowed(percent=percent, directory=directory) if percent else None
    return Allowed(rows=int(limit), directory=directory) if int(limit) else None


def is_about_row(error: psycopg.Error) -> bool:
    """Say whether the server refuses a value or a row: bad data, a constraint of the table, or a trigger's word."""
    return bool(error.diag.context) and (error.sqlstate or "")[:2] in {"22", "23", "P0"}


class Rejects:
    """The broken rows of one table's files; used by all connections that load it."""

    def __init__(self, allowed: Allowed, release: model.Release, table: str, read: Callable[[], int]) -> None:
        """Prepare for the worst, which costs nothing; `read` says about how many rows have been read."""
        self.count = 0
        self.path = allowed.directory / release.shadow_schema / f"{_file_name(table)}.csv"
        self._allowed = allowed
        self._table = table
        self._read = read
        self._first = ""
        self._guard = threading.Lock()

    def begin(self) -> None:
        """Forget what was found: the table begins anew."""
        if self.count:
            self.path.unlink(missing_ok=True)
        self.count = 0

    def settle(self, rows: int) -> None:
        """Refuse too many broken rows beside the `rows` that are in the table.

        Raises:
            BadRow: they are too many.
        """
        if self.count and self._allowed.exceeded(self.count, rows + self.count):
            raise self._too_many(rows + self.count)

    def sift(self, path: str, reader: FileReader, blocks: Iterable[Block], send: Callable[[Block], int]) -> int:
        """Copy the blocks of a file but for their broken rows; return how many rows they were.

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
            rows += self._take_apart(path, reader, block, send)
        return rows

    def _take_apart(self, path: str, reader: FileReader, block: Block, send: Callable[[Block], int]) -> int:
        rows = 0
        sound = []
        for record in reader.records(block):
            if record.fault:
                self._add(path, reader.unit, record, Refusal(None, None, record.fault))
            else:
                sound.append(record)
        place, size, planned = 0, len(sound), deque[int]()
        while place < len(sound):
            records = sound[place : place + (planned.popleft() if planned else size)]
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
        """Write a record into the file, and refuse when there are too many."""
        with self._guard:
            if not self.count:
                self._first = f"{path}, {unit} {record.number}{', ' if said.column else ': '}{said.explained}"
            text = record.text.replace("\0", "\\x00")
            self._write([path, record.number, said.explained, text], anew=not self.count)
            # A stray quote makes one record of many lines, each of which was meant as a row.
            self.count += record.size
            total = max(self._read(), self.count)
            sure = self._allowed.percent is None or self.count >= ASKED_FROM
            if sure and self._allowed.exceeded(self.count, total):
                raise self._too_many(total)

    def _write(self, row: Sequence[object], *, anew: bool) -> None:
        try:
            if anew:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("w" if anew else "a", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerows([_HEAD, row] if anew else [row])
        except OSError as error:
            raise errors.Refused(
                f"{self._first}; it cannot be written to {self.path}: {error.strerror}",
                hint="Make the directory writable, or mend the file and load again.",
            ) from error

    def _too_many(self, total: int) -> errors.BadRow:
        if self._allowed.percent is None:
            found = f"more than {self._allowed.rows} rows for table {self._table} are broken"
        else:
            found = (
                f"{self.count} of {total} rows for table {self._table} are broken, more than {self._allowed.percent} %"
            )
        return errors.BadRow(
            f"{found}; {self.path} has them, the first is {self._first}",
            hint="Mend the files and load again, or raise reject_limit.",
        )


def _up_to(records: Sequence[FileRecord], line: int | None) -> tuple[int, ...]:
    """Return how many records come before a line, and the one that it is in; half of them where it is not told."""
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


def _file_name(table: str) -> str:
    """Return a table's name as that of a file, on any system."""
    return _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", table)
