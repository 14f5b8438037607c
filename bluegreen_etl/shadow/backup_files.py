"""A backup: one schema in pg_dump's directory format, and a manifest with the digest of every file.

pg_restore reads it, whatever its compression; the rows of a table go from pg_restore to COPY.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO

import msgspec

from bluegreen_etl import child_process, config, db, errors, model
from bluegreen_etl.model import Block, Compression, CopyOptions, Format, SourceFile, Table
from bluegreen_etl.shadow import copy, dump, sql_scanner
from bluegreen_etl.shadow.dealer import Opened
from bluegreen_etl.shadow.sql_scanner import IDENTIFIER
from bluegreen_etl.workers import Workers

MANIFEST = "manifest.json"
_DUMP = "dump"  # the directory that pg_dump writes, inside the backup's
_CHUNK = 256 * 1024
_TABLE = rf"(?P<schema>{IDENTIFIER})\.(?P<table>{IDENTIFIER})"
_COPY = re.compile(
    rf"^COPY {_TABLE} +(?:\((?P<columns>{IDENTIFIER}(?:, {IDENTIFIER})*)\) )?FROM stdin;\n\Z", re.MULTILINE
)
_COPY_ENDS = b" FROM stdin;\n"
_IDENTIFIER = re.compile(IDENTIFIER)
_ENCODING = re.compile(r"^SET client_encoding = '(.*)';$", re.MULTILINE)
_END = b"\\.\n"
_TABLE_DATA = re.compile(r"^\d+; \d+ \d+ TABLE DATA .*$", re.MULTILINE)
_SEQUENCE_SET = re.compile(r"^\d+; \d+ \d+ SEQUENCE SET .*$", re.MULTILINE)
_SETVAL = sql_scanner.scanner(
    r"^(?P<found>SELECT[ ]pg_catalog\.setval\()(?P<name>E?'(?:[^']|'')*'),[ ](?P<value>-?\d+),[ ](?P<called>\w+)\);"
)
_QUALIFIED = re.compile(_TABLE)


class Digested(model.Record, frozen=True, kw_only=True):
    """A file of a backup: its path inside the backup, size and SHA-256."""

    path: str
    bytes: int
    sha256: str


class Manifest(model.Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a backup contains.

    Attributes:
        dumped: the name of the schema while it was dumped.
        system: the system identifier of the server; None in a manifest of version 1.
    """

    version: int = 2
    schema: str
    dumped: str
    release: int | None
    database: str
    system: str | None = None
    server: str
    made_at: datetime
    files: tuple[Digested, ...]


def write(
    connection: db.Connection, directory: Path, manifest: Manifest, settings: config.Settings, *, jobs: int
) -> Manifest:
    """Dump the schema `manifest.dumped` into a new directory, read it back, and return the full manifest.

    The directory appears as a whole or not at all.

    Raises:
        ServerFailed: pg_dump failed, or the directory cannot be written.
        BadBackup: what was written cannot be read back.
        LockNotObtained: see dump.run.
    """
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{directory.name}-"))
    except OSError as error:
        raise _unwritable(directory, error) from error
    try:
        options = ("--format=directory", f"--jobs={jobs}", f"--file={unfinished / _DUMP}")
        dump.run(connection, manifest.dumped, settings, *options)
        _read_back(connection, unfinished, settings, jobs=jobs)
        manifest = msgspec.structs.replace(manifest, files=tuple(_digests(unfinished)))
        with (unfinished / MANIFEST).open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(directory)
    except OSError as error:
        raise _unwritable(directory, error) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return manifest


def _read_back(connection: db.Connection, directory: Path, settings: config.Settings, *, jobs: int) -> None:
    """Refuse a backup whose definition, tables or sequences `restore` could not read."""
    try:
        structure(connection, directory, settings)
        sequences(connection, directory, settings)
        work(connection, directory, settings, jobs=jobs)
    except (errors.BadBackup, errors.ServerFailed) as error:
        raise errors.BadBackup(f"the backup cannot be read back: {error.message}", hint=error.hint) from error


def read(directory: Path) -> Manifest:
    """Return the manifest of a backup.

    Raises:
        BadSource: the directory is no backup, or one of a newer version.
    """
    try:
        text = (directory / MANIFEST).read_bytes()
        version = json.loads(text)["version"]
        if version not in {1, 2}:
            raise errors.BadBackup(f"{directory} is a backup of version {version}", hint="Upgrade bluegreen-etl.")
        return msgspec.json.decode(text, type=Manifest)
    except OSError as error:
        raise errors.BadBackup(
            f"{directory} is no backup: {MANIFEST} cannot be read: {error.strerror}",
            hint="Name a directory that `backup` has written.",
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise errors.BadBackup(f"{directory / MANIFEST} is damaged: {error}", hint="Take another backup.") from error


def verify(directory: Path, manifest: Manifest) -> None:
    """Compare every file with its digest.

    Raises:
        BadSource: a file is missing, unexpected or changed.
    """
    expected = {file.path: file for file in manifest.files}
    found = {file.path: file for file in _digests(directory)}
    for path in sorted(expected.keys() | found.keys()):
        if expected.get(path) != found.get(path):
            what = "is missing" if path not in found else "is not of it" if path not in expected else "was changed"
            raise errors.BadBackup(f"backup {directory}: {path} {what}", hint="Take another backup.")


def structure(connection: db.Connection, directory: Path, settings: config.Settings) -> list[dump.Entry]:
    """Return the definition in a backup, entry by entry."""
    return dump.read_archive(dump.pg_restore(connection, settings), directory / _DUMP)


def sequences(connection: db.Connection, directory: Path, settings: config.Settings) -> dict[str, tuple[int, bool]]:
    """Return the value of each sequence in a backup, and whether nextval has returned it."""
    archive = _Archive(dump.pg_restore(connection, settings), directory / _DUMP)
    lines = archive.list_data(_SEQUENCE_SET)
    if not lines:
        return {}
    with archive.stream_data(lines) as output:
        text = output.read().decode()
    found = {
        _name_in_literal(match["name"]): (int(match["value"]), match["called"] == "true")
        for match in sql_scanner.find(_SETVAL, text)
    }
    if len(found) != len(lines):
        raise errors.BadBackup(
            f"{directory} lists {len(lines)} sequences and sets {len(found)}", hint="Take another backup."
        )
    return found


def work(connection: db.Connection, directory: Path, settings: config.Settings, *, jobs: int = 1) -> list[copy.Work]:
    """Return what to copy into the release's tables; each partition is a table of its own."""
    archive = _Archive(dump.pg_restore(connection, settings), directory / _DUMP)
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(partial(_table_work, archive), archive.list_data(_TABLE_DATA)))


