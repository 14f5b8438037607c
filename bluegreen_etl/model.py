"""The records that travel between the modules: frozen, without behaviour that touches the world.

Durations are in seconds, sizes in bytes, times are timezone-aware; what is None is not known or has not happened.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol
from uuid import UUID

import msgspec

from bluegreen_etl import names
from bluegreen_etl.workers import Workers


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all records: immutable, and ready for JSON."""


class Status(StrEnum):
    """Where a release is in its life; MOVES holds the legal moves between them."""

    LOADING = "loading"
    READY = "ready"
    LIVE = "live"
    PREVIOUS = "previous"
    FAILED = "failed"
    PRUNED = "pruned"


MOVES: dict[Status, frozenset[Status]] = {
    Status.LOADING: frozenset({Status.READY, Status.FAILED}),
    Status.READY: frozenset({Status.LIVE, Status.PRUNED, Status.FAILED}),
    Status.LIVE: frozenset({Status.PREVIOUS}),
    Status.PREVIOUS: frozenset({Status.LIVE, Status.PRUNED}),
    Status.FAILED: frozenset({Status.PRUNED}),
    Status.PRUNED: frozenset(),
}


class Origin(StrEnum):
    """How a release came to be."""

    LOADED = "loaded"
    ADOPTED = "adopted"  # it was live before the tool first saw it


class StructureFrom(StrEnum):
    """Where the shadow's tables come from."""

    LIVE = "live"
    DDL = "ddl"
    FILES = "files"
    COMMAND = "command"  # the schema is empty, and the program that fills it makes them
    BACKUP = "backup"


class Isolation(StrEnum):
    """What keeps a program that fills a release away from live."""

    SCHEMA = "schema"  # names without a schema lead into the release
    DATABASE = "database"  # a scratch database, where the live schema's name leads into it as well


class Release(Record, frozen=True, kw_only=True):
    """One generation of the data, as the ledger has it.

    `schema_oid` identifies its schema whatever the schema is called; `base_oid` is the OID of the schema that was
    live when the load began (None: there was none).
    """

    id: int
    live_schema: str
    number: int
    status: Status
    origin: Origin
    schema_oid: int | None
    base_oid: int | None
    structure: StructureFrom | None
    created_at: datetime
    created_by: str
    ready_at: datetime | None = None
    promoted_at: datetime | None = None
    retired_at: datetime | None = None
    failure: str | None = None

    @property
    def shadow_schema(self) -> str:
        """The schema's name while the release is not live."""
        return names.shadow_schema(self.live_schema, self.number)


# ---- files

STDIN = "-"  # where a path is wanted, standard input


class Format(StrEnum):
    """How the bytes of a data file are to be read, once decompressed."""

    CSV = "csv"
    TSV = "tsv"
    JSON = "json"
    NDJSON = "ndjson"
    PARQUET = "parquet"


class Compression(StrEnum):
    """How the bytes of a data file are packed."""

    NONE = "none"
    GZIP = "gz"
    ZSTD = "zst"
    BZIP2 = "bz2"
    XZ = "xz"


# About how much smaller data files become by compression.
_PACKED = 5


