"""Data files and the tables that they fill."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated, NamedTuple, Protocol

import msgspec
from msgspec import Meta

from bluegreen_etl.model.record import Record
from bluegreen_etl.workers import Workers

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

    format: Annotated[Format | None, Meta(description="how they are written; default: what their suffix says")] = None
    delimiter: Annotated[str | None, Meta(description="what separates values; default: a comma, in TSV a tab")] = None
    quote: Annotated[str | None, Meta(description='what encloses a value that holds a delimiter; default: `"`')] = None
    escape: Annotated[
        str | None, Meta(description="what stands before a quote that is meant as such; default: the quote")
    ] = None
    null: Annotated[str | None, Meta(description="the text that stands for NULL; default: nothing, unquoted")] = None
    header: Annotated[bool, Meta(description="whether the first line names the columns")] = True
    encoding: Annotated[str | None, Meta(description="PostgreSQL's name of it, such as `LATIN1`; default: UTF8")] = None
    columns: Annotated[
        tuple[str, ...] | None, Meta(description="the names, in the file's order, where the file has no header")
    ] = None
    sources: Annotated[
        dict[str, str],
        Meta(
            description="by column: its name in the file, in JSON also a pointer (RFC 6901) into the object: "
            '`{ born = "birthDate", city = "/address/city" }`'
        ),
    ] = msgspec.field(default_factory=dict)
    ignore_columns: Annotated[
        tuple[str, ...], Meta(description='names in the file that are passed over; `"*"`: all that the table lacks')
    ] = ()


class SourceFile(Record, frozen=True, kw_only=True):
    """A data file found: `path` names it for people, `address` is what is opened where that is something else.

    An address may hold secrets: what leaves a command has none. `size` is what lies on disk, compressed or not, and
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
    operators: tuple[str, ...] = ()
    period: bool = False


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

    @property
    def csv(self) -> bool:
        """Whether the rest says something."""
        return not self.binary and not self.text


class Block(NamedTuple):
    """Whole records of one file, ready for COPY.

    `number` counts the file's blocks from 0; `first` is the file's line (CSV) or element (JSON) at which it begins,
    counted from 1; `lines` is how many lines, or tuples, the server counts in it; `consumed` is how many bytes of
    the file on disk have been read so far. `origin` is what its reader takes it apart by; `broken`: one of its records
    cannot be given to COPY, and so there are no data.
    """

    number: int
    first: int
    lines: int
    data: bytes
    consumed: int
    origin: object = None
    broken: bool = False


class FileRecord(NamedTuple):
    """One record of a block: `number` is its line (or element, or row) in the file, `text` what is written there.

    `data` is how COPY takes it, in so many `lines` as the server counts them; `fault` says why it cannot be had so.
    `size` is how many lines of the file it has.
    """

    number: int
    text: str
    data: bytes
    lines: int
    fault: str | None = None
    size: int = 1


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


class FileReader(Reader, Protocol):
    """One that can take its blocks apart, so that single records may be left out."""

    @property
    def unit(self) -> str:
        """What the numbers of its records count: line, element or row."""

    def records(self, block: Block) -> Sequence[FileRecord]:
        """Take a block apart.

        Raises BadSource where it has a record without an end, which may have swallowed any number of others.
        """