def _table_work(archive: "_Archive", line: str) -> copy.Work:
    reader = _Reader(archive, line)
    source = SourceFile(
        path=f"table {reader.table} of the backup",
        table=reader.table,
        format=Format.TSV,
        compression=Compression.NONE,
        size=None,
    )
    return copy.Work(table=Table(name=reader.table, columns=()), files=(Opened(source=source, reader=reader),))


class _Archive:
    """The dump inside a backup, read by pg_restore."""

    def __init__(self, program: Path, directory: Path) -> None:
        self._program = program
        self.directory = directory

    def list_data(self, pattern: re.Pattern[str]) -> list[str]:
        """Return the lines of the table of contents that match, among those of rows and sequence values."""
        command: list[str | Path] = [self._program, "--data-only", "--list", self.directory]
        return pattern.findall(child_process.output(command, environment={}))

    @contextlib.contextmanager
    def stream_data(self, lines: Sequence[str]) -> Iterator[BinaryIO]:
        """Open the SQL for these lines of the table of contents."""
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".list") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            options = ["--data-only", "--verbose", "--file=-", f"--use-list={file.name}"]
            with child_process.stream([self._program, *options, self.directory], environment={}) as output:
                yield output


class _Reader:
    """The rows of one table in a backup."""

    sha256 = ""  # the digests of all files were compared before

    def __init__(self, archive: _Archive, line: str) -> None:
        self._archive = archive
        self._line = line
        self.size = 0
        head = self._read_head()
        statement, encoding = _COPY.search(head), _ENCODING.search(head)
        if not (statement and encoding):
            raise errors.BadBackup(
                f"{archive.directory} has an entry without rows: {line}", hint="Take another backup."
            )
        self.table = sql_scanner.unquote(statement["table"])
        self.columns = [sql_scanner.unquote(name) for name in _IDENTIFIER.findall(statement["columns"] or "")]
        self.copy_options = CopyOptions(encoding=encoding[1], text=True)

    def blocks(self, _workers: Workers | None = None) -> Iterator[Block]:
        """Yield the rows as pg_restore writes them, up to the end of COPY; a line is a row."""
        number, first = 0, 1
        with self._archive.stream_data([self._line]) as output:
            _skip_head(output)
            ended = False
            while not ended and (lines := output.readlines(_CHUNK)):
                if _END in lines:
                    ended = True
                    del lines[lines.index(_END) :]
                data = b"".join(lines)
                self.size += len(data)
                if lines:
                    yield Block(number, first, len(lines), data, self.size)
                number, first = number + 1, first + len(lines)
            output.read()  # pg_restore ends only when all its output was read

    def locate(self, _block_number: int, block_first: int, line: int) -> str:
        """Return the row's number for a message."""
        return f"row {block_first + line - 1}"

    def _read_head(self) -> str:
        with contextlib.closing(self._heads()) as heads:
            return next(heads).decode()

    def _heads(self) -> Generator[bytes, None, None]:
        # A generator: closing it ends pg_restore early, without an error.
        with self._archive.stream_data([self._line]) as output:
            yield _skip_head(output)


def _skip_head(output: BinaryIO) -> bytes:
    """Read up to the first row; return what comes before it."""
    head, statement = bytearray(), bytearray()
    for line in output:
        if not statement and not line.startswith(b"COPY "):
            head += line
            continue
        statement += line
        # A name may hold a line break, and whatever else; its quotes are doubled, so they come in pairs.
        if statement.endswith(_COPY_ENDS) and statement.count(b'"') % 2 == 0:
            break
    return bytes(head + statement)


def _name_in_literal(literal: str) -> str:
    """Return the name of a relation, without its schema, from a string that holds both quoted."""
    text = literal.removeprefix("E")[1:-1].replace("''", "'")
    match = _QUALIFIED.fullmatch(text.replace("\\\\", "\\") if literal.startswith("E") else text)
    return sql_scanner.unquote(match["table"]) if match else ""


def _digests(directory: Path) -> Iterator[Digested]:
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path != directory / MANIFEST:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            yield Digested(path=path.relative_to(directory).as_posix(), bytes=path.stat().st_size, sha256=digest)


def _unwritable(directory: Path, error: OSError) -> errors.ServerFailed:
    return errors.NoRoom(
        f"backup {directory} cannot be written: {error.strerror}", hint="Make room, or name another directory."
    )
