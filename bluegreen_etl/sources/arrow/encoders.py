"""Arrow columns on their way into COPY: binary where that is proven to be exact, otherwise the text the server reads.

What a column may be in binary is decided by the function with which the server reads its type (pg_type.typreceive)
and by what Arrow holds; tests/integration/test_parquet_fidelity.py compares both ways, pair by pair.
"""

import io
import math
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pgpq
import pyarrow as pa
from pgpq import encoders, schema
from pyarrow import csv

from bluegreen_etl.model import Column
from bluegreen_etl.sources.jsonfiles import value_converters

TRAILER = b"\xff\xff"  # "no more tuples", which ends a connection's stream, not a block
_JSON = msgspec.json.Encoder(decimal_format="number")
# Their binary form names the OID of the element's type, which only the server's own have fixed.
_ARRAYS = {
    "boolean[]": pa.bool_(),
    "smallint[]": pa.int16(),
    "integer[]": pa.int32(),
    "bigint[]": pa.int64(),
    "real[]": pa.float32(),
    "double precision[]": pa.float64(),
    "text[]": pa.string(),
}
_INTEGERS = {"int2recv": pa.int16(), "int4recv": pa.int32(), "int8recv": pa.int64()}
# Their binary form is their text.
_TEXTS = frozenset(
    {"textrecv", "varcharrecv", "bpcharrecv", "namerecv", "citextrecv", "enum_recv", "json_recv", "xml_recv"}
)
_JSONB = "jsonb_recv"
_EXACT_IN_DOUBLE = (pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16(), pa.uint32())


def target(column: Column, given: pa.DataType) -> pa.DataType | None:
    """Return the Arrow type whose binary form the column takes, after a cast that changes no value; None: as text."""
    receive = column.receive or ""
    if pa.types.is_dictionary(given):
        given = given.value_type
    if receive in _TEXTS or receive == _JSONB:
        plain = is_string(given) or (is_nested(given) and receive in {"json_recv", _JSONB})
        return pa.string() if plain or (receive in {"textrecv", "varcharrecv"} and _has_text(given)) else None
    if receive in _INTEGERS:
        return _INTEGERS[receive] if pa.types.is_integer(given) else None
    if pa.types.is_list(given) or pa.types.is_large_list(given):
        element = _ARRAYS.get(column.base_type)
        return pa.list_(element) if element is not None and given.value_type == element else None
    found = _SCALARS.get(receive)
    return found(given) if found else None


def _float8(given: pa.DataType) -> pa.DataType | None:
    exact = pa.types.is_float32(given) or pa.types.is_float64(given) or given in _EXACT_IN_DOUBLE
    return pa.float64() if exact else None


def _numeric(given: pa.DataType) -> pa.DataType | None:
    if pa.types.is_integer(given):
        return pa.decimal128(20, 0)
    return given if pa.types.is_decimal128(given) and given.scale >= 0 else None


def _timestamp(given: pa.DataType) -> pa.DataType | None:
    return pa.timestamp("us") if pa.types.is_timestamp(given) and given.tz is None and given.unit != "ns" else None


def _timestamptz(given: pa.DataType) -> pa.DataType | None:
    return pa.timestamp("us", "UTC") if pa.types.is_timestamp(given) and given.tz and given.unit != "ns" else None


def _only(kind: pa.DataType, *accepted: pa.DataType) -> Callable[[pa.DataType], pa.DataType | None]:
    return lambda given: kind if given in accepted else None


_SCALARS: dict[str, Callable[[pa.DataType], pa.DataType | None]] = {
    "boolrecv": _only(pa.bool_(), pa.bool_()),
    "float4recv": _only(pa.float32(), pa.float32()),
    "float8recv": _float8,
    "numeric_recv": _numeric,
    "timestamp_recv": _timestamp,
    "timestamptz_recv": _timestamptz,
    "date_recv": _only(pa.date32(), pa.date32(), pa.date64()),
    "time_recv": _only(pa.time64("us"), pa.time64("us"), pa.time32("s"), pa.time32("ms")),
    "bytearecv": _only(pa.binary(), pa.binary(), pa.large_binary()),
    "uuid_recv": _only(pa.binary(16), pa.binary(16), pa.uuid()),
}


def is_string(given: pa.DataType) -> bool:
    """Say whether a type is text."""
    return bool(pa.types.is_string(given) or pa.types.is_large_string(given) or pa.types.is_string_view(given))


def is_nested(given: pa.DataType) -> bool:
    """Say whether a type is a list, a struct or a map."""
    return bool(pa.types.is_nested(given))


def _is_bytes(given: pa.DataType) -> bool:
    kinds = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    return any(is_such(given) for is_such in kinds)


def _has_text(given: pa.DataType) -> bool:
    """Say whether Arrow's text of a type is what the server would read."""
    return bool(pa.types.is_integer(given) or pa.types.is_boolean(given) or pa.types.is_date32(given))


def postgres_type(given: pa.DataType) -> str:
    """Return the PostgreSQL type that holds every value of an Arrow type."""
    if pa.types.is_dictionary(given):
        return postgres_type(given.value_type)
    if pa.types.is_decimal(given):
        return f"numeric({given.precision},{given.scale})"
    if pa.types.is_timestamp(given):
        return "timestamp with time zone" if given.tz else "timestamp"
    if pa.types.is_list(given) or pa.types.is_large_list(given) or pa.types.is_fixed_size_list(given):
        inner = postgres_type(given.value_type)
        return "jsonb" if inner == "jsonb" else inner if inner.endswith("[]") else f"{inner}[]"
    if is_nested(given):
        return "jsonb"
    for is_such, name in _TYPES:
        if is_such(given):
            return name
    return "text"


