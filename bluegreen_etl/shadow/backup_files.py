"""A backup: one schema as pg_dump's directory format writes it, beside a manifest with the digest of every file.

pg_restore reads it, of whatever compression; what it writes of one table is relayed to COPY.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Generator, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import msgspec

from bluegreen_etl import child_process, client_programs, config, db, errors, model
from bluegreen_etl.model import Block, Compression, CopyOptions, Format, SourceFile, Table
from bluegreen_etl.shadow import copy, dump
from bluegreen_etl.workers import Workers

MANIFEST = "manifest.json"
_DUMP = "dump"  # the directory that pg_dump writes, inside of the backup's
_CHUNK = 256 * 1024
_COPY = re.compile(rb"^COPY .*? \((?P<columns>.*)\) FROM stdin;\n", re.MULTILINE)
_ENCODING = re.compile(rb"^SET client_encoding = '(.*)';$", re.MULTILINE)
_END = b"\\.\n"
_NAME = re.compile(r'"(?:[^"]|"")*"|[^, ]+')
_TABLE_DATA = re.compile(r"^\d+; \d+ \d+ TABLE DATA .*$", re.MULTILINE)
_SEQUENCE_SET = re.compile(r"^\d+; \d+ \d+ SEQUENCE SET .*$", re.MULTILINE)
_NAMED = re.compile(rb"^-- (?:Data for )?Name: (.*); Type: TABLE DATA; Schema: ", re.MULTILINE)
_VALUE = re.compile(r", (-?\d+), (true|false)\);")


class Digested(model.Record, frozen=True, kw_only=True):
    """A file of a backup: its path inside of it, size and SHA-256."""

    path: str
    bytes: int
    sha256: str


class Manifest(model.Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a backup holds.

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
    """Dump the schema `manifest.dumped` into a directory that appears whole or not at all; return the manifest.

    Raises:
        ServerFailed: pg_dump failed, or the directory cannot be written.
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


def read(directory: Path) -> Manifest:
    """Return the manifest of a backup.

    Raises:
        BadSource: it is no backup, or one of a newer version.
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
            hint="Name what `backup` has made.",
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise errors.BadBackup(f"{directory / MANIFEST} is damaged: {error}", hint="Take another backup.") from error


def verify(directory: Path, manifest: Manifest) -> None:
    """Compare every file with its digest.

    Raises:
        BadSource: one is missing, strange or not what it was.
    """
    expected = {file.path: file for file in manifest.files}
    found = {file.path: file for file in _digests(directory)}
    for path in sorted(expected.keys() | found.keys()):
        if expected.get(path) != found.get(path):
            what = "is missing" if path not in found else "is not of it" if path not in expected else "was changed"
            raise errors.BadBackup(f"backup {directory}: {path} {what}", hint="Take another backup.")


def structure(connection: db.Connection, directory: Path, settings: config.Settings) -> list[dump.Entry]:
    """Return the definition in a backup, entry by entry."""
    program = _pg_restore(connection, settings)
    options = ["--schema-only", "--verbose", "--file=-"]
    return dump.parse(child_process.output([program, *options, directory / _DUMP], environment={}))


def sequences(connection: db.Connection, directory: Path, settings: config.Settings) -> dict[str, tuple[int, bool]]:
    """Return the values of the sequences in a backup, and whether each was given out."""
    program = _pg_restore(connection, settings)
    lines = _SEQUENCE_SET.findall(child_process.output([program, "--list", directory / _DUMP], environment={}))
    if not lines:
        return {}
    with _listed(lines) as file:
        options = ["--data-only", "--verbose", "--file=-", f"--use-list={file}"]
        entries = dump.parse(child_process.output([program, *options, directory / _DUMP], environment={}))
    found = {entry.name: _VALUE.search(entry.sql) for entry in entries}
    return {name: (int(match[1]), match[2] == "true") for name, match in found.items() if match}


def work(connection: db.Connection, directory: Path, settings: config.Settings) -> list[copy.Work]:
    """Return what is to be copied into the release's tables, partitions each by itself."""
    program = _pg_restore(connection, settings)
    lines = _TABLE_DATA.findall(child_process.output([program, "--list", directory / _DUMP], environment={}))
    found = []
    for line in lines:
        reader = _Reader(program, directory / _DUMP, line)
        source = SourceFile(
            path=f"table {reader.table} of the backup",
            table=reader.table,
            format=Format.TSV,
            compression=Compression.NONE,
            size=None,
        )
        table = Table(name=reader.table, columns=())
        found.append(copy.Work(table=table, files=(copy.Opened(source=source, reader=reader),)))
    return found


class _Reader:
    """The rows of one table in a backup."""

    sha256 = ""  # of the whole backup, every file was compared

    def __init__(self, program: Path, directory: Path, line: str) -> None:
        self._program = program
        self._directory = directory
        self._line = line
        self.size = 0
        with contextlib.closing(self._heads()) as heads:
            head = next(heads, b"")
        named, statement, encoding = _NAMED.search(head), _COPY.search(head), _ENCODING.search(head)
        if not (named and statement and encoding):
            raise errors.BadBackup(f"{directory} has an entry without rows: {line}", hint="Take another backup.")
        self.table = named[1].decode()
        self.columns = [_unquoted(name) for name in _NAME.findall(statement["columns"].decode())]
        self.copy_options = CopyOptions(encoding=encoding[1].decode(), text=True)

    def blocks(self, _workers: Workers | None = None) -> Iterator[Block]:
        """Yield the rows as pg_restore writes them, up to COPY's end; a line is a row."""
        number, first = 0, 1
        with self._opened() as output:
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
            output.read()  # what comes after the rows, so that the program ends by itself

    def locate(self, _block_number: int, block_first: int, line: int) -> str:
        """Say which row it is."""
        return f"row {block_first + line - 1}"

    def _heads(self) -> Generator[bytes, None, None]:
        with self._opened() as output:
            yield _skip_head(output)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        with _listed([self._line]) as file:
            options = ["--data-only", "--verbose", "--file=-", f"--use-list={file}"]
            with child_process.stream([self._program, *options, self._directory], environment={}) as output:
                yield output


def _skip_head(output: BinaryIO) -> bytes:
    """Read up to the first row; return what came before it."""
    head = []
    for line in output:
        head.append(line)
        if _COPY.match(line):
            break
    return b"".join(head)


@contextlib.contextmanager
def _listed(lines: Sequence[str]) -> Iterator[str]:
    """Yield the path of a file with lines of a table of contents."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".list") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        yield file.name


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _digests(directory: Path) -> Iterator[Digested]:
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path != directory / MANIFEST:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            yield Digested(path=path.relative_to(directory).as_posix(), bytes=path.stat().st_size, sha256=digest)


def _pg_restore(connection: db.Connection, settings: config.Settings) -> Path:
    major = connection.info.server_version // 10000
    return client_programs.client_program("pg_restore", server_major=major, directory=settings.pg_bindir)


def _unwritable(directory: Path, error: OSError) -> errors.ServerFailed:
    return errors.NoRoom(
        f"backup {directory} cannot be written: {error.strerror}", hint="Make room, or name another directory."
    )
