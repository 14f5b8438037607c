"""Arrow data in memory for COPY: tables of pyarrow, and whatever else gives its batches by Arrow's own interface."""

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from bluegreen_etl import errors
from bluegreen_etl.model import Block, Column, CopyOptions
from bluegreen_etl.sources.arrow import encoders
from bluegreen_etl.sources.delimited import header
from bluegreen_etl.sources.jsonfiles import value_converters
from bluegreen_etl.workers import Workers

_ROWS = 16_384  # of one block
_FAULTS = (pa.ArrowException, value_converters.BadValue, RecursionError, OverflowError)


class BatchReader:
    """A stream of record batches opened for COPY; implements model.Reader."""

    sha256 = ""  # there is no file that could be compared later

    def __init__(self, data: Any, columns: Sequence[Column], *, name: str) -> None:  # noqa: ANN401 - PyCapsule interface
        """Read the schema.

        Args:
            data: an object with `__arrow_c_stream__`.
            columns: the table's columns, which the data's must be among.
            name: what errors call the data.

        Raises:
            BadSource: its columns do not fit the table.
        """
        self._batches = pa.RecordBatchReader.from_stream(data)
        self._name = name
        given = self._batches.schema
        self.columns = tuple(given.names)
        by_name = {column.name: column for column in columns}
        fillable = [column.name for column in columns if not column.generated]
        header.refuse_unknown(self.columns, fillable, [column.name for column in columns if column.generated], name)
        wanted = [by_name[column] for column in self.columns]
        targets = [encoders.target(column, field.type) for column, field in zip(wanted, given, strict=True)]
        self.copy_options = CopyOptions(binary=all(target is not None for target in targets))
        binary = self.copy_options.binary
        self._encoder = encoders.Binary(wanted, targets) if binary else encoders.Text(wanted)
        self.size = 0

    def blocks(self, _workers: Workers | None = None) -> Iterator[Block]:
        """Yield the rows.

        Raises:
            BadRow: a value does not fit its column.
        """
        number, first = 0, 1
        for whole in self._batches:
            for start in range(0, len(whole), _ROWS):
                batch = whole.slice(start, _ROWS)
                try:
                    data = self._encoder.encode(batch)
                except _FAULTS as error:
                    raise errors.BadRow(
                        f"{self._name}, in rows {first} to {first + len(batch) - 1}: {error}", hint="Correct the value."
                    ) from error
                self.size += len(data)
                lines = len(batch) if self.copy_options.binary else data.count(b"\n")
                yield Block(number, first, lines, data, self.size)
                number, first = number + 1, first + len(batch)

    def locate(self, _block_number: int, block_first: int, line: int) -> str:
        """Say which row holds `line` of a block; one that holds line ends itself makes it a later one."""
        return f"row {block_first + line - 1}"
