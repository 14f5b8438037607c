"""Copy files into a shadow's tables over several connections.

A table that one connection loads is truncated and copied in one transaction with FREEZE: even snapshots older than the
load see its rows. A table larger than one connection's share is dealt: every free connection takes the next block of
whole records. On Citus, how many connections do so is measured.
"""

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple, cast

import psycopg
from psycopg import sql

from bluegreen_etl import db, errors, model, names, parallel, search_path
from bluegreen_etl.model import STDIN, Block, FileReader, Table, TableLoad
from bluegreen_etl.shadow import copy_stream, rejects
from bluegreen_etl.shadow.copy_errors import Refusal, is_refusal
from bluegreen_etl.shadow.copy_parallelism import Streams
from bluegreen_etl.shadow.dealer import Dealer, Opened, Sending
from bluegreen_etl.workers import Workers

# Below this, the transactions and the missing FREEZE of a dealt table cost more than a second connection gives.
DEAL_BYTES = 32 * 1024 * 1024
Progress = Callable[[str, int], None]


class Work(model.Record, frozen=True, kw_only=True):
    """A table with the files that fill it.

    Args:
        allowed: how many of their rows may be rejected; None if none.
        freeze: whether older snapshots may see the rows, if one connection copies them.
    """

    table: Table
    files: tuple[Opened, ...]
    allowed: rejects.Allowed | None = None
    freeze: bool = True

    @property
    def size(self) -> int | None:
        """Bytes on disk of the files; None if that of one file is not known yet."""
        sizes = [opened.source.size for opened in self.files]
        return None if None in sizes else sum(size or 0 for size in sizes)

    @property
    def once(self) -> bool:
        """Whether the files can be read only once."""
        return any(opened.source.address == (STDIN,) for opened in self.files)

    @property
    def weight(self) -> int | None:
        """About how many bytes COPY will have to read; None if unknown."""
        weights = [opened.source.weight for opened in self.files]
        return None if None in weights else sum(weight or 0 for weight in weights)


class Target(NamedTuple):
    """What the loads of one release share.

    `progress(table, bytes)` gets every block's bytes on disk, from any thread.
    """

    release: model.Release
    workers: Workers
    progress: Progress


def begin(target: Target, work: Sequence[Work], *, jobs: int, measured: bool = False) -> list["Load"]:
    """Return the loads of the tables for parallel.run, the largest first.

    The tasks raise BadRow if a value is refused, with file, line, column and the text shortened, and BadSource if a
    file cannot be read to its end.

    Args:
        measured: no more connections load one table than prove useful.
    """
    total = sum(item.weight or 0 for item in work)
    largest_first = sorted(work, key=lambda item: -(item.weight or 0))
    return [
        Load(target, item, Streams(jobs if _is_dealt(item, total, jobs) else 1, measured=measured))
        for item in largest_first
    ]


def append(connection: db.Connection, target: Target, work: Work) -> TableLoad:
    """Copy files into a table on an open connection; the rows of the table stay.

    Raises:
        BadRow, BadSource: as the tasks of begin.
    """
    load = Load(target, work, Streams(1, measured=False), keep_rows=True)
    [task] = load.tasks
    task.work(connection, threading.Event())
    return load.result()


def _is_dealt(item: Work, total: int, jobs: int) -> bool:
    # A table that may turn out to be small is not worth the loss of FREEZE.
    # A connection has to read refused blocks again, which is impossible if they can be read only once.
    if jobs == 1 or (item.once and item.allowed):
        return False
    return item.weight is not None and item.weight >= DEAL_BYTES and item.weight * jobs > total


