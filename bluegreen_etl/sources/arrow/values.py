"""Convert Arrow arrays: casts that change no value, texts that the server reads, and nested values as JSON."""

import math
import re
import uuid
from collections.abc import Iterable
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from bluegreen_etl.model import Column
from bluegreen_etl.sources.arrow import column_types
from bluegreen_etl.sources.arrow.library import library_call
from bluegreen_etl.sources.jsonfiles import value_converters
from bluegreen_etl.sources.jsonfiles.value_converters import BadValue

_JSON = msgspec.json.Encoder(decimal_format="number")
# PostgreSQL's limits, counted from 1970: the encoder would wrap values outside of them to another century.
_LIMITS = {pa.date32(): (-2_440_588, 2_145_042_905), pa.timestamp("us"): (-210_866_803_200_000_000, (1 << 63) - 1)}
_YEAR = re.compile(r"(-?[0-9]+)-")


def cast(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return an array as another type.

    Raises:
        BadValue: a value does not fit into the type, or would lose digits.
    """
    array = plain(array)
    given = array.type
    if kind == pa.string():
        if column_types.is_nested(given):
            return _strings(map(_encoded, nested_values(array, json=True)))
        if pa.types.is_date(given):
            return _temporal_texts(array)
    if kind in _LIMITS or (pa.types.is_timestamp(kind) and kind.tz):
        return _cast_moments(array, kind)
    if given == kind:
        return array
    with library_call():
        return array.cast(kind)


def _cast_moments(array: pa.Array, kind: pa.DataType) -> pa.Array:
    given = array.type
    with library_call():
        cast = array if given == kind else array.cast(kind)
        count = cast.cast(pa.int32() if kind == pa.date32() else pa.int64())
        bounds = pc.min_max(count).as_py()
        lost = pa.types.is_timestamp(given) and kind == pa.date32() and not cast.cast(given).equals(array)
    if lost:
        raise BadValue("has a time of day, which a date cannot hold")
    low, high = _LIMITS[kind if kind == pa.date32() else pa.timestamp("us")]
    if bounds["min"] is not None and (bounds["min"] < low or bounds["max"] > high):
        raise BadValue("is out of PostgreSQL's range of dates")
    return cast


def text(array: pa.Array, column: Column) -> pa.Array:
    """Return the texts of an array's values as the server reads them into the column.

    Raises:
        BadValue: a value has no text, or would lose digits.
    """
    wanted = column_types.target(column, array.type)
    if wanted is not None:
        # The same cast as for the binary form, so that other columns never change the values of this one.
        array = cast(array, wanted)
    array = plain(array)
    kind = array.type
    if column_types.is_nested(kind):
        convert = value_converters.converter(column)
        json = column.base_type in {"json", "jsonb"}
        values = nested_values(array, json=json, hexadecimal=_holds_bytea(column))
        return _strings(None if value is None else _field(convert, _JSON.encode(value)) for value in values)
    if column_types.is_uuid(kind) or (column_types.is_bytes(kind) and column.receive == "uuid_recv"):
        return _strings(scalar_values(array, uuids=True))
    if column_types.is_bytes(kind):
        return _strings(scalar_values(array, hexadecimal=_holds_bytea(column)))
    if pa.types.is_duration(kind) or pa.types.is_interval(kind):
        return _interval_texts(array)
    if column.receive in {"json_recv", column_types.JSONB} and not column_types.is_string(kind):
        return _strings(map(_encoded, scalar_values(array, json=True)))
    if pa.types.is_temporal(kind):
        return _temporal_texts(array)
    with library_call():
        return (array.cast(pa.float32()) if pa.types.is_float16(kind) else array).cast(pa.string())


def first_with_nanoseconds(micros: pa.Array, nanos: pa.Array) -> int | None:
    """Return the position of the first timestamp that lost nanoseconds in `micros`; `nanos` may have wrapped."""
    with library_call():
        low, high = (pa.scalar(limit // 1000, pa.int64()) for limit in (-(1 << 63) + 1000, (1 << 63) - 1))
        count, exact = micros.cast(pa.int64()), nanos.cast(pa.int64())
        inside = pc.and_(pc.greater_equal(count, low), pc.less_equal(count, high))
        whole = pc.multiply(pc.divide(exact, 1000), 1000)
        found: int = pc.index(pc.and_(inside, pc.not_equal(exact, whole)), True).as_py()
    return found if found >= 0 else None


def plain(array: pa.Array) -> pa.Array:
    """Return an array without dictionary, run-length encoding or extension; uuid stays."""
    with library_call():
        while True:
            if isinstance(array, pa.DictionaryArray):
                array = array.dictionary_decode()
            elif isinstance(array, pa.RunEndEncodedArray):
                array = pc.run_end_decode(array)
            elif isinstance(array, pa.ExtensionArray) and not column_types.is_uuid(array.type):
                array = array.storage
            else:
                return array


def nested_values(array: pa.Array, *, json: bool, hexadecimal: bool = False) -> list[Any]:
    """Return values that the JSON encoder accepts; `json`: for a JSON column, where strings keep nanoseconds.

    Raises:
        BadValue: a map has a key twice, or a value has no text.
    """
    if column_types.is_json(array.type):
        return [None if value is None else msgspec.Raw(value.encode()) for value in scalar_values(plain(array))]
    array = plain(array)
    kind = array.type
    if pa.types.is_struct(kind):
        names = _unique([field.name for field in kind])
        with library_call():
            fields, valid = array.flatten(), array.is_valid().to_pylist()
        columns = [nested_values(field, json=json, hexadecimal=hexadecimal) for field in fields]
        rows = zip(*columns, strict=True) if columns else (() for _ in valid)
        return [dict(zip(names, row, strict=True)) if there else None for row, there in zip(rows, valid, strict=True)]
    if column_types.is_list(kind) or pa.types.is_map(kind):
        with library_call():
            if pa.types.is_map(kind):
                array = array.cast(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)])))
            inner, lengths = array.flatten(), pc.list_value_length(array).to_pylist()
        found = iter(nested_values(inner, json=json, hexadecimal=hexadecimal))
        lists = [None if length is None else [next(found) for _ in range(length)] for length in lengths]
        return [entries and _mapping(entries) for entries in lists] if pa.types.is_map(kind) else lists
    return scalar_values(array, json=json, hexadecimal=hexadecimal, iso=True)


def scalar_values(
    array: pa.Array, *, json: bool = False, hexadecimal: bool = False, uuids: bool = False, iso: bool = False
) -> list[Any]:
    """Return plain values for texts or JSON; bytes as UTF-8 text, `hexadecimal` or `uuids`."""
    kind = array.type
    if column_types.is_bytes(kind) or column_types.is_uuid(kind):
        values = _python(array.storage if isinstance(array, pa.ExtensionArray) else array)
        decode = _uuid if uuids or column_types.is_uuid(kind) else _hexadecimal if hexadecimal else _utf8
        return [None if value is None else decode(value) for value in values]
    if pa.types.is_duration(kind):
        return _python(cast(array, pa.duration("us")))
    if pa.types.is_interval(kind):
        return _python(_interval_texts(array))
    if pa.types.is_temporal(kind):
        if not json:
            array = _microseconds(array)
        texts = _python(_temporal_texts(array))
        return [value and _iso(value) for value in texts] if iso or json else texts
    values = _python(array)
    if pa.types.is_floating(kind):
        return [value if value is None or math.isfinite(value) else _not_finite(value) for value in values]
    return values


def _microseconds(array: pa.Array) -> pa.Array:
    kind = array.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return cast(array, pa.timestamp("us", kind.tz))
    return cast(array, pa.time64("us")) if pa.types.is_time64(kind) and kind.unit == "ns" else array


def _temporal_texts(array: pa.Array) -> pa.Array:
    """Return dates, times and timestamps as PostgreSQL writes them, also years before 1 and after 9999."""
    kind = array.type
    with library_call():
        if pa.types.is_timestamp(kind) and kind.tz:
            # Arrow writes local times with offsets in whole minutes, which historical offsets are not.
            array = array.cast(pa.timestamp(kind.unit, "UTC"))
        texts = array.cast(pa.string())
        if pa.types.is_time(kind):
            return texts
        early = pc.any(pc.or_(pc.starts_with(texts, "-"), pc.starts_with(texts, "0000"))).as_py()
    return _strings(value and _with_era(value) for value in _python(texts)) if early else texts


def _with_era(written: str) -> str:
    year = _YEAR.match(written)
    if year is None or int(year[1]) > 0:
        return written
    return f"{1 - int(year[1]):04d}-{written[year.end() :]} BC"


def _interval_texts(array: pa.Array) -> pa.Array:
    if pa.types.is_duration(array.type):
        counts = _python(cast(array, pa.duration("us")).cast(pa.int64()))
        return _strings(None if count is None else f"{count} microseconds" for count in counts)
    parts = _python(array)
    if any(part is not None and part.nanoseconds % 1000 for part in parts):
        raise BadValue("has nanoseconds, which PostgreSQL cannot store")
    return _strings(
        part and f"{part.months} months {part.days} days {part.nanoseconds // 1000} microseconds" for part in parts
    )


def _iso(written: str) -> str:
    """Return the text of a timestamp as JSON writers do: with a T, and without a fraction of zero."""
    date, space, time = written.partition(" ")
    if space and time.startswith("BC"):
        return written
    return re.sub(r"\.0+(?=Z?( BC)?\Z)", "", f"{date}T{time}" if space else written)


def _mapping(entries: list[dict[str, Any]]) -> dict[str, Any]:
    values = [tuple(entry.values()) for entry in entries]
    _unique([str(key) for key, _ in values])
    return {str(key): value for key, value in values}


def _unique(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BadValue(f'has the key "{twice}" twice')
    return names


def _holds_bytea(column: Column) -> bool:
    return column.base_type.startswith("bytea") or any(_holds_bytea(field) for field in column.fields)


def _field(convert: value_converters.Converter, value: bytes) -> str | None:
    field = convert(value)
    return str(bytes(field), "utf-8") if isinstance(field, msgspec.Raw) else field


def _encoded(value: object) -> str | None:
    return None if value is None else _JSON.encode(value).decode()


def _python(array: pa.Array) -> list[Any]:
    with library_call():
        return list(array.to_pylist())


def _strings(values: Iterable[str | None]) -> pa.Array:
    texts = list(values)
    with library_call():
        return pa.array(texts, pa.string())


def _uuid(value: bytes) -> str:
    return str(uuid.UUID(bytes=value))


def _hexadecimal(value: bytes) -> str:
    return "\\x" + value.hex()


def _utf8(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise BadValue(f"is binary, and its byte {error.start + 1} is not UTF-8 text") from error


def _not_finite(value: float) -> str:
    return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
