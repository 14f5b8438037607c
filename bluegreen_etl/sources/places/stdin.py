"""Standard input can be read once; its first bytes stay in memory, so that a sample can be read first."""

import io
import os
import select
import stat
import sys
import threading
from functools import cache
from typing import TYPE_CHECKING

from bluegreen_etl import errors, interrupts
from bluegreen_etl.model import STDIN, Compression
from bluegreen_etl.sources import first_bytes
from bluegreen_etl.sources.places import interface
from bluegreen_etl.sources.places.interface import Fingerprint, Found

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PATH = "standard input"
# A sample is about 1 MB of text; more only if a single record is longer.
_KEPT = 16 << 20
_CHUNK = 1 << 20
_LOOK_UP = 0.2  # seconds between checks for an interrupt


class RereadableInput:
    """Reads a descriptor by offsets; only the first `limit` bytes can be read repeatedly."""

    def __init__(self, descriptor: int, *, limit: int = _KEPT) -> None:
        self._descriptor = descriptor
        self._limit = limit
        self._start = bytearray()
        self._position = 0
        self._guard = threading.Lock()
        try:
            status = os.fstat(descriptor)
            regular = stat.S_ISREG(status.st_mode)
            self.size = status.st_size - os.lseek(descriptor, 0, os.SEEK_CUR) if regular else None
        except OSError as error:
            raise interface.unreadable(PATH, error) from error

    def read_at(self, offset: int, size: int) -> bytes:
        """Return at least one and at most `size` bytes from an offset; no bytes at the end.

        Raises:
            BadSource: the bytes were read before and are no longer in memory.
        """
        with self._guard:
            if offset < len(self._start):
                return bytes(self._start[offset : offset + size])
            if offset != self._position:
                raise errors.BadSource(
                    f"{PATH} cannot be read a second time beyond its first {self._limit >> 20} MB",
                    hint="Write the data to a file, and load the file.",
                )
            data = self._read(size)
            self._position += len(data)
            if len(self._start) == offset and self._position <= self._limit:
                self._start += data
            return data

    def _read(self, size: int) -> bytes:
        # The writer may pause for hours; a load that has failed must not wait for it.
        while not select.select([self._descriptor], [], [], _LOOK_UP)[0]:
            if interrupts.stopped():
                raise errors.Interrupted("stopped while waiting for standard input")
        return os.read(self._descriptor, min(size, _CHUNK))


class StandardInput:
    """Standard input; implements places.Place."""

    path = PATH

    def __init__(self, kept: RereadableInput) -> None:
        self._kept = kept

    def fingerprint(self) -> Fingerprint:
        """Return the size, known only for a redirected file; the content cannot change."""
        return Fingerprint(self._kept.size, None)

    def open(self) -> io.RawIOBase:
        """Open standard input from its start."""
        return _Reading(self._kept)

    def open_seekable(self) -> io.RawIOBase:
        """Refuse: standard input cannot be read in any order."""
        raise errors.BadSource(
            f"{PATH} cannot be read from its end", hint="Write the data to a file, and load the file."
        )


@cache
def standard_input() -> StandardInput:
    """Return the standard input of this process.

    Raises:
        BadSource: standard input is closed.
    """
    # If it is closed, its descriptor may belong to another file.
    if sys.__stdin__ is None:
        raise errors.BadSource(f"{PATH} is closed", hint="Redirect a file or a pipe into the command.")
    return StandardInput(RereadableInput(0))


def find() -> Found:
    """Return standard input, with a name that has the suffix of its compression, detected from its first bytes.

    Raises:
        BadSource: standard input is empty, or cannot be read.
    """
    try:
        with io.BufferedReader(standard_input().open()) as file:
            first = file.read(first_bytes.LONGEST)
    except OSError as error:
        raise interface.unreadable(PATH, error) from error
    if not first:
        raise errors.BadSource(f"{PATH} is empty", hint="Check the command that writes to the pipe.")
    compression = first_bytes.compression_of(first)
    suffix = "" if compression is Compression.NONE else f".{compression}"
    return Found(PATH, (STDIN,), STDIN + suffix, (STDIN,), named=True)


class _Reading(io.RawIOBase):
    """One reader of standard input with its own offset."""

    def __init__(self, kept: RereadableInput) -> None:
        super().__init__()
        self._kept = kept
        self._offset = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        data = self._kept.read_at(self._offset, len(view))
        view[: len(data)] = data
        self._offset += len(data)
        return len(data)