class SourceOptions(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the files of one table are written, in the words of PostgreSQL's COPY; None means the format's default."""

    format: Format | None = None
    delimiter: str | None = None
    quote: str | None = None
    escape: str | None = None
    null: str | None = None
    header: bool = True
    encoding: str | None = None
    columns: tuple[str, ...] | None = None  # the names, in the file's order, where the file has no header
    sources: dict[str, str] = {}  # by column: its name in the file, in JSON also a pointer (RFC 6901) into the object
    ignore_columns: tuple[str, ...] = ()  # names in the file that are passed over; "*": all that the table lacks


class SourceFile(Record, frozen=True, kw_only=True):
    """A data file found: `path` names it for people, `address` is what is opened where that is something else.

    An address may hold secrets: what leaves the workflow has none. `size` is what lies on disk, compressed or not, and
    `sha256` its digest; both are known once it was read, and the size often before.
    """

    path: str
    table: str
    format: Format
    compression: Compression
    size: int | None
    options: SourceOptions = SourceOptions()
    sha256: str | None = None
    address: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET

    @property
    def weight(self) -> int | None:
        """About how many bytes its text has; None where nobody knows."""
        packed = self.compression is not Compression.NONE or self.format is Format.PARQUET
        return None if self.size is None else self.size * (_PACKED if packed else 1)


class Column(Record, frozen=True, kw_only=True):
    """A column as the server has it; `type` is `format_type`'s text, `domain_over` what a domain stands on.

    `receive` is the server's function that reads its binary form, where the server has been asked; `fields` are those
    of a composite type, or of an array's elements where they are composite.
    """

    name: str
    type: str
    domain_over: str | None = None
    receive: str | None = None
    fields: "tuple[Column, ...]" = ()
    not_null: bool = False
    has_default: bool = False
    generated: bool = False  # GENERATED ALWAYS AS (…) STORED or VIRTUAL: no file can fill it

    @property
    def base_type(self) -> str:
        """The type that decides how values are written: a domain's is the one that it stands on."""
        return self.domain_over or self.type


class Table(Record, frozen=True, kw_only=True):
    """A table of a schema with its columns in order; `rows` is the planner's estimate, None when never analyzed."""

    name: str
    columns: tuple[Column, ...]
    partitioned: bool = False
    rows: int | None = None


class ForeignKey(Record, frozen=True, kw_only=True):
    """A foreign key of a table: its columns, and the parent table and columns that they refer to.

    `definition` is the server's text; `nullable`: none of its columns is NOT NULL.
    """

    table: str
    name: str
    definition: str
    validated: bool
    comment: str | None
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    nullable: bool


class CopyOptions(Record, frozen=True, kw_only=True):
    """What COPY must be told so that the server reads a file's blocks as the file means them.

    `binary`: they are tuples of COPY's binary format, without its header and trailer, and the rest says nothing.
    `text`: they are lines of COPY's text format, and only the encoding says something.
    """

    delimiter: str = ","
    quote: str = '"'
    escape: str = '"'
    null: str = ""
    encoding: str = "UTF8"
    binary: bool = False
    text: bool = False


class Block(NamedTuple):
    """Whole records of one file, ready for COPY.

    `number` counts the file's blocks from 0; `first` is the file's line (CSV) or element (JSON) at which it begins,
    counted from 1; `lines` is how many lines, or tuples, the server counts in it; `consumed` is how many bytes of
    the file on disk have been read so far.
    """

    number: int
    first: int
    lines: int
    data: bytes
    consumed: int


class Reader(Protocol):
    """One data file opened for COPY: blocks in order, then the file's digest."""

    @property
    def columns(self) -> Sequence[str]:
        """The columns that each record holds, in order."""

    @property
    def copy_options(self) -> CopyOptions:
        """How the server is to read the blocks."""

    def blocks(self, workers: Workers | None = None) -> Iterator[Block]:
        """Yield the file's records, prepared by `workers` where that pays.

        Raises BadSource or BadRow, also when the file changed while it was read.
        """

    def locate(self, block_number: int, block_first: int, line: int) -> str:
        """Say where `line` (from 1) of a block is in the file: `line 17`, `element 4`."""

    @property
    def sha256(self) -> str:
        """The digest of the file's bytes on disk, known when blocks() is exhausted."""

    @property
    def size(self) -> int:
        """How many bytes that were, known when blocks() is exhausted."""


# ---- work done


class TableLoad(Record, frozen=True, kw_only=True):
    """What the load of one table did. `frozen`: loaded with COPY FREEZE, so no old snapshot finds it empty."""

    table: str
    files: int
    rows: int
    bytes: int
    seconds: float
    frozen: bool


class CheckStatus(StrEnum):
    """What became of a check."""

    PASSED = "passed"
    WARNED = "warned"
    FAILED = "failed"
    BROKEN = "broken"  # the check itself could not be run: its author's error
    SKIPPED = "skipped"  # live lacks what it would compare with


class Severity(StrEnum):
    """Whether offending rows stop a release."""

    WARN = "warn"
    ERROR = "error"


class CheckResult(Record, frozen=True, kw_only=True):
    """One check run: `failures` offending rows, the first of them in `sample` under `columns`.

    `table` is the one that it is about, where it is about one; `stored` the one that holds all offending rows, where
    that was wanted.
    """

    name: str
    table: str | None
    severity: Severity
    status: CheckStatus
    failures: int
    seconds: float
    columns: tuple[str, ...] = ()
    sample: tuple[tuple[str | None, ...], ...] = ()
    message: str | None = None
    stored: str | None = None


class Direction(StrEnum):
    """Which way a cut-over goes; the only difference between the two verbs."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"


class Trial(StrEnum):
    """What is done instead of a cut-over: printing its script, or carrying it out and taking it back."""

    SCRIPT = "script"
    REHEARSAL = "rehearsal"


class Cutover(Record, frozen=True, kw_only=True):
    """A cut-over that was committed. `held` is how long readers could be kept waiting, `waited` what earlier
    tries spent on locks; both in seconds. `token` tells this cut-over from every other try.
    """

    live_schema: str
    direction: Direction
    to_number: int
    from_number: int | None
    committed_at: datetime
    held: float | None
    tries: int
    waited: float
    by: str
    token: UUID


class Rehearsal(Record, frozen=True, kw_only=True):
    """A cut-over that was carried out up to its commit, and taken back; the figures are as a Cutover's."""

    live_schema: str
    direction: Direction
    to_number: int
    held: float
    tries: int
    waited: float


class Session(Record, frozen=True, kw_only=True):
    """Another session of the server that stands in the way; `age` is its transaction's, in seconds."""

    pid: int
    user: str | None
    application: str | None
    address: str | None
    state: str | None
    age: float | None
    query: str | None


class Watcher(Protocol):
    """Who is told how the work goes, and asked where only a person can answer."""

    def say(self, text: str) -> None:
        """Take a line of talk."""

    def stage(self, name: str, *, total: int = 0) -> None:
        """Learn that a stage begins; `total` is the bytes it will read, where that is known."""

    def copied(self, table: str, size: int) -> None:
        """Learn that `size` more bytes of a table's files were read; called from any thread."""

    def confirm(self, question: str, answer: str) -> bool:
        """Ask a person to type `answer`; False where nobody can be asked."""


def rows_shown(check: CheckResult) -> str:
    """Return the first offending rows of a check, one a line, each value with its column."""
    lines = [
        ", ".join(f"{column}={value}" for column, value in zip(check.columns, row, strict=True)) for row in check.sample
    ]
    return "\n".join(lines)


def to_json(value: object) -> str:
    """Return a value as compact JSON."""
    return msgspec.json.encode(value).decode()
