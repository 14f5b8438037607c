"""Streams files into a shadow's tables by COPY over several connections.

A table that one connection loads is truncated and copied in one transaction with FREEZE: its rows are then visible
even to snapshots older than the load. A table that is larger than one connection's share is dealt out: every
connection takes the next block of whole records, whoever is free. On Citus, how many do is measured.
"""

import contextlib
import itertools
import os
import select
import socket
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import cast

import psycopg
from psycopg import sql

from bluegreen_etl import db, errors, interrupts, model, names, parallel
from bluegreen_etl.model import STDIN, Block, FileReader, Reader, SourceFile, Table, TableLoad
from bluegreen_etl.shadow import rejects
from bluegreen_etl.shadow.copy_errors import Refusal, is_refusal
from bluegreen_etl.shadow.copy_parallelism import Streams
from bluegreen_etl.workers import Workers

# Below this, the transactions and the missing FREEZE of a dealt table cost more than a second connection gives.
DEAL_BYTES = 32 * 1024 * 1024

# https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format": no flags, no extension; and no more tuples.
_BINARY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
BINARY_TRAILER = b"\xff\xff"
# What the kernel may hold of a connection's data: the server then has something to read until this process wakes up.
_SENT_AHEAD = 1 << 20
Progress = Callable[[str, int], None]


class Opened(model.Record, frozen=True, kw_only=True):
    """A source with its reader, ready to be copied."""

    source: SourceFile
    reader: Reader


class Work(model.Record, frozen=True, kw_only=True):
    """A table with the files that fill it; `allowed`: how many of their rows may be broken, where any may.

    `freeze`: its rows may be seen by older snapshots, where one connection brings them.
    """

    table: Table
    files: tuple[Opened, ...]
    allowed: rejects.Allowed | None = None
    freeze: bool = True

    @property
    def size(self) -> int | None:
        """Bytes on disk of its files; None where that of one is not known yet."""
        sizes = [opened.source.size for opened in self.files]
        return None if None in sizes else sum(size or 0 for size in sizes)

    @property
    def once(self) -> bool:
        """Whether it can be read only once."""
        return any(opened.source.address == (STDIN,) for opened in self.files)

    @property
    def weight(self) -> int | None:
        """About how many bytes COPY will have to read; None where nobody knows."""
        weights = [opened.source.weight for opened in self.files]
        return None if None in weights else sum(weight or 0 for weight in weights)


def begin(
    release: model.Release,
    work: Sequence[Work],
    *,
    jobs: int,
    workers: Workers,
    progress: Progress,
    measured: bool = False,
) -> list["Load"]:
    """Return the loads of the tables, the largest first, for parallel.run.

    `measured`: no more connections take part in loading one table than prove to be of use.
    `progress(table, bytes)` is told of every block's bytes on disk, from any thread. The tasks raise BadRow when a
    value is refused, with file, line, column and the text shortened, and BadSource when a file cannot be read to
    its end.
    """
    total = sum(item.weight or 0 for item in work)
    largest_first = sorted(work, key=lambda item: -(item.weight or 0))
    return [
        Load(release, item, Streams(jobs if _is_dealt(item, total, jobs) else 1, measured=measured), workers, progress)
        for item in largest_first
    ]


def append(
    connection: db.Connection, release: model.Release, work: Work, *, workers: Workers, progress: Progress
) -> TableLoad:
    """Copy files into a table on a connection that is there already, beside the rows that the table has.

    Raises:
        BadRow, BadSource: as the tasks of begin.
    """
    load = Load(release, work, Streams(1, measured=False), workers, progress, beside=True)
    [task] = load.tasks
    task.work(connection, threading.Event())
    return load.result()


def _is_dealt(item: Work, total: int, jobs: int) -> bool:
    # What may turn out to be small is not worth the loss of FREEZE.
    # Blocks that one connection has to copy again cannot be had again.
    if jobs == 1 or (item.once and item.allowed):
        return False
    return item.weight is not None and item.weight >= DEAL_BYTES and item.weight * jobs > total


