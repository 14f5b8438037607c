"""The protocol of places, and the records that describe files in them."""

import io
import os
from collections.abc import Hashable
from typing import NamedTuple, Protocol

from bluegreen_etl import errors

ZIP = ".zip"


class Fingerprint(NamedTuple):
    """Identifies the bytes in a place: their number (None if unknown), and a version that the place defines."""

    size: int | None
    version: Hashable


class Place(Protocol):
    """The place of one data file; `path` is its name in messages."""

    @property
    def path(self) -> str:
        """The name in messages, without secrets."""

    def fingerprint(self) -> Fingerprint:
        """Return the current fingerprint after a check that the file is readable; raises BadSource."""

    def open(self) -> io.RawIOBase:
        """Open the file for one sequential read; raises BadSource."""

    def open_seekable(self) -> io.RawIOBase:
        """Open the file for reading in any order; raises BadSource, also if that is impossible."""


class Found(NamedTuple):
    """A data file that exists.

    `places.of` opens `address`; `name` gives table and format; `identity` is equal for all paths to the same file.
    `named`: the user gave the path of the file, so it must not be skipped silently.
    `inside`: the user gave the directory or the zip that contains the file.
    """

    path: str
    address: tuple[str, ...]
    name: str
    identity: tuple[str, ...]
    named: bool = False
    inside: bool = False

    @property
    def is_zip(self) -> bool:
        """Whether the file is a zip, which means the files in it."""
        return self.name.lower().endswith(ZIP)


def unreadable(path: str, error: OSError) -> errors.BadSource:
    """Return the error for a place that the operating system refuses to read."""
    reason = error.strerror or (os.strerror(error.errno) if error.errno else str(error))
    return errors.BadSource(f"{path} cannot be read: {reason}", hint="Check that the path exists, and its permissions.")
