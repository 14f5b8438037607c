"""Deal the blocks of a file to the connections that copy it, each block once; and remember what COPY was sent."""

import threading
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator

from bluegreen_etl import errors, interrupts, model
from bluegreen_etl.model import Block, Reader, SourceFile
from bluegreen_etl.shadow import rejects
from bluegreen_etl.workers import Workers


class Opened(model.Record, frozen=True, kw_only=True):
    """A source with its reader, ready to be copied."""

    source: SourceFile
    reader: Reader


class Dealer:
    """Hand the blocks of one file to the connection that asks next."""

    def __init__(self, opened: Opened, workers: Workers, progress: Callable[[int], None]) -> None:
        self.opened = opened
        self._workers = workers
        self._progress = progress
        self.lines = 0  # dealt so far
        self._source: Iterator[Block] | None = None
        self._consumed = 0
        self._guard = threading.Lock()

    def begin(self) -> None:
        """Start from the beginning of the file, even if blocks were dealt before."""
        self._source = None
        self._progress(-self._consumed)
        self._consumed = self.lines = 0

    def again(self, numbers: Collection[int]) -> Iterator[Block]:
        """Read the blocks with these numbers a second time."""
        left = len(numbers)
        for block in self.opened.reader.blocks(self._workers) if left else ():
            if block.number in numbers:
                yield block
                left -= 1
                if not left:
                    return

    def blocks(self, stop: threading.Event) -> Iterator[Block]:
        """Yield blocks until the file ends.

        Raises:
            Interrupted: another connection has failed.
        """
        while (block := self._next(stop)) is not None:
            yield block

    def _next(self, stop: threading.Event) -> Block | None:
        with self._guard:
            if stop.is_set():
                raise errors.Interrupted("stopped because another stream failed")
            if self._source is None:
                self._source = iter(self.opened.reader.blocks(self._workers))
            with interrupts.stopped_by(stop):
                block = next(self._source, None)
            consumed = block.consumed if block else self.opened.reader.size
            self._progress(consumed - self._consumed)
            self._consumed = consumed
            self.lines += block.lines if block else 0
            return block


class Sending:
    """Blocks on their way into one COPY; they can be located afterwards."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        self._blocks = blocks
        self._sent: list[tuple[int, Block]] = []  # lines before the block, and the block without its data

    def __iter__(self) -> Iterator[Block]:
        """Yield the blocks.

        Raises:
            BlockRefused: the reader has found a block with a bad row.
        """
        lines = 0
        for block in self._blocks:
            self._sent.append((lines, block._replace(data=b"", origin=None)))
            if block.broken:
                raise rejects.BlockRefused
            lines += block.lines
            yield block

    @property
    def numbers(self) -> set[int]:
        """The numbers of the blocks that were sent."""
        return {block.number for _, block in self._sent}

    def locate(self, reader: Reader, line: int | None) -> str | None:
        """Return the place in the file of a line of this COPY, which the server counts from 1."""
        if not (line and self._sent):
            return None
        line -= reader.copy_options.csv  # the header's
        before, block = self._sent[bisect_right(self._sent, line - 1, key=lambda item: item[0]) - 1]
        return reader.locate(block.number, block.first, line - before)