class Load:
    """The load of one table: its `tasks` are the connections that take part in it, `at_once` of them from the start."""

    def __init__(
        self,
        release: model.Release,
        work: Work,
        streams: Streams,
        workers: Workers,
        progress: Progress,
        *,
        beside: bool = False,
    ) -> None:
        self.table = work.table
        # Rows that are there, or that other connections bring, stay.
        self._shared = beside or streams.most > 1
        repeatable = not self._shared and not work.once
        self.tasks = [parallel.Task(self._copy, repeatable=repeatable) for _ in range(streams.most)]
        self.at_once = streams.width.wanted
        self.streams = streams
        self._busy = streams.most
        self._work = work
        self._place = sql.Identifier(release.shadow_schema, work.table.name)
        self._inferred = release.structure is model.StructureFrom.FILES
        self.frozen = work.freeze and not self._shared and not work.table.partitioned
        self._dealers = [_Dealer(opened, workers, partial(progress, work.table.name)) for opened in work.files]
        self._rejects = rejects.Rejects(work.allowed, release, work.table.name, self._read) if work.allowed else None
        self._guard = threading.Lock()
        self._rows = 0
        self._begun: float | None = None
        self._ended = 0.0

    def _copy(self, connection: db.Connection, stop: threading.Event) -> None:
        """Take part in loading the table until there is nothing left of it."""
        with self._guard:
            self._begun = self._begun or time.monotonic()
        _send_ahead(connection)
        fill = self._share if self._shared else self._alone
        rows = fill(connection, stop)
        with self._guard:
            self._rows += rows
            self._ended = time.monotonic()
            self._busy -= 1
            if self._rejects and not self._busy:
                self._rejects.settle(self._rows)

    @property
    def may_thaw(self) -> bool:
        """Whether a broken row may yet take `frozen` back."""
        return self._rejects is not None

    @property
    def rejected(self) -> rejects.Rejects | None:
        """The rows that were broken, where some were."""
        return self._rejects if self._rejects and self._rejects.count else None

    def _share(self, connection: db.Connection, stop: threading.Event) -> int:
        """Copy blocks beside other connections; where one is refused, those of this connection one by one."""
        rows, place = 0, self.streams.enter(stop)
        for dealer in self._dealers:
            if place is None or not self.streams.stays(place):
                break
            blocks = self.streams.dealt(place, dealer.blocks(stop))
            sent: list[tuple[int, Block]] = []
            try:
                with connection.transaction():
                    rows += self._copy_file(connection, dealer.opened, blocks, stop, sent)
            except rejects.Broken:
                again = dealer.again({block.number for _, block in sent})
                with connection.transaction():
                    rows += self._sift(connection, dealer.opened, itertools.chain(again, blocks))
        if place is not None:
            self.streams.leave(place)
        return rows

    def _alone(self, connection: db.Connection, stop: threading.Event) -> int:
        """Fill the table by this connection alone; where a block is refused, once more block by block."""
        # What comes once cannot be had once more.
        sifting = self._rejects is not None and self._work.once
        while True:
            for dealer in self._dealers:
                dealer.begin()
            if self._rejects:
                self._rejects.begin()
            # FREEZE wants the table truncated in the same subtransaction, and what may be refused has one of its own.
            self.frozen = self.frozen and not sifting
            try:
                with connection.transaction():
                    only = not self._work.table.partitioned
                    connection.execute(sql.SQL("TRUNCATE ONLY {}" if only else "TRUNCATE {}").format(self._place))
                    if sifting:
                        return sum(self._sift(connection, each.opened, each.blocks(stop)) for each in self._dealers)
                    return sum(
                        self._copy_file(connection, dealer.opened, dealer.blocks(stop), stop, [])
                        for dealer in self._dealers
                    )
            except rejects.Broken:
                sifting = True

    def result(self) -> TableLoad:
        """Return what was done, once all have ended."""
        return TableLoad(
            table=self._work.table.name,
            files=len(self._work.files),
            rows=self._rows,
            bytes=sum(opened.reader.size for opened in self._work.files),
            seconds=self._ended - (self._begun or self._ended),
            frozen=self.frozen,
            rejected=self._rejects.count if self._rejects else 0,
            rejects=str(self.rejected.path) if self.rejected else None,
        )

    def _copy_file(
        self,
        connection: db.Connection,
        opened: Opened,
        blocks: Iterable[Block],
        stop: threading.Event,
        sent: list[tuple[int, Block]],
    ) -> int:
        """Copy blocks of a file in one COPY; `sent` gets each without its data, after the lines that came before it.

        Raises:
            Broken: one is refused, and may be.
        """
        try:
            return self._stream(connection, opened.reader, self._noted(blocks, sent))
        except psycopg.Error as error:
            if stop.is_set() or not is_refusal(error):
                raise
            if self._rejects and rejects.is_about_row(error):
                raise rejects.Broken from error
            raise self._bad_row(error, opened, sent) from error

    def _noted(self, blocks: Iterable[Block], sent: list[tuple[int, Block]]) -> Iterator[Block]:
        lines = 0
        for block in blocks:
            sent.append((lines, block._replace(data=b"", origin=None)))
            if block.broken:
                raise rejects.Broken
            lines += block.lines
            yield block

    def _sift(self, connection: db.Connection, opened: Opened, blocks: Iterable[Block]) -> int:
        """Copy blocks one by one, without the rows that are broken."""
        assert self._rejects is not None
        reader = cast("FileReader", opened.reader)  # whoever allows broken rows has opened files

        def send(block: Block) -> int:
            with connection.transaction():
                return self._stream(connection, reader, [block])

        return self._rejects.sift(opened.source.path, reader, blocks, send)

    def _stream(self, connection: db.Connection, reader: Reader, blocks: Iterable[Block]) -> int:
        """Copy blocks in one COPY; return how many rows they were."""
        begun = interrupted = False
        options = reader.copy_options
        with connection.cursor() as cursor:
            with cursor.copy(self._statement(reader)) as copy:
                if options.binary:
                    copy.write(_BINARY_HEADER)
                for block in blocks:
                    # A word from the server means an error, which COPY tells of only at its end.
                    if interrupted := bool(select.select([connection.fileno()], [], [], 0)[0]):
                        break
                    if options.csv and not begun:
                        # A header, because the server counts the lines inside values only once it has seen how lines
                        # end.
                        copy.write(_line_end(block.data))
                    begun = True
                    copy.write(block.data)
                if options.binary:
                    copy.write(BINARY_TRAILER)
            if interrupted:  # by something else: what was sent is not the whole, and is rolled back
                raise errors.ServerFailed("the server interrupted COPY", hint="Look at the server's log.")
            return cursor.rowcount

    def _read(self) -> int:
        """Return about how many rows have been read."""
        return sum(dealer.lines for dealer in self._dealers)

    def _statement(self, reader: Reader) -> sql.Composed:
        options = reader.copy_options
        parts: list[sql.Composable] = (
            [sql.SQL("FORMAT binary")]
            if options.binary
            else [sql.SQL("FORMAT text"), sql.SQL("ENCODING {}").format(sql.Literal(options.encoding))]
            if options.text
            else [
                sql.SQL("FORMAT csv, HEADER"),
                sql.SQL("DELIMITER {}").format(sql.Literal(options.delimiter)),
                sql.SQL("QUOTE {}").format(sql.Literal(options.quote)),
                sql.SQL("ESCAPE {}").format(sql.Literal(options.escape)),
                sql.SQL("NULL {}").format(sql.Literal(options.null)),
                sql.SQL("ENCODING {}").format(sql.Literal(options.encoding)),
            ]
        )
        if self.frozen:
            parts.append(sql.SQL("FREEZE"))
        columns = sql.SQL(", ").join(map(sql.Identifier, reader.columns))
        # A backup names no column of a table that has none, or only generated ones.
        listed = sql.SQL(" ({})").format(columns) if reader.columns else sql.SQL("")
        return sql.SQL("COPY {}{} FROM STDIN ({})").format(self._place, listed, sql.SQL(", ").join(parts))

    def _bad_row(self, error: psycopg.Error, opened: Opened, sent: list[tuple[int, Block]]) -> errors.BadRow:
        """Return the server's error with the place in the file that its line in the stream stands for."""
        said = Refusal.of(error, self.table.name)
        where = ""
        if said.line and sent:
            line = said.line - opened.reader.copy_options.csv  # the header's
            before, block = sent[bisect_right(sent, line - 1, key=lambda item: item[0]) - 1]
            where = f", {opened.reader.locate(block.number, block.first, line - before)}"
        column = f", column {names.quoted(said.column)}" if said.column else ""
        return errors.BadRow(
            f"{opened.source.path}{where}{column}: {said.reason}",
            hint=said.hint(error.sqlstate or "", self.table.name, inferred=self._inferred),
        )