class Load:
    """The load of one table; each of its `tasks` is a connection that takes part, `at_once` of them from the start."""

    def __init__(self, target: Target, work: Work, streams: Streams, *, keep_rows: bool = False) -> None:
        self.table = work.table
        # Rows of the table, or of other connections, stay.
        self._shared = keep_rows or streams.most > 1
        repeatable = not self._shared and not work.once
        self.tasks = [parallel.Task(self._copy, repeatable=repeatable) for _ in range(streams.most)]
        self.at_once = streams.width.wanted
        self.streams = streams
        self._busy = streams.most
        self._work = work
        release = target.release
        self._place = sql.Identifier(release.shadow_schema, work.table.name)
        self._inferred = release.structure is model.StructureFrom.FILES
        self.frozen = work.freeze and not self._shared and not work.table.partitioned
        progress = partial(target.progress, work.table.name)
        self._dealers = [Dealer(opened, target.workers, progress) for opened in work.files]
        self._rejects = rejects.Rejects(work.allowed, release, work.table.name, self._read) if work.allowed else None
        self._guard = threading.Lock()
        self._rows = 0
        self._begun: float | None = None
        self._ended = 0.0

    def _copy(self, connection: db.Connection, stop: threading.Event) -> None:
        """Take part in loading the table until nothing is left."""
        with self._guard:
            self._begun = self._begun or time.monotonic()
        copy_stream.enlarge_buffer(connection)
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
        """Whether a bad row may still set `frozen` back."""
        return self._rejects is not None

    @property
    def rejected(self) -> rejects.Rejects | None:
        """The rejected rows; None if there are none."""
        return self._rejects if self._rejects and self._rejects.count else None

    def _share(self, connection: db.Connection, stop: threading.Event) -> int:
        """Copy blocks while other connections do so; if one is refused, copy this connection's blocks one by one."""
        rows, place = 0, self.streams.enter(stop)
        for dealer in self._dealers:
            if place is None or not self.streams.stays(place):
                break
            blocks = self.streams.dealt(place, dealer.blocks(stop))
            sending = Sending(blocks)
            try:
                with search_path.user_path(connection):
                    rows += self._copy_file(connection, dealer.opened, sending, stop)
            except rejects.BlockRefused:
                again = dealer.again(sending.numbers)
                with search_path.user_path(connection):
                    rows += self._sift(connection, dealer.opened, itertools.chain(again, blocks))
        if place is not None:
            self.streams.leave(place)
        return rows

    def _alone(self, connection: db.Connection, stop: threading.Event) -> int:
        """Fill the table by this connection alone; if a block is refused, start again block by block."""
        # What can be read only once is sifted from the start.
        sifting = self._rejects is not None and self._work.once
        while True:
            for dealer in self._dealers:
                dealer.begin()
            if self._rejects:
                self._rejects.begin()
            # FREEZE needs a table truncated in the same subtransaction; a block that may be refused has its own.
            self.frozen = self.frozen and not sifting
            try:
                with search_path.user_path(connection):
                    only = not self._work.table.partitioned
                    connection.execute(sql.SQL("TRUNCATE ONLY {}" if only else "TRUNCATE {}").format(self._place))
                    if sifting:
                        return sum(self._sift(connection, each.opened, each.blocks(stop)) for each in self._dealers)
                    return sum(
                        self._copy_file(connection, dealer.opened, Sending(dealer.blocks(stop)), stop)
                        for dealer in self._dealers
                    )
            except rejects.BlockRefused:
                sifting = True

    def result(self) -> TableLoad:
        """Return what was loaded, after all tasks have ended."""
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

    def _copy_file(self, connection: db.Connection, opened: Opened, sending: Sending, stop: threading.Event) -> int:
        """Copy blocks of a file in one COPY; return the number of rows.

        Raises:
            BlockRefused: a row is bad, and may be rejected.
        """
        try:
            return copy_stream.copy_blocks(connection, self._place, opened.reader, sending, freeze=self.frozen)
        except psycopg.Error as error:
            if stop.is_set() or not is_refusal(error):
                raise
            if self._rejects and rejects.is_about_row(error):
                raise rejects.BlockRefused from error
            raise self._bad_row(error, opened, sending) from error

    def _sift(self, connection: db.Connection, opened: Opened, blocks: Iterable[Block]) -> int:
        """Copy blocks one by one, without their bad rows."""
        assert self._rejects is not None
        reader = cast("FileReader", opened.reader)  # rows can be rejected of files only

        def send(block: Block) -> int:
            with connection.transaction():
                return copy_stream.copy_blocks(connection, self._place, reader, [block], freeze=self.frozen)

        return self._rejects.sift(opened.source.path, reader, blocks, send)

    def _read(self) -> int:
        """Return about how many rows have been read."""
        return sum(dealer.lines for dealer in self._dealers)

    def _bad_row(self, error: psycopg.Error, opened: Opened, sending: Sending) -> errors.BadRow:
        """Return the server's error with the place in the file."""
        said = Refusal.of(error, self.table.name)
        place = sending.locate(opened.reader, said.line)
        where = f", {place}" if place else ""
        column = f", column {names.quoted(said.column)}" if said.column else ""
        return errors.BadRow(
            f"{opened.source.path}{where}{column}: {said.reason}",
            hint=said.hint(error.sqlstate or "", self.table.name, inferred=self._inferred),
        )
