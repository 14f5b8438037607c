"""Streams files into a shadow's tables by COPY over several connections.

A table that one connection loads is truncated and copied in one transaction with FREEZE: its rows are then visible
even to snapshots older than the load. A table that is larger than one connection's share is dealt out: every
connection takes the next block of whole records, whoever is free.
"""

import itertools
import re
import select
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import psycopg
from psycopg import sql

from bluegreen_etl import db, errors, interrupts, model, names
from bluegreen_etl.model import Block, Reader, SourceFile, Table, TableLoad
from bluegreen_etl.shadow import parallel

# Below this, the transactions and the missing FREEZE of a dealt table cost more than a second connection gives.
DEAL_BYTES = 32 * 1024 * 1024

_CONTEXT = re.compile(r"(?P<line>\d+)(?:, \w+ (?P<column>.+?))?(?:: [^\w\s](?P<text>.*)[^\w\s])?$", re.DOTALL)
_SHOWN = 60
Progress = Callable[[str, int], None]


class Opened(model.Record, frozen=True, kw_only=True):
    """A source with its reader, ready to be copied."""

    source: SourceFile
    reader: Reader


class Work(model.Record, frozen=True, kw_only=True):
    """A table with the files that fill it."""

    table: Table
    files: tuple[Opened, ...]

    @property
    def size(self) -> int | None:
        """Bytes on disk of its files; None where that of one is not known yet."""
        sizes = [opened.source.size for opened in self.files]
        return None if None in sizes else sum(size or 0 for size in sizes)


def load(
    server: db.Server,
    release: model.Release,
    work: Sequence[Work],
    *,
    jobs: int,
    settings: Mapping[str, str],
    progress: Progress,
) -> list[TableLoad]:
    """Fill the tables; `progress(table, bytes)` is told of every block's bytes on disk, from any thread.

    Raises:
        BadRow: a value was refused; names file, line, column, the text shortened.
        BadSource: a file cannot be read to its end.
        ServerFailed: the server failed or is gone.
    """
    total = sum(item.size or 0 for item in work)
    largest_first = sorted(work, key=lambda item: -(item.size or 0))
    loads = [_Load(release, item, _is_dealt(item, total, jobs), progress) for item in largest_first]
    tasks = [task for item in loads for task in itertools.repeat(item.copy, jobs if item.dealt else 1)]
    purpose = f"load {release.live_schema} r{release.number}"
    parallel.run(server, purpose, tasks, jobs=jobs, settings=settings)
    return [item.result() for item in loads]


def _is_dealt(item: Work, total: int, jobs: int) -> bool:
    # What may turn out to be small is not worth the loss of FREEZE.
    return jobs > 1 and item.size is not None and item.size >= DEAL_BYTES and item.size * jobs > total


