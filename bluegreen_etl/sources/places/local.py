"""Local files."""

import difflib
import glob
import io
import os
import stat
from pathlib import Path

from bluegreen_etl import errors
from bluegreen_etl.sources import naming
from bluegreen_etl.sources.places import interface
from bluegreen_etl.sources.places.interface import Fingerprint, Found

# Hidden files, and lock files of office programs.
_HIDDEN = (".", "~$")


class LocalFile:
    """A local file; implements places.Place."""

    def __init__(self, path: str) -> None:
        self.path = path

    def fingerprint(self) -> Fingerprint:
        """Return the current fingerprint; opens the file, the only reliable test of permission."""
        try:
            # Opening a pipe would wait for its writer.
            if not stat.S_ISREG(Path(self.path).stat().st_mode):
                raise errors.BadSource(f"{self.path} is not a regular file", hint="Write the data to a file first.")
            with Path(self.path).open("rb", buffering=0) as file:
                now = os.fstat(file.fileno())
        except OSError as error:
            raise interface.unreadable(self.path, error) from error
        return Fingerprint(now.st_size, (now.st_dev, now.st_ino, now.st_mtime_ns))

    def open(self) -> io.RawIOBase:
        """Open the file."""
        try:
            return Path(self.path).open("rb", buffering=0)
        except OSError as error:
            raise interface.unreadable(self.path, error) from error

    def open_seekable(self) -> io.RawIOBase:
        """Open the file for reading in any order."""
        return self.open()


def find(pattern: str) -> list[Found]:
    """Return the files of a path, a directory or a glob, without hidden files and subdirectories.

    A directory named like a data file, such as t.parquet/, is one table in several files.

    Raises:
        BadSource: the files cannot be listed.
    """
    path = Path(pattern)
    try:
        if path.is_dir():
            if naming.parse(path.name).format:
                return _parts(path)
            entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith(_HIDDEN))
            found = [[_found(str(entry), inside=True)] if entry.is_file() else _parts(entry) for entry in entries]
            return [each for several in found for each in several]
        if path.exists():
            return [_found(pattern.rstrip("/"), named=True)]
    except OSError as error:
        raise interface.unreadable(pattern, error) from error
    # Path.glob refuses absolute patterns.
    matches = sorted(glob.glob(pattern, recursive=True)) if glob.has_magic(pattern) else []  # noqa: PTH207
    return [_found(match) for match in matches if Path(match).is_file()]


def _parts(directory: Path) -> list[Found]:
    """Return the files of a directory that is one table, such as t.parquet/; no files if it is not named so.

    Raises:
        BadSource: a subdirectory holds the value of a partition column, which the files lack.
    """
    if naming.parse(directory.name).format is None or not directory.is_dir():
        return []
    parts = sorted(entry for entry in directory.iterdir() if not entry.name.startswith((*_HIDDEN, "_")))
    for part in parts:
        if part.is_dir() and "=" in part.name:
            raise errors.BadSource(
                f"{part} is a partition: its files lack column {part.name.partition('=')[0]}",
                hint="Write the column into the files.",
            )
    names = [part for part in parts if part.is_file() and naming.parse(part.name).format]
    return [_found(str(part), inside=True)._replace(name=directory.name) for part in names]


def find_skipped(pattern: str) -> list[str]:
    """Return dangling links, pipes and devices that a directory or a glob holds."""
    path = Path(pattern)
    try:
        if path.is_dir():
            entries = sorted(str(entry) for entry in path.iterdir() if not entry.name.startswith("."))
        else:
            entries = sorted(glob.glob(pattern, recursive=True)) if glob.has_magic(pattern) else []  # noqa: PTH207
    except OSError as error:
        raise interface.unreadable(pattern, error) from error
    return [entry for entry in entries if not Path(entry).is_file() and not Path(entry).is_dir()]


def missing(pattern: str) -> errors.BadSource:
    """Return the error for a pattern that matches no file."""
    if glob.has_magic(pattern):
        return errors.BadSource(f"{pattern} matches no file", hint="Check the glob and the working directory.")
    path = Path(pattern)
    if path.is_dir():
        return errors.BadSource(
            f"{pattern} contains no files: subdirectories are not searched",
            hint=f"Name them with a glob: `{path}/**/*.csv`.",
        )
    siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    if close := difflib.get_close_matches(path.name, siblings, n=1):
        hint = f"Did you mean {path.with_name(close[0])}?"
    else:
        hint = f"Name a file, a directory or a glob; the working directory is {Path.cwd()}."
    return errors.BadSource(f"{pattern} does not exist", hint=hint)


def _found(path: str, *, named: bool = False, inside: bool = False) -> Found:
    return Found(path, (path,), Path(path).name, (os.path.realpath(path),), named, inside)
