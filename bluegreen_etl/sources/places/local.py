"""Files of this machine."""

import difflib
import glob
import io
import os
import stat
from pathlib import Path

from bluegreen_etl import errors
from bluegreen_etl.sources.places import base
from bluegreen_etl.sources.places.base import Fingerprint, Found


class LocalFile:
    """A file by its path; implements places.Place."""

    def __init__(self, path: str) -> None:
        self.path = path

    def fingerprint(self) -> Fingerprint:
        """Return what the path holds now, having opened it: that is the only sure test of permission."""
        try:
            # To open a pipe would be to wait for its writer.
            if not stat.S_ISREG(Path(self.path).stat().st_mode):
                raise errors.BadSource(f"{self.path} is not a regular file", hint="Write the data to a file first.")
            with Path(self.path).open("rb", buffering=0) as file:
                now = os.fstat(file.fileno())
        except OSError as error:
            raise base.unreadable(self.path, error) from error
        return Fingerprint(now.st_size, (now.st_dev, now.st_ino, now.st_mtime_ns))

    def open(self) -> io.RawIOBase:
        """Open the file."""
        try:
            return Path(self.path).open("rb", buffering=0)
        except OSError as error:
            raise base.unreadable(self.path, error) from error

    def open_seekable(self) -> io.RawIOBase:
        """Open the file, which can be read in any order."""
        return self.open()


def find(pattern: str) -> list[Found]:
    """Return the files that a path, a directory or a glob means, hidden files and sub-directories left out.

    Raises:
        BadSource: they cannot be listed.
    """
    path = Path(pattern)
    try:
        if path.is_dir():
            entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
            return [_found(str(entry), inside=True) for entry in sorted(entries) if entry.is_file()]
        if path.exists():
            return [_found(pattern.rstrip("/"), named=True)]
    except OSError as error:
        raise base.unreadable(pattern, error) from error
    # Path.glob refuses absolute patterns, and users write them.
    matches = sorted(glob.glob(pattern, recursive=True)) if glob.has_magic(pattern) else []  # noqa: PTH207
    return [_found(match) for match in matches if Path(match).is_file()]


def find_skipped(pattern: str) -> list[str]:
    """Return dangling links, pipes and devices that a directory or a glob holds."""
    path = Path(pattern)
    try:
        if path.is_dir():
            entries = sorted(str(entry) for entry in path.iterdir() if not entry.name.startswith("."))
        else:
            entries = sorted(glob.glob(pattern, recursive=True)) if glob.has_magic(pattern) else []  # noqa: PTH207
    except OSError as error:
        raise base.unreadable(pattern, error) from error
    return [entry for entry in entries if not Path(entry).is_file() and not Path(entry).is_dir()]


def missing(pattern: str) -> errors.BadSource:
    """Return the error for a pattern that means no file."""
    if glob.has_magic(pattern):
        return errors.BadSource(f"{pattern} matches no file", hint="Check the glob and the working directory.")
    path = Path(pattern)
    siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    if close := difflib.get_close_matches(path.name, siblings, n=1):
        hint = f"Did you mean {path.with_name(close[0])}?"
    else:
        hint = f"Name a file, a directory or a glob; the working directory is {Path.cwd()}."
    return errors.BadSource(f"{pattern} does not exist", hint=hint)


def _found(path: str, *, named: bool = False, inside: bool = False) -> Found:
    return Found(path, (path,), Path(path).name, (os.path.realpath(path),), named, inside)
