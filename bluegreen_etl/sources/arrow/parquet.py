"""Parquet for COPY: row groups are read batch by batch, so that memory does not grow with the file.

pyarrow reads, pgpq encodes; both work outside of the interpreter's lock or so quickly that processes would not pay.
"""

import contextlib
import csv
import io
import json
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pyarrow as pa
from pyarrow import parquet

from bluegreen_etl import errors
from bluegreen_etl.model import Block, Column, Compression, CopyOptions, FileRecord, SourceFile
from bluegreen_etl.sources import column_mapping, decompress, places
from bluegreen_etl.sources.arrow import encoders
from bluegreen_etl.sources.delimited import header
from bluegreen_etl.sources.jsonfiles import value_converters
from bluegreen_etl.workers import Workers

BLOCK_SIZE = 1 << 20
_BUFFER = 1 << 20
_AHEAD = 2  # blocks encoded before a connection asks for them
T = TypeVar("T")
_FAULTS = (pa.ArrowException, value_converters.BadValue, RecursionError, OverflowError)


class ParquetReader:
    """A Parquet file opened for COPY; implements model.FileReader."""

    unit = "row"

    def __init__(
        self, source: SourceFile, columns: Sequence[Column], *, block_size: int | None = None, tolerant: bool = False
    ) -> None:
        """Read the schema.

        Args:
            source: the file.
            columns: the table's columns, which the file's must be among.
            block_size: about how many bytes of the file's values a block shall be made of.
            tolerant: a value that does not fit its column makes its block broken, and is no error.

        Raises:
            BadSource: the file cannot be read, or its columns do not fit the table.
            UsageError: its options are not for Parquet.
        """
        self._source = source
        self._tolerant = tolerant
        self._before = decompress.fingerprint(source)
        self._digest: decompress.Digest | None = None
        fillable = [column.name for column in columns if not column.generated]
        generated = [column.name for column in columns if column.generated]
        with _opened(source) as file:
            schema, metadata = file.schema_arrow, file.metadata
        mapping = column_mapping.mapping_of(source)
        held = mapping.names(schema.names)
        taken = [
            (own, name) for own, name in zip(schema.names, held, strict=True) if not mapping.is_ignored(name, fillable)
        ]
        self._own = [own for own, _ in taken]
        self._columns = tuple(name for _, name in taken)
        header.refuse_unknown(self._columns, fillable, generated, source.path)
        by_name = {column.name: column for column in columns}
        wanted = [by_name[name] for name in self._columns]
        for name in self._columns:
            if self._columns.count(name) > 1:
                raise errors.BadSource(
                    f'{source.path}: column "{name}" appears twice', hint="Rename or remove one of the two."
                )
        targets = [
            encoders.target(column, schema.field(own).type) for own, column in zip(self._own, wanted, strict=True)
        ]
        self._binary = all(target is not None for target in targets)
        self._encoder = encoders.Binary(wanted, targets) if self._binary else encoders.Text(wanted)
        row = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups)) / max(
            metadata.num_rows, 1
        )
        self._batch = max(1, min(65_536, int((block_size or BLOCK_SIZE) / max(row, 1))))
        self._rows = metadata.num_rows

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the file holds, in its order."""
        return self._columns

    @property
    def copy_options(self) -> CopyOptions:
        """Binary, or CSV where a column has to go as text."""
        return CopyOptions(binary=self._binary)

    @property
    def sha256(self) -> str:
        """The digest of the file on disk; blocks() must be exhausted."""
        return decompress.finished_digest(self._digest).sha256

    @property
    def size(self) -> int:
        """How many bytes the file has on disk; blocks() must be exhausted."""
        return decompress.finished_digest(self._digest).size

    def blocks(self, workers: Workers | None = None) -> Iterator[Block]:
        """Yield the file's rows.

        Raises:
            BadSource: the file is damaged, or changed since it was opened.
            BadRow: a value does not fit its column, unless that is tolerated.
        """
        yield from _ahead(self._encoded(), _AHEAD)
        with decompress.open_stream(self._source, self._before) as stream:
            self._digest = stream.finish()

    def _encoded(self) -> Iterator[Block]:
        first = 1
        for number, batch in enumerate(_ahead(self._batches(), 1)):
            broken = False
            try:
                data = self._encode(batch, first)
            except errors.BadRow:
                if not self._tolerant:
                    raise
                data, broken = b"", True
            first += len(batch)
            consumed = (self._source.size or 0) * (first - 1) // max(self._rows, 1)
            yield Block(number, first - len(batch), self._lines(batch, data), data, consumed, batch, broken)

    def locate(self, block_number: int, block_first: int, line: int) -> str:
        """Say which row holds `line` of a block; where rows go as text, encodes the block again."""
        if self._binary:
            return f"row {block_first + line - 1}"
        batch = next(batch for number, batch in enumerate(self._batches()) if number == block_number)
        records = csv.reader(io.StringIO(self._encode(batch, block_first).decode(), newline="\n"))
        before = sum(1 for _ in records if records.line_num < line)
        return f"row {block_first + before}"

    def records(self, block: Block) -> list[FileRecord]:
        """Take a block apart; a row's text is an object of its values."""
        batch: Any = block.origin
        return [self._record(batch.slice(place, 1), block.first + place) for place in range(len(batch))]

    def _record(self, row: pa.RecordBatch, number: int) -> FileRecord:
        text = _written(row)
        try:
            data = self._encoder.encode(row)
        except _FAULTS as error:
            return FileRecord(number, text, b"", 0, str(error))
        return FileRecord(number, text, data, self._lines(row, data))

    def _lines(self, batch: pa.RecordBatch, data: bytes) -> int:
        """Return how many lines, or tuples, the server counts."""
        return len(batch) if self._binary else data.count(b"\n")

    def _batches(self) -> Iterator[pa.RecordBatch]:
        with _opened(self._source) as file:
            try:
                # Threads of its own would take the cores from the server's processes and from COPY's.
                for batch in file.iter_batches(self._batch, columns=self._own, use_threads=False):
                    yield batch.select(self._own)
            except (pa.ArrowException, OSError) as error:
                raise _damaged(self._source.path, error) from error

    def _encode(self, batch: pa.RecordBatch, first: int) -> bytes:
        try:
            return self._encoder.encode(batch)
        except _FAULTS as error:
            raise self._bad_row(batch, first, error) from error

    def _bad_row(self, batch: pa.RecordBatch, first: int, error: Exception) -> errors.BadRow:
        """Return the error of the first row that cannot be encoded."""
        for position in range(len(batch)):
            try:
                self._encoder.encode(batch.slice(position, 1))
            except _FAULTS as own:
                first, error = first + position, own
                break
        return errors.BadRow(f"{self._source.path}, row {first}: {error}", hint="Correct the value in the file.")


