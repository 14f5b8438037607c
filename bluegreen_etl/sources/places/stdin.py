"""Standard input: bytes that come once. The first of them stay in memory, so that they can be looked at before."""

import io
import os
import re
import select
import stat
import sys
import threading
from functools import cache
from typing import TYPE_CHECKING

from bluegreen_etl import errors, interrupts
from bluegreen_etl.model import STDIN, Compression
from bluegreen_etl.sources.places import base
from bluegreen_etl.sources.places.base import Fingerprint, Found

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PATH = "standard input"
# Looking takes about 1 MB of text, more only where a single record is longer.
_KEPT = 16 << 20
_CHUNK = 1 << 20
_LOOK_UP = 0.2  # seconds between two looks whether the load has been stopped
_MAGIC = {
    Compression.GZIP: re.compile(rb"\x1f\x8b"),
    Compression.ZSTD: re.compile(rb"\x28\xb5\x2f\xfd"),
    Compression.BZIP2: re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"),
    Compression.XZ: re.compile(rb"\xfd7zXZ\0"),
}
_LONGEST_MAGIC = 10


class Kept:
    """What comes out of a descriptor, by offsets; only the first `limit` bytes can be had more than once."""

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
            raise base.unreadable(PATH, error) from error

    def read_at(self, offset: int, size: int) -> bytes:
        """Return at least one and at most `size` bytes from an offset; none at the end.

        Raises:
            BadSource: they have been read and were too many to keep.
        """
        with self._guard:
            if offset < len(self._start):
                return bytes(self._start[offset : offset + size])
            if offset != self._position:
                raise errors.BadSource(
                    f"{PATH} cannot be read a second time beyond its first {self._limit >> 20} MB",
                    hint="Write it to a file first, and load that.",
                )
            data = self._read(size)
            self._position += len(data)
            if len(self._start) == offset and self._position <= self._limit:
                self._start += data
            return data

    def _read(self, size: int) -> bytes:
        # Whoever writes may pause for hours, and a load that has failed elsewhere must not wait for that.
        while not select.select([self._descriptor], [], [], _LOOK_UP)[0]:
            if interrupts.stopped():
                raise errors.Interrupted("stopped while waiting for standard input")
        return os.read(self._descriptor, min(size, _CHUNK))


class StandardInput:
    """Standard input; implements places.Place."""

    path = PATH

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def fingerprint(self) -> Fingerprint:
        """Return the size, which is known where a file was redirected; nobody else can change what comes."""
        return Fingerprint(self._kept.size, None)

    def open(self) -> io.RawIOBase:
        """Open it from its start."""
        return _Reading(self._kept)

    def open_seekable(self) -> io.RawIOBase:
        """Refuse: what comes once cannot be read in any order."""
        raise errors.BadSource(f"{PATH} cannot be read from its end", hint="Write it to a file first, and load that.")


@cache
def standard_input() -> StandardInput:
    """Return the one there is.

    Raises:
        BadSource: it is closed.
    """
    # Where it is closed its number may be that of another file by now.
    if sys.__stdin__ is None:
        raise errors.BadSource(f"{PATH} is closed", hint="Redirect a file or a pipe into the command.")
    return StandardInput(Kept(0))


def find() -> Found:
    """Return standard input, with a name that says how it is compressed, going by its first bytes.

    Raises:
        BadSource: there is nothing in it, or it cannot be read.
    """
    try:
        with io.BufferedReader(standard_input().open()) as file:
            first = file.read(_LONGEST_MAGIC)
    except OSError as error:
        raise base.unreadable(PATH, error) from error
    if not first:
        raise errors.BadSource(f"{PATH} is empty", hint="Look at the command that writes into it.")
    suffix = next((f".{compression}" for compression, magic in _MAGIC.items() if magic.match(first)), "")
    return Found(PATH, (STDIN,), STDIN + suffix, (STDIN,), named=True)


class _Reading(io.RawIOBase):
    """One opening, with a place in the input of its own."""

    def __init__(self, kept: Kept) -> None:
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
