"""Encode Arrow record batches for COPY: in binary if every column has an exact binary form, otherwise as CSV."""

import io
from collections.abc import Iterable
from typing import Protocol

import pgpq
import pyarrow as pa
from pgpq import encoders, schema
from pyarrow import csv

from bluegreen_etl.model import Column
from bluegreen_etl.sources.arrow import column_types, values
from bluegreen_etl.sources.arrow.library import library_call
from bluegreen_etl.sources.jsonfiles.value_converters import BadValue

TRAILER = b"\xff\xff"  # "no more tuples": ends the stream of a connection, not a block


class Encoder(Protocol):
    """Encodes record batches."""

    def encode(self, batch: pa.RecordBatch) -> bytes:
        """Return the rows of a batch as COPY data; raises BadValue, which names the column."""


class Binary:
    """Encodes batches as tuples of COPY's binary format."""

    def __init__(self, columns: Iterable[Column], targets: Iterable[pa.DataType]) -> None:
        self._columns = tuple(columns)
        self._targets = tuple(targets)
        fields = [pa.field(f"field_{position}", kind) for position, kind in enumerate(self._targets)]
        self._builders = {
            field.name: encoders.StringEncoderBuilder.new_with_output(field, schema.Jsonb())
            if column.receive == column_types.JSONB
            else pgpq.ArrowToPostgresBinaryEncoder.infer_encoder(field)
            for field, column in zip(fields, self._columns, strict=True)
        }
        self._schema = pa.schema(fields)

    def encode(self, batch: pa.RecordBatch) -> bytes:
        """Return the rows of a batch.

        Raises:
            BadValue: a value does not fit its target.
        """
        arrays = []
        for array, column, kind in zip(batch.columns, self._columns, self._targets, strict=True):
            try:
                arrays.append(_storage(values.cast(array, kind)))
            except BadValue as error:
                raise _in_column(column, error) from error
        with library_call():
            # An encoder holds rows back until it is finished, and a block must be whole: use one encoder per batch.
            encoder = pgpq.ArrowToPostgresBinaryEncoder.new_with_encoders(self._schema, self._builders)
            encoder.write_header()
            rows: bytes = encoder.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
            rest: bytes = encoder.finish()
        # Usually nothing is held back; copying a block of some megabytes is slow.
        return rows if rest == TRAILER else (rows + rest)[: -len(TRAILER)]


class Text:
    """Encodes batches as CSV, each value as the text that the server's input function reads."""

    def __init__(self, columns: Iterable[Column]) -> None:
        self._columns = tuple(columns)

    def encode(self, batch: pa.RecordBatch) -> bytes:
        """Return the rows of a batch, every value quoted, NULL as an empty field.

        Raises:
            BadValue: a value has no text.
        """
        arrays = []
        for array, column in zip(batch.columns, self._columns, strict=True):
            try:
                arrays.append(values.text(array, column))
            except BadValue as error:
                raise _in_column(column, error) from error
        written = io.BytesIO()
        with library_call():
            names = [f"field_{position}" for position in range(len(arrays))]
            options = csv.WriteOptions(include_header=False, quoting_style="all_valid")
            csv.write_csv(pa.RecordBatch.from_arrays(arrays, names=names), written, options)
        return written.getvalue()


def first_bad_row(encoder: Encoder, batch: pa.RecordBatch, error: BadValue) -> tuple[int, BadValue]:
    """Return the position of the first row that cannot be encoded, and its error; `error` is that of the batch."""
    for position in range(len(batch)):
        try:
            encoder.encode(batch.slice(position, 1))
        except BadValue as own:
            return position, own
    return 0, error


def hint_for(error: BadValue) -> str:
    """Return what to do about a value that cannot be encoded."""
    if "would lose data" in str(error) or "nanoseconds" in str(error):
        return 'Round the values to microseconds in the file, or keep all digits: `types = { COLUMN = "text" }`.'
    return "Correct the value in the file."


def _storage(array: pa.Array) -> pa.Array:
    return array.storage if isinstance(array, pa.ExtensionArray) else array


def _in_column(column: Column, error: BadValue) -> BadValue:
    return BadValue(f'column "{column.name}": {error}')