def _ahead(items: Iterator[T], count: int) -> Iterator[T]:
    """Yield items, of which so many are made ahead in another thread."""
    with ThreadPoolExecutor(1, thread_name_prefix="parquet") as pool:
        coming = deque(pool.submit(next, items, None) for _ in range(count))
        while (item := coming.popleft().result()) is not None:
            coming.append(pool.submit(next, items, None))
            yield item


def _written(row: pa.RecordBatch) -> str:
    try:
        return json.dumps(row.to_pylist()[0], default=str, ensure_ascii=False)
    except (ValueError, TypeError, pa.ArrowException):  # what Python has no value for
        return str([column[0] for column in row.columns])


def columns(source: SourceFile) -> dict[str, str]:
    """Return the file's columns, each with the PostgreSQL type that holds what it declares.

    Raises:
        BadSource: the file is not Parquet or cannot be read.
        UsageError: its options are not for Parquet.
    """
    with _opened(source) as file:
        schema = file.schema_arrow
    mapping = column_mapping.mapping_of(source)
    return {
        name: encoders.postgres_type(field.type)
        for name, field in zip(mapping.names(schema.names), schema, strict=True)
        if name not in mapping.ignored
    }


@contextlib.contextmanager
def _opened(source: SourceFile) -> Iterator[Any]:
    _check(source)
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(places.of(source).open_seekable())
        # Files of this machine are read without the interpreter's lock when pyarrow opens them itself.
        given = source.path if isinstance(raw, io.FileIO) else stack.enter_context(io.BufferedReader(raw, _BUFFER))
        try:
            file = stack.enter_context(parquet.ParquetFile(given, pre_buffer=False, buffer_size=_BUFFER))
        except (pa.ArrowException, OSError) as error:
            raise _damaged(source.path, error) from error
        yield file


def _check(source: SourceFile) -> None:
    if source.compression is not Compression.NONE:
        raise errors.BadSource(
            f"{source.path} is packed Parquet, which cannot be read from its end",
            hint="Unpack it: Parquet is compressed inside.",
        )
    for name in ("delimiter", "quote", "escape", "null", "encoding", "columns"):
        if getattr(source.options, name) is not None:
            raise errors.BadConfiguration(
                f'option {name} of table "{source.table}" is not for Parquet',
                hint=f"Remove `{name}` from the options.",
            )


def _damaged(path: str, error: Exception) -> errors.BadSource:
    return errors.BadSource(
        f"{path} cannot be read as Parquet: {' '.join(str(error).split())}",
        hint="The file is damaged or not complete; write or fetch it again.",
    )
