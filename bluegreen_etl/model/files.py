"""Data files and the tables that they fill."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated, NamedTuple, Protocol

import msgspec
from msgspec import Meta

from bluegreen_etl.model.record import Record
from bluegreen_etl.workers import Workers

STDIN = "-"  # standard input, in place of a path


class Format(StrEnum):
    """The format of a data file after decompression."""

    CSV = "csv"
    TSV = "tsv"
    JSON = "json"
    NDJSON = "ndjson"
    PARQUET = "parquet"


class Compression(StrEnum):
    """The compression of a data file."""

    NONE = "none"
    GZIP = "gz"
    ZSTD = "zst"
    BZIP2 = "bz2"
    XZ = "xz"


# Typical ratio of uncompressed to compressed size.
_PACKED = 5


_MAX_RECORD_MB = 256


class SourceOptions(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The dialect of one table's files, in the terms of PostgreSQL's COPY; None means the default of the format."""

    format: Annotated[Format | None, Meta(description="format of the files; default: by their suffix")] = None
    delimiter: Annotated[str | None, Meta(description="separator of fields; default: a comma, in TSV a tab")] = None
    quote: Annotated[str | None, Meta(description='character around values with a delimiter; default: `"`')] = None
    escape: Annotated[str | None, Meta(description="character before a literal quote; default: the quote")] = None
    null: Annotated[str | None, Meta(description="text that means NULL; default: an empty unquoted field")] = None
    header: Annotated[bool, Meta(description="whether the first line names the columns")] = True
    encoding: Annotated[str | None, Meta(description="PostgreSQL's name, such as `LATIN1`; default: UTF8")] = None
    columns: Annotated[
        tuple[str, ...] | None,
        Meta(description="names of the columns in the file's order, if it has no header"),
    ] = None
    sources: Annotated[
        dict[str, str],
        Meta(
            description="name in the file by column, in JSON also a pointer (RFC 6901) into the object: "
            '`{ born = "birthDate", city = "/address/city" }`'
        ),
    ] = msgspec.field(default_factory=dict)
    ignore_columns: Annotated[
        tuple[str, ...], Meta(description='names in the file to skip; `"*"`: all that the table lacks')
    ] = ()
    max_record_mb: Annotated[
        Annotated[int, Meta(ge=1, le=1024)] | None,
        Meta(description="longest record in CSV, TSV and JSON files, in megabytes; default: 256"),
    ] = None

    @property
    def longest_record(self) -> int:
        """The largest number of bytes of a record: an unclosed quote, or a bomb, would fill the memory."""
        return (self.max_record_mb or _MAX_RECORD_MB) << 20


class SourceFile(Record, frozen=True, kw_only=True):
    """A data file: `path` is its name in messages, `address` what is opened if that differs.

    An address may contain secrets; no output of a command contains them. `size` is the number of bytes on disk, and
    `sha256` their digest; both are known after the file was read, the size often before.
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
        """The approximate number of bytes of its text; None if unknown."""
        packed = self.compression is not Compression.NONE or self.format is Format.PARQUET
        return None if self.size is None else self.size * (_PACKED if packed else 1)


class Column(Record, frozen=True, kw_only=True):
    """A column in the server; `type` is the text of `format_type`, `domain_over` the base type of a domain.

    `receive` is the server's function for the binary form, if queried; `fields` are those of a composite type, or of
    composite array elements.
    """

    name: str
    type: str
    domain_over: str | None = None
    receive: str | None = None
    fields: "tuple[Column, ...]" = ()
    not_null: bool = False
    has_default: bool = False
    generated: bool = False  # GENERATED ALWAYS AS (…) STORED or VIRTUAL: a file cannot fill it

    @property
    def base_type(self) -> str:
        """The type that determines the text of values: for a domain, its base type."""
        return self.domain_over or self.type


class Table(Record, frozen=True, kw_only=True):
    """A table with its columns in order; `rows` is the planner's estimate, None if never analyzed."""

    name: str
    columns: tuple[Column, ...]
    partitioned: bool = False
    rows: int | None = None


class Firing(Record, frozen=True, kw_only=True):
    """How a trigger of a foreign key fires, if not as usual: on which table, its pg_trigger.tgtype, and its state."""

    on_parent: bool
    type: int
    state: str


class ForeignKey(Record, frozen=True, kw_only=True):
    """A foreign key of a table: its columns, and the parent table and columns that they refer to.

    `definition` is the server's text; `nullable`: none of its columns is NOT NULL. `operators` compare the parent's
    columns with the table's, without any in what an older version has stored. `period`: the last columns are ranges,
    and those of the parent cover the table's together.
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
    operators: tuple[str, ...] | None = None
    firing: tuple[Firing, ...] | None = None
    period: bool = False


class CopyOptions(Record, frozen=True, kw_only=True):
    """The options of COPY for the blocks of a file.

    `binary`: blocks are tuples of COPY's binary format without header and trailer; the other options are unused.
    `text`: blocks are lines of COPY's text format; only the encoding is used.
    """

    delimiter: str = ","
    quote: str = '"'
    escape: str = '"'
    null: str = ""
    encoding: str = "UTF8"
    binary: bool = False
    text: bool = False

    @property
    def csv(self) -> bool:
        """Whether blocks are CSV, so that the other options are used."""
        return not self.binary and not self.text


class Block(NamedTuple):
    """Whole records of one file, ready for COPY.

    `number` counts the blocks of the file from 0; `first` is the file's line (CSV) or element (JSON) at which the block
    begins, counted from 1; `lines` is the number of lines, or tuples, that the server counts; `consumed` is the number
    of bytes on disk that were read so far. The reader uses `origin` to split the block into records; `broken`: a
    record cannot be encoded for COPY, so `data` is empty.
    """

    number: int
    first: int
    lines: int
    data: bytes
    consumed: int
    origin: object = None
    broken: bool = False


class FileRecord(NamedTuple):
    """A record of a block: `number` is its line (or element, or row) in the file, `text` its text in the file.

    `data` is the record encoded for COPY, in `lines` lines as the server counts; `fault` is why it cannot be encoded.
    `size` is the number of lines in the file.
    """

    number: int
    text: str
    data: bytes
    lines: int
    fault: str | None = None
    size: int = 1


class Reader(Protocol):
    """A data file opened for COPY: blocks in order, then the digest of the file."""

    @property
    def columns(self) -> Sequence[str]:
        """The columns of each record, in order."""

    @property
    def copy_options(self) -> CopyOptions:
        """The options with which COPY reads the blocks."""

    def blocks(self, workers: Workers | None = None) -> Iterator[Block]:
        """Yield the records of the file; `workers` encode large files.

        Raises BadSource or BadRow, also if the file changed during the read.
        """

    def locate(self, block_number: int, block_first: int, line: int) -> str:
        """Return the place in the file of `line` (from 1) of a block: `line 17`, `element 4`."""

    @property
    def sha256(self) -> str:
        """The digest of the bytes on disk; blocks() must be exhausted."""

    @property
    def size(self) -> int:
        """The number of bytes on disk; blocks() must be exhausted."""


class FileReader(Reader, Protocol):
    """A reader that can split its blocks into records, so that single records can be rejected."""

    @property
    def unit(self) -> str:
        """The unit of record numbers: line, element or row."""

    def records(self, block: Block) -> Sequence[FileRecord]:
        """Split a block into records.

        Raises BadSource if a record has no end, because it may contain any number of other records.
        """
