"""Read Parquet for COPY batch by batch, so that memory does not grow with the file.

pyarrow reads and pgpq encodes, without the interpreter's lock or so fast that worker processes would not help.
"""

import contextlib
import csv
import io
import json
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import pyarrow as pa
from pyarrow import parquet

from bluegreen_etl import errors
from bluegreen_etl.model import Block, Column, Compression, CopyOptions, FileRecord, SourceFile
from bluegreen_etl.sources import column_mapping, decompress, places
from bluegreen_etl.sources.arrow import column_types, encoders, values
from bluegreen_etl.sources.arrow.library import library_call
from bluegreen_etl.sources.delimited import header
from bluegreen_etl.sources.jsonfiles.value_converters import BadValue
from bluegreen_etl.sources.value_types import UNKNOWN
from bluegreen_etl.workers import Workers

BLOCK_SIZE = 1 << 20
_BUFFER = 1 << 20
_AHEAD = 2  # blocks encoded before a connection needs them
T = TypeVar("T")


class ParquetReader:
    """A Parquet file opened for COPY; implements model.FileReader."""

    unit = "row"

    def __init__(
        self, source: SourceFile, columns: Sequence[Column], *, block_size: int | None = None, tolerant: bool = False
    ) -> None:
        """Read the schema.

        Args:
            source: the file.
            columns: the table's columns; all columns of the file must be among them.
            block_size: the approximate number of bytes of values per block.
            tolerant: a value that does not fit its column marks its block as broken instead of raising.

        Raises:
            BadSource: the file cannot be read, or its columns do not fit the table.
            UsageError: an option does not apply to Parquet.
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
        held = zip(schema.names, mapping.names(schema.names), strict=True)
        taken = [(own, name) for own, name in held if not mapping.is_ignored(name, fillable)]
        self._own = [own for own, _ in taken]
        self._columns = tuple(name for _, name in taken)
        self._int96 = _int96_columns(metadata, self._own)
        header.refuse_unknown(self._columns, fillable, generated, source.path)
        by_name = {column.name: column for column in columns}
        wanted = [by_name[name] for name in self._columns]
        _refuse_duplicates(self._columns, source)
        targets = [
            column_types.target(column, schema.field(own).type) for own, column in zip(self._own, wanted, strict=True)
        ]
        self._binary = all(target is not None for target in targets)
        self._encoder = encoders.Binary(wanted, targets) if self._binary else encoders.Text(wanted)
        self._batch = _rows_of_a_batch(metadata, block_size or BLOCK_SIZE)
        self._rows = metadata.num_rows

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the file, in its order."""
        return self._columns

    @property
    def copy_options(self) -> CopyOptions:
        """Binary, or CSV if a column has no exact binary form."""
        return CopyOptions(binary=self._binary)

    @property
    def sha256(self) -> str:
        """The digest of the file on disk; blocks() must be exhausted."""
        return decompress.finished_digest(self._digest).sha256

    @property
    def size(self) -> int:
        """The number of bytes on disk; blocks() must be exhausted."""
        return decompress.finished_digest(self._digest).size

    def blocks(self, workers: Workers | None = None) -> Iterator[Block]:
        """Yield the rows of the file.

        Raises:
            BadSource: the file is damaged, or changed since it was opened.
            BadRow: a value does not fit its column, unless `tolerant`.
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
        """Return the row of `line` of a block; encodes the block again if rows are sent as text."""
        if self._binary:
            return f"row {block_first + line - 1}"
        batch = next(batch for number, batch in enumerate(self._batches()) if number == block_number)
        records = csv.reader(io.StringIO(self._encode(batch, block_first).decode(), newline="\n"))
        before = sum(1 for _ in records if records.line_num < line)
        return f"row {block_first + before}"

    def records(self, block: Block) -> list[FileRecord]:
        """Split a block into records; the text of a row is an object of its values."""
        batch: Any = block.origin
        return [self._record(batch.slice(place, 1), block.first + place) for place in range(len(batch))]

    def _record(self, row: pa.RecordBatch, number: int) -> FileRecord:
        text = _written(row)
        try:
            data = self._encoder.encode(row)
        except BadValue as error:
            return FileRecord(number, text, b"", 0, str(error))
        return FileRecord(number, text, data, self._lines(row, data))

    def _lines(self, batch: pa.RecordBatch, data: bytes) -> int:
        """Return the number of lines, or tuples, that the server counts."""
        return len(batch) if self._binary else data.count(b"\n")

    def _batches(self) -> Iterator[pa.RecordBatch]:
        first = 1
        with contextlib.ExitStack() as stack:
            batches = self._decoded(stack.enter_context(_opened(self._source)), self._own)
            exact = None
            if self._int96:
                exact = self._decoded(stack.enter_context(_opened(self._source, int96="ns")), self._int96)
            while (batch := self._next(batches)) is not None:
                if exact:
                    self._refuse_nanoseconds(batch, self._next(exact), first)
                first += len(batch)
                yield batch.select(self._own)

    def _decoded(self, file: Any, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:  # noqa: ANN401 - a ParquetFile
        # Threads of pyarrow would take the cores from the server's processes and from COPY's.
        batches: Iterator[pa.RecordBatch] = file.iter_batches(self._batch, columns=columns, use_threads=False)
        return batches

    def _next(self, batches: Iterator[pa.RecordBatch]) -> pa.RecordBatch | None:
        with library_call(partial(_damaged, self._source.path)):
            return next(batches, None)

    def _refuse_nanoseconds(self, batch: pa.RecordBatch, exact: pa.RecordBatch | None, first: int) -> None:
        """Refuse INT96 timestamps with nanoseconds, which the reader drops; `exact` holds them."""
        for name in self._int96:
            row = exact and values.first_with_nanoseconds(batch.column(name), exact.column(name))
            if row is not None:
                raise errors.BadRow(
                    f'{self._source.path}, row {first + row}, column "{name}": has nanoseconds, '
                    "which PostgreSQL cannot store",
                    hint="Round the values to microseconds in the file.",
                )

    def _encode(self, batch: pa.RecordBatch, first: int) -> bytes:
        try:
            return self._encoder.encode(batch)
        except BadValue as error:
            position, own = encoders.first_bad_row(self._encoder, batch, error)
            raise errors.BadRow(
                f"{self._source.path}, row {first + position}, {own}", hint=encoders.hint_for(own)
            ) from error


def _int96_columns(metadata: Any, own: Sequence[str]) -> list[str]:  # noqa: ANN401 - a FileMetaData
    physical = [metadata.schema.column(position) for position in range(metadata.num_columns)]
    return [column.path for column in physical if column.physical_type == "INT96" and column.path in own]


def _refuse_duplicates(names: Sequence[str], source: SourceFile) -> None:
    for name in names:
        if names.count(name) > 1:
            raise errors.BadSource(
                f'{source.path}: column "{name}" appears twice', hint="Rename or remove one of the two."
            )


def _rows_of_a_batch(metadata: Any, block_size: int) -> int:  # noqa: ANN401 - a FileMetaData
    """Return how many rows are about one block."""
    size = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    return max(1, min(65_536, int(block_size / max(size / max(metadata.num_rows, 1), 1))))


def _ahead(items: Iterator[T], count: int) -> Iterator[T]:
    """Yield items; another thread computes `count` of them in advance."""
    with ThreadPoolExecutor(1, thread_name_prefix="parquet") as pool:
        coming = deque(pool.submit(next, items, None) for _ in range(count))
        while (item := coming.popleft().result()) is not None:
            coming.append(pool.submit(next, items, None))
            yield item


def _written(row: pa.RecordBatch) -> str:
    try:
        with library_call():
            return json.dumps(row.to_pylist()[0], default=str, ensure_ascii=False)
    except BadValue:  # for example, a date that Python cannot represent
        return str([column[0] for column in row.columns])


def columns(source: SourceFile) -> dict[str, str]:
    """Return the columns of the file, each with the PostgreSQL type that holds its declared type.

    Raises:
        BadSource: the file is not Parquet or cannot be read.
        UsageError: an option does not apply to Parquet.
    """
    with _opened(source) as file:
        schema = file.schema_arrow
    mapping = column_mapping.mapping_of(source)
    return {
        name: UNKNOWN if pa.types.is_null(field.type) else column_types.postgres_type(field.type)
        for name, field in zip(mapping.names(schema.names), schema, strict=True)
        if name not in mapping.ignored
    }


@contextlib.contextmanager
def _opened(source: SourceFile, *, int96: str = "us") -> Iterator[Any]:
    _check(source)
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(places.of(source).open_seekable())
        # pyarrow reads local files without the interpreter's lock if it opens them itself.
        given = source.path if isinstance(raw, io.FileIO) else stack.enter_context(io.BufferedReader(raw, _BUFFER))
        with library_call(partial(_damaged, source.path)):
            # In nanoseconds, INT96 timestamps outside of 1677 to 2262 would become other dates.
            opened = parquet.ParquetFile(
                given, pre_buffer=False, buffer_size=_BUFFER, coerce_int96_timestamp_unit=int96
            )
            file = stack.enter_context(opened)
        yield file


def _check(source: SourceFile) -> None:
    if source.compression is not Compression.NONE:
        raise errors.BadSource(
            f"{source.path} is compressed as a whole: Parquet is read from its end",
            hint="Decompress the file; Parquet compresses its own pages.",
        )
    for name in ("delimiter", "quote", "escape", "null", "encoding", "columns"):
        if getattr(source.options, name) is not None:
            raise errors.BadConfiguration(
                f'option {name} of table "{source.table}" does not apply to Parquet',
                hint=f"Remove `{name}` from `[tables.{source.table}]`.",
            )


def _damaged(path: str, reason: str) -> errors.BadSource:
    return errors.BadSource(
        f"{path} cannot be read as Parquet: {reason}",
        hint="The file is damaged or truncated. Write or download it again.",
    )
