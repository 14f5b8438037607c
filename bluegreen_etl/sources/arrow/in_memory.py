"""Read Arrow data in memory for COPY: any object that exports record batches by Arrow's C stream interface."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from bluegreen_etl import errors
from bluegreen_etl.model import Block, Column, CopyOptions
from bluegreen_etl.sources.arrow import column_types, encoders
from bluegreen_etl.sources.arrow.library import library_call
from bluegreen_etl.sources.delimited import header
from bluegreen_etl.sources.jsonfiles.value_converters import BadValue
from bluegreen_etl.workers import Workers

_ROWS = 16_384  # per block


class BatchReader:
    """A stream of record batches opened for COPY; implements model.Reader."""

    sha256 = ""  # no file to compare later

    def __init__(self, data: Any, columns: Sequence[Column], *, name: str) -> None:  # noqa: ANN401 - PyCapsule interface
        """Read the schema.

        Args:
            data: an object with `__arrow_c_stream__`.
            columns: the table's columns; all columns of the data must be among them.
            name: the name of the data in messages.

        Raises:
            BadSource: the columns do not fit the table.
        """
        self._name = name
        with library_call(self._unreadable):
            self._batches = pa.RecordBatchReader.from_stream(data)
        given = self._batches.schema
        self.columns = tuple(given.names)
        by_name = {column.name: column for column in columns}
        fillable = [column.name for column in columns if not column.generated]
        header.refuse_unknown(self.columns, fillable, [column.name for column in columns if column.generated], name)
        wanted = [by_name[column] for column in self.columns]
        targets = [column_types.target(column, field.type) for column, field in zip(wanted, given, strict=True)]
        self.copy_options = CopyOptions(binary=all(target is not None for target in targets))
        binary = self.copy_options.binary
        self._encoder = encoders.Binary(wanted, targets) if binary else encoders.Text(wanted)
        self.size = 0

    def blocks(self, _workers: Workers | None = None) -> Iterator[Block]:
        """Yield the rows.

        Raises:
            BadSource: the data cannot be read.
            BadRow: a value does not fit its column.
        """
        number, first = 0, 1
        while (whole := self._next()) is not None:
            for start in range(0, len(whole), _ROWS):
                batch = whole.slice(start, _ROWS)
                data = self._encode(batch, first)
                self.size += len(data)
                lines = len(batch) if self.copy_options.binary else data.count(b"\n")
                yield Block(number, first, lines, data, self.size)
                number, first = number + 1, first + len(batch)

    def _next(self) -> pa.RecordBatch | None:
        with library_call(self._unreadable):
            return next(self._batches, None)

    def _unreadable(self, reason: str) -> errors.BadSource:
        return errors.BadSource(f"{self._name} cannot be read: {reason}", hint="Check the program that makes the data.")

    def _encode(self, batch: pa.RecordBatch, first: int) -> bytes:
        try:
            return self._encoder.encode(batch)
        except BadValue as error:
            position, own = encoders.first_bad_row(self._encoder, batch, error)
            raise errors.BadRow(f"{self._name}, row {first + position}, {own}", hint=encoders.hint_for(own)) from error

    def locate(self, _block_number: int, block_first: int, line: int) -> str:
        """Return the row of `line` of a block; values with line ends make the number too high."""
        return f"row {block_first + line - 1}"
