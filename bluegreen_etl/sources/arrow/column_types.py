"""Match Arrow types and PostgreSQL types: the type of a new column, and the binary form that a column accepts.

The server's function that reads the binary form (pg_type.typreceive) and the Arrow type decide whether a column can be
sent in binary; tests/integration/test_parquet_fidelity.py compares binary and text, pair by pair.
"""

from collections.abc import Callable

import pyarrow as pa

from bluegreen_etl.model import Column

# The binary form of an array contains the OID of the element type, which is fixed only for built-in types.
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
# The binary form of these types is their text.
_TEXTS = frozenset(
    {"textrecv", "varcharrecv", "bpcharrecv", "namerecv", "citextrecv", "enum_recv", "json_recv", "xml_recv"}
)
JSONB = "jsonb_recv"
_EXACT_IN_DOUBLE = (pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16(), pa.uint32())
_UUID = pa.uuid()
_JSON_TYPE = "arrow.json"


def target(column: Column, given: pa.DataType) -> pa.DataType | None:
    """Return the Arrow type whose binary form the column accepts, after a cast that changes no value; None: as text."""
    receive = column.receive or ""
    given = plain_type(given)
    if receive in _TEXTS or receive == JSONB:
        text = is_string(given) or is_bytes(given) or (is_nested(given) and receive in {"json_recv", JSONB})
        return pa.string() if text or (receive in {"textrecv", "varcharrecv"} and _has_text(given)) else None
    if receive in _INTEGERS:
        return _INTEGERS[receive] if pa.types.is_integer(given) else None
    if pa.types.is_list(given) or pa.types.is_large_list(given):
        element = _ARRAYS.get(column.base_type)
        return pa.list_(element) if element is not None and given.value_type == element else None
    found = _SCALARS.get(receive)
    return found(given) if found else None


def plain_type(given: pa.DataType) -> pa.DataType:
    """Return the type of the values without dictionary, run-length encoding or extension; uuid stays."""
    while True:
        if pa.types.is_dictionary(given) or pa.types.is_run_end_encoded(given):
            given = given.value_type
        elif isinstance(given, pa.BaseExtensionType) and given != _UUID:
            given = given.storage_type
        else:
            return given


def is_json(given: pa.DataType) -> bool:
    """Whether a type is declared as JSON."""
    return isinstance(given, pa.BaseExtensionType) and given.extension_name == _JSON_TYPE


def is_uuid(given: pa.DataType) -> bool:
    """Whether a type is declared as UUID."""
    return bool(given == _UUID)


def is_string(given: pa.DataType) -> bool:
    """Whether a type is text."""
    return bool(pa.types.is_string(given) or pa.types.is_large_string(given) or pa.types.is_string_view(given))


def is_list(given: pa.DataType) -> bool:
    """Whether a type is any kind of list."""
    kinds = (
        *(pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list),
        *(pa.types.is_list_view, pa.types.is_large_list_view),
    )
    return any(matches(given) for matches in kinds)


def is_nested(given: pa.DataType) -> bool:
    """Whether a type is a list, a struct or a map."""
    return is_list(given) or bool(pa.types.is_struct(given) or pa.types.is_map(given))


def is_bytes(given: pa.DataType) -> bool:
    """Whether a type is binary."""
    kinds = (
        *(pa.types.is_binary, pa.types.is_large_binary),
        *(pa.types.is_fixed_size_binary, pa.types.is_binary_view),
    )
    return any(matches(given) for matches in kinds)


def postgres_type(given: pa.DataType) -> str:
    """Return the PostgreSQL type that holds every value of an Arrow type."""
    if is_json(given):
        return "jsonb"
    given = plain_type(given)
    if pa.types.is_decimal(given):
        return f"numeric({given.precision},{given.scale})" if given.scale >= 0 else "numeric"
    if pa.types.is_timestamp(given):
        return "timestamp with time zone" if given.tz else "timestamp"
    if is_list(given):
        inner = postgres_type(given.value_type)
        return "jsonb" if inner == "jsonb" else inner if inner.endswith("[]") else f"{inner}[]"
    if is_nested(given):
        return "jsonb"
    return next((name for matches, name in _TYPES if matches(given)), "text")


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
    (pa.types.is_interval, "interval"),
    (is_uuid, "uuid"),
    (is_bytes, "bytea"),
)


def _has_text(given: pa.DataType) -> bool:
    """Whether Arrow's text of a type is the text that the server would read."""
    return bool(pa.types.is_integer(given) or pa.types.is_boolean(given) or pa.types.is_date32(given))


def _float8(given: pa.DataType) -> pa.DataType | None:
    exact = pa.types.is_floating(given) or given in _EXACT_IN_DOUBLE
    return pa.float64() if exact else None


def _numeric(given: pa.DataType) -> pa.DataType | None:
    if pa.types.is_integer(given):
        return pa.decimal128(20, 0)
    return given if pa.types.is_decimal128(given) and given.scale >= 0 else None


def _timestamp(given: pa.DataType) -> pa.DataType | None:
    return pa.timestamp("us") if pa.types.is_timestamp(given) and given.tz is None else None


def _timestamptz(given: pa.DataType) -> pa.DataType | None:
    return pa.timestamp("us", "UTC") if pa.types.is_timestamp(given) and given.tz else None


def _date(given: pa.DataType) -> pa.DataType | None:
    midnight = pa.types.is_timestamp(given) and given.tz is None
    return pa.date32() if pa.types.is_date(given) or midnight else None


def _time(given: pa.DataType) -> pa.DataType | None:
    return pa.time64("us") if pa.types.is_time(given) else None


def _only(kind: pa.DataType, *accepted: pa.DataType) -> Callable[[pa.DataType], pa.DataType | None]:
    return lambda given: kind if given in accepted else None


_SCALARS: dict[str, Callable[[pa.DataType], pa.DataType | None]] = {
    "boolrecv": _only(pa.bool_(), pa.bool_()),
    "float4recv": _only(pa.float32(), pa.float32(), pa.float16()),
    "float8recv": _float8,
    "numeric_recv": _numeric,
    "timestamp_recv": _timestamp,
    "timestamptz_recv": _timestamptz,
    "date_recv": _date,
    "time_recv": _time,
    "bytearecv": _only(pa.binary(), pa.binary(), pa.large_binary(), pa.binary_view()),
    "uuid_recv": _only(pa.binary(16), pa.binary(16), pa.uuid()),
}