class _Load:
    """The load of one table: shared by the connections that take part in it."""

    def __init__(self, release: model.Release, work: Work, dealt: bool, progress: Progress) -> None:
        self.dealt = dealt
        self._work = work
        self._place = sql.Identifier(release.shadow_schema, work.table.name)
        self._inferred = release.structure is model.StructureFrom.FILES
        self._frozen = not dealt and not work.table.partitioned
        self._dealers = [_Dealer(opened, partial(progress, work.table.name)) for opened in work.files]
        self._guard = threading.Lock()
        self._rows = 0
        self._begun: float | None = None
        self._ended = 0.0

    def copy(self, connection: db.Connection, stop: threading.Event) -> None:
        """Take part in loading the table until there is nothing left of it."""
        with self._guard:
            self._begun = self._begun or time.monotonic()
        if self.dealt:
            rows = sum(self._copy_file(connection, dealer, stop) for dealer in self._dealers)
        else:
            with connection.transaction():
                connection.execute(sql.SQL("TRUNCATE ONLY {}" if self._frozen else "TRUNCATE {}").format(self._place))
                rows = sum(self._copy_file(connection, dealer, stop) for dealer in self._dealers)
        with self._guard:
            self._rows += rows
            self._ended = time.monotonic()

    def result(self) -> TableLoad:
        """Return what was done, once all have ended."""
        return TableLoad(
            table=self._work.table.name,
            files=len(self._work.files),
            rows=self._rows,
            bytes=sum(opened.reader.size for opened in self._work.files),
            seconds=self._ended - (self._begun or self._ended),
            frozen=self._frozen,
        )

    def _copy_file(self, connection: db.Connection, dealer: "_Dealer", stop: threading.Event) -> int:
        sent: list[tuple[int, Block]] = []
        lines = 0
        interrupted = False
        try:
            with connection.cursor() as cursor:
                with cursor.copy(self._statement(dealer.opened.reader)) as copy:
                    for block in dealer.blocks(stop):
                        # COPY tells of an error only at its end; a word from the server means that it has one.
                        interrupted = bool(select.select([connection.fileno()], [], [], 0)[0])
                        if interrupted:
                            break
                        if not sent:
                            # A header, because the server counts the lines inside values only once it has seen how
                            # lines end.
                            copy.write(_line_end(block.data))
                        sent.append((lines, block._replace(data=b"")))
                        copy.write(block.data)
                        lines += block.lines
                if interrupted:
                    raise errors.ServerFailed("the server interrupted COPY", hint="Look at the server's log.")
                return cursor.rowcount
        except psycopg.Error as error:
            if stop.is_set() or not error.diag.context or (error.sqlstate or "")[:2] not in {"22", "23", "42", "P0"}:
                raise
            raise self._bad_row(error, dealer.opened, sent) from error

    def _statement(self, reader: Reader) -> sql.Composed:
        options = reader.copy_options
        parts = [
            sql.SQL("FORMAT csv, HEADER"),
            sql.SQL("DELIMITER {}").format(sql.Literal(options.delimiter)),
            sql.SQL("QUOTE {}").format(sql.Literal(options.quote)),
            sql.SQL("ESCAPE {}").format(sql.Literal(options.escape)),
            sql.SQL("NULL {}").format(sql.Literal(options.null)),
            sql.SQL("ENCODING {}").format(sql.Literal(options.encoding)),
        ]
        if self._frozen:
            parts.append(sql.SQL("FREEZE"))
        return sql.SQL("COPY {} ({}) FROM STDIN ({})").format(
            self._place, sql.SQL(", ").join(map(sql.Identifier, reader.columns)), sql.SQL(", ").join(parts)
        )

    def _bad_row(self, error: psycopg.Error, opened: Opened, sent: list[tuple[int, Block]]) -> errors.BadRow:
        """Return the server's error with the place in the file that its line in the stream stands for."""
        context = error.diag.context or ""
        match = _CONTEXT.search(context.partition(f"COPY {self._work.table.name}, ")[2] or context)
        where, column, text = "", error.diag.column_name, None
        if match and sent:
            line = int(match["line"]) - 1  # the header's
            before, block = sent[bisect_right(sent, line - 1, key=lambda item: item[0]) - 1]
            where = f", {opened.reader.locate(block.number, block.first, line - before)}"
            column, text = column or match["column"], match["text"]
        reason = _with_value(error.diag.message_primary or "", text or "")
        column_part = f", column {names.quoted(column)}" if column else ""
        return errors.BadRow(
            f"{opened.source.path}{where}{column_part}: {reason}", hint=self._hint(error.sqlstate or "", column)
        )

    def _hint(self, sqlstate: str, column: str | None) -> str:
        table = names.toml_key(self._work.table.name)
        if sqlstate == "22021":
            return f'Say how the file is encoded: encoding = "LATIN1" in [tables.{table}], or --encoding.'
        if self._inferred and column and sqlstate.startswith("22"):
            return (
                f"The type was inferred from the file's first rows; declare another one in bluegreen.toml: "
                f'[tables.{table}] types = {{ {names.toml_key(column)} = "text" }}, or give your own DDL.'
            )
        return "Mend the file and load again."


def _line_end(records: bytes) -> bytes:
    return b"\r\n" if records.endswith(b"\r\n") else records[-1:]


def _with_value(reason: str, value: str) -> str:
    """Return the server's reason on one line with the value that it is about, both shortened."""
    shown = f"{value[:_SHOWN]}…" if len(value) > _SHOWN else value
    if value and value[:_SHOWN] not in reason:
        reason += f': "{shown}"'
    elif shown != value:
        reason = reason.partition(value[:_SHOWN])[0] + f'{shown}"'
    return reason.replace("\r", "\\r").replace("\n", "\\n")


class _Dealer:
    """Hands the blocks of one file to whoever asks, each block once."""

    def __init__(self, opened: Opened, progress: Callable[[int], None]) -> None:
        self.opened = opened
        self._progress = progress
        self._source: Iterator[Block] | None = None
        self._consumed = 0
        self._guard = threading.Lock()

    def blocks(self, stop: threading.Event) -> Iterator[Block]:
        """Yield blocks until the file is exhausted, or the load is to stop."""
        while (block := self._next(stop)) is not None:
            yield block

    def _next(self, stop: threading.Event) -> Block | None:
        with self._guard:
            if stop.is_set():
                raise errors.Interrupted("stopped because another stream failed")
            if self._source is None:
                self._source = iter(self.opened.reader.blocks())
            with interrupts.heeding(stop):
                block = next(self._source, None)
            consumed = block.consumed if block else self.opened.reader.size
            self._progress(consumed - self._consumed)
            self._consumed = consumed
            return block