def _send_ahead(connection: db.Connection) -> None:
    """Enlarge the buffer of a local socket, which the kernel makes small; those of TCP grow by themselves."""
    if connection.info.host.startswith(("/", "@")):
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as own:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SENT_AHEAD)


def _line_end(records: bytes) -> bytes:
    return b"\r\n" if records.endswith(b"\r\n") else records[-1:]


class _Dealer:
    """Hands the blocks of one file to whoever asks, each block once."""

    def __init__(self, opened: Opened, workers: Workers, progress: Callable[[int], None]) -> None:
        self.opened = opened
        self._workers = workers
        self._progress = progress
        self.lines = 0  # dealt so far
        self._source: Iterator[Block] | None = None
        self._consumed = 0
        self._guard = threading.Lock()

    def begin(self) -> None:
        """Deal from the file's beginning, also where some of it was dealt already."""
        self._source = None
        self._progress(-self._consumed)
        self._consumed = self.lines = 0

    def again(self, numbers: Collection[int]) -> Iterator[Block]:
        """Yield blocks that were dealt already, read once more."""
        left = len(numbers)
        for block in self.opened.reader.blocks(self._workers) if left else ():
            if block.number in numbers:
                yield block
                left -= 1
                if not left:
                    return

    def blocks(self, stop: threading.Event) -> Iterator[Block]:
        """Yield blocks until the file is exhausted, or the load is to stop."""
        while (block := self._next(stop)) is not None:
            yield block

    def _next(self, stop: threading.Event) -> Block | None:
        with self._guard:
            if stop.is_set():
                raise errors.Interrupted("stopped because another stream failed")
            if self._source is None:
                self._source = iter(self.opened.reader.blocks(self._workers))
            with interrupts.heeding(stop):
                block = next(self._source, None)
            consumed = block.consumed if block else self.opened.reader.size
            self._progress(consumed - self._consumed)
            self._consumed = consumed
            self.lines += block.lines if block else 0
            return block
