"""The file with the rejected rows of one table: never written through a link, nor in place of another file."""

import csv
import errno
import itertools
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

_HEAD = ("file", "line", "reason", "text")
_UNSAFE = re.compile(r"[\x00-\x1f/\\:*?\"<>|%]|^\.")
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)  # Windows has none


class RejectFile:
    """A CSV file below a directory of the release, created with its first row."""

    def __init__(self, directory: Path, table: str) -> None:
        self._directory = directory
        self._name = _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", table)
        self._created = False
        self.path = directory / f"{self._name}.csv"

    def append(self, row: Sequence[object]) -> None:
        """Write a row at the end.

        Raises:
            OSError: the file cannot be written.
        """
        if not self._created:
            self._create()
        self._write([row])

    def discard(self) -> None:
        """Remove the file if this object has created it."""
        if self._created:
            self.path.unlink(missing_ok=True)
            self._created = False

    def _create(self) -> None:
        """Create the file under the first name that no file has: another run may have left one."""
        self._directory.mkdir(parents=True, exist_ok=True)
        if self._directory.is_symlink():
            raise OSError(errno.ELOOP, f"{self._directory} is a symbolic link")
        for number in itertools.count(1):
            suffix = "" if number == 1 else f".{number}"
            self.path = self._directory / f"{self._name}{suffix}.csv"
            try:
                os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))  # rows may be personal data
            except FileExistsError:
                continue
            break
        self._created = True
        self._write([_HEAD])

    def _write(self, rows: Iterable[Sequence[object]]) -> None:
        opened = os.open(self.path, os.O_WRONLY | os.O_APPEND | _NO_LINK)
        with os.fdopen(opened, "a", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)
