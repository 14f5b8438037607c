"""What every place has in common, whoever keeps its bytes."""

import io
import os
from collections.abc import Hashable
from typing import NamedTuple, Protocol

from bluegreen_etl import errors

ZIP = ".zip"


class Fingerprint(NamedTuple):
    """What tells that a place still holds the same bytes: their number, None where nobody knows it, and whatever
    else the place goes by.
    """

    size: int | None
    version: Hashable


class Place(Protocol):
    """Where the bytes of one data file lie; `path` names it for people."""

    @property
    def path(self) -> str:
        """Its name in messages, without secrets."""

    def fingerprint(self) -> Fingerprint:
        """Return what it holds now, having made sure that it may be read; raises BadSource."""

    def open(self) -> io.RawIOBase:
        """Open it for reading once from its start; raises BadSource."""

    def open_seekable(self) -> io.RawIOBase:
        """Open it for reading in any order; raises BadSource, also where that is not possible."""


class Found(NamedTuple):
    """A data file that is there.

    `address` is what `places.of` opens; `name` is what says table and format; `identity` is the same for every way
    that leads to the file. `named`: it was asked for by its own path, so it must not be passed over in silence;
    `inside`: only the directory or the zip that holds it was asked for.
    """

    path: str
    address: tuple[str, ...]
    name: str
    identity: tuple[str, ...]
    named: bool = False
    inside: bool = False

    @property
    def is_zip(self) -> bool:
        """Whether it stands for what is in it."""
        return self.name.lower().endswith(ZIP)


def unreadable(path: str, error: OSError) -> errors.BadSource:
    """Return the error for a place that the operating system does not let us read."""
    reason = error.strerror or (os.strerror(error.errno) if error.errno else str(error))
    return errors.BadSource(
        f"{path} cannot be read: {reason}", hint="Check that it is still there, and the permissions on the way to it."
    )