_TYPES: tuple[tuple[Callable[[pa.DataType], bool], str], ...] = (
    (lambda given: given in (pa.int8(), pa.int16(), pa.uint8()), "smallint"),
    (lambda given: given in (pa.int32(), pa.uint16()), "integer"),
    (lambda given: given in (pa.int64(), pa.uint32()), "bigint"),
    (lambda given: given == pa.uint64(), "numeric"),
    (lambda given: given in (pa.float16(), pa.float32()), "real"),
    (pa.types.is_float64, "double precision"),
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_date, "date"),
    (pa.types.is_time, "time"),
    (pa.types.is_duration, "interval"),
    (lambda given: given == pa.uuid(), "uuid"),
    (_is_bytes, "bytea"),
)


# ---- one batch


class Binary:
    """Encodes batches as tuples of COPY's binary format."""

    def __init__(self, columns: Iterable[Column], targets: Iterable[pa.DataType]) -> None:
        self._columns = tuple(columns)
        self._targets = tuple(targets)
        fields = [pa.field(f"field_{position}", kind) for position, kind in enumerate(self._targets)]
        self._builders = {
            field.name: encoders.StringEncoderBuilder.new_with_output(field, schema.Jsonb())
            if column.receive == _JSONB
            else pgpq.ArrowToPostgresBinaryEncoder.infer_encoder(field)
            for field, column in zip(fields, self._columns, strict=True)
        }
        self._schema = pa.schema(fields)

    def encode(self, batch: pa.RecordBatch) -> bytes:
        """Return the batch's rows.

        Raises:
            pa.ArrowInvalid: a value does not fit its target.
        """
        arrays = [cast(array, kind) for array, kind in zip(batch.columns, self._targets, strict=True)]
        # An encoder holds rows back until it is finished, and a block must be whole: so each gets its own.
        encoder = pgpq.ArrowToPostgresBinaryEncoder.new_with_encoders(self._schema, self._builders)
        encoder.write_header()
        rows: bytes = encoder.write_batch(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        rest: bytes = encoder.finish()
        # To copy a block of some megabytes takes its time.
        return rows if rest == TRAILER else (rows + rest)[: -len(TRAILER)]


class Text:
    """Encodes batches as CSV, each value as the text that the server's input function reads."""

    def __init__(self, columns: Iterable[Column]) -> None:
        self._columns = tuple(columns)

    def encode(self, batch: pa.RecordBatch) -> bytes:
        """Return the batch's rows, every value quoted, NULL as nothing.

        Raises:
            pa.ArrowInvalid, values.Refused: a value has no text.
        """
        arrays = [text(array, column) for array, column in zip(batch.columns, self._columns, strict=True)]
        names = [f"field_{position}" for position in range(len(arrays))]
        written = io.BytesIO()
        options = csv.WriteOptions(include_header=False, quoting_style="all_valid")
        csv.write_csv(pa.RecordBatch.from_arrays(arrays, names=names), written, options)
        return written.getvalue()


def cast(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return an array as another type.

    Raises:
        pa.ArrowInvalid: a value does not fit into it.
    """
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if is_nested(array.type) and kind == pa.string():
        return _mapped(array, lambda value: _json(value).decode())
    return array if array.type == kind else array.cast(kind)


def text(array: pa.Array, column: Column) -> pa.Array:
    """Return the texts of an array's values, as the server reads them into the column.

    Raises:
        pa.ArrowInvalid, values.Refused: a value has no text.
    """
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    kind = array.type
    if pa.types.is_dictionary(kind):
        return text(array.dictionary_decode(), column)
    if is_nested(kind):
        convert = value_converters.converter(column)
        return _mapped(array, lambda value: _field(convert(_json(value))))
    if _is_bytes(kind):
        prefix = "" if column.receive == "uuid_recv" else "\\x"
        return _mapped(array, lambda value: prefix + value.hex())
    if pa.types.is_duration(kind):
        return _mapped(array.cast(pa.duration("us")).cast(pa.int64()), lambda value: f"{value} microseconds")
    if pa.types.is_timestamp(kind) and kind.tz:
        # Arrow writes the zone's own time, and offsets in whole minutes, which old ones are not.
        array = array.cast(pa.timestamp(kind.unit, "UTC"))
    if column.receive in {"json_recv", _JSONB} and not is_string(kind):
        return _mapped(array, lambda value: _json(value).decode())
    return array.cast(pa.string())


def _mapped(array: pa.Array, convert: Callable[[Any], str | None]) -> pa.Array:
    return pa.array(
        [None if value is None else convert(value) for value in array.to_pylist(maps_as_pydicts="strict")], pa.string()
    )


def _field(value: value_converters.Field) -> str | None:
    return str(bytes(value), "utf-8") if isinstance(value, msgspec.Raw) else value


def _json(value: object) -> bytes:
    return _JSON.encode(_plain(value))


def _plain(value: object) -> object:
    """Return a value of Python such that JSON keeps it: bytes as hexadecimal, NaN and infinity by their names."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    return value
