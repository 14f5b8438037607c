"""Encode JSON objects as CSV records in JSON's quoting, a block at a time if all values are as expected.

The fast path decodes a whole block into structs and encodes them as arrays, both with msgspec: numbers and the like
are not decoded, so nothing is rounded. A block with an unexpected value takes the exact path, object by object.
"""

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import GenericAlias
from typing import NamedTuple

import msgspec

from bluegreen_etl import errors
from bluegreen_etl.model import Column, CopyOptions
from bluegreen_etl.sources.column_mapping import ColumnMapping
from bluegreen_etl.sources.jsonfiles import row_structs, value_converters

COPY_OPTIONS = CopyOptions(delimiter=",", quote='"', escape="\\", null="null", encoding="UTF8")

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])
# Text encoded at once: the intermediate results then stay in the processor's cache.
_AT_ONCE = 1 << 16
_BYTE = re.compile(r"\(byte ([0-9]+)\)")
_NOT_FINITE = re.compile(rb".{0,2}?(NaN|-?Infinity)", re.DOTALL)
_ENCODER = msgspec.json.Encoder()


class Rows(NamedTuple):
    """`number` records encoded for COPY, and their number of lines.

    `read` is the number of line ends in the source text, if counted.
    """

    number: int
    data: bytes
    lines: int
    read: int | None = None


class Shape(NamedTuple):
    """The columns of a record: `taken` in order; `fillable` are all columns that a file can fill.

    `generated` are the columns that a file cannot fill; `keys` map keys to columns.
    """

    taken: tuple[Column, ...]
    fillable: tuple[str, ...]
    generated: tuple[str, ...]
    keys: ColumnMapping = ColumnMapping()


class RowEncoder:
    """Encodes objects as records of a table's taken columns; refuses keys that are neither taken nor ignored."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._converters = {column.name: value_converters.converter(column) for column in shape.taken}
        self._row = row_structs.define(shape.taken, shape.keys)
        row = self._row.type if self._row else msgspec.Struct
        self._lines = msgspec.json.Decoder(row)
        self._array = msgspec.json.Decoder[list[msgspec.Struct]](GenericAlias(list, (row,)))

    def from_lines(self, text: bytes) -> Rows | None:
        """Return objects of one line each as records, by the fast path if possible; None if one cannot be encoded."""
        return self._blocks(_lines(text), self._line_block)

    def from_array(self, text: bytes, separator: bytes | None) -> Rows | None:
        """Return the elements of an array, given without brackets, as records; None if that fails.

        `separator` is the text between two elements, used to split; other separators may occur too.
        """
        return self._blocks(_elements(text, separator), self._array_block) or self._array_block(text)

    def one(self, element: bytes, where: str) -> bytes:
        """Return one element as a record, by the exact path; `where` begins error messages.

        Raises:
            BadRow: the element is not an object of the table's columns, or a value cannot be stored.
        """
        record = decode_object(element, where)
        return self.record({name: bytes(value) for name, value in record.items()}, where)

    def record(self, record: Mapping[str, bytes], where: str) -> bytes:
        """Return one element, with undecoded values, as a record.

        Raises:
            BadRow: a key is not a column of the table, or a value cannot be stored.
        """
        fields: dict[str, value_converters.Field] = dict.fromkeys(self._converters)
        name = ""
        try:
            for name, value in columns_of(self._shape.keys, record, where).items():
                if name in fields:
                    fields[name] = self._converters[name](value)
                elif not self._shape.keys.is_ignored(name, self._shape.fillable):
                    raise self._unknown(name, where)
        except value_converters.BadValue as error:
            raise errors.BadRow(
                f'{where}: the value of "{name}" {error}', hint="Correct the value in the file."
            ) from error
        except RecursionError as error:
            raise too_deep(where) from error
        try:
            return value_converters.without_escapes(_ENCODER.encode(list(fields.values()))[1:-1])[0] + b"\n"
        except msgspec.DecodeError as error:
            raise errors.BadRow(f"{where}: {_complaint(error)}", hint="Correct the JSON.") from error

    def _blocks(self, blocks: Iterable[bytes], encode: Callable[[bytes], Rows | None]) -> Rows | None:
        done = []
        for block in blocks:
            rows = encode(block)
            if rows is None:
                return None
            done.append(rows)
        numbers, data, lines, read = zip(*done, strict=True) if done else ((), (), (), ())
        return Rows(sum(numbers), b"".join(data), sum(lines), None if None in read else sum(read))

    def _line_block(self, text: bytes) -> Rows | None:
        rows = self._quickly(self._lines.decode_lines, text)
        # The exact path decides on objects that share a line or span several lines.
        ends = text.count(b"\n")
        if rows is None or rows.number != ends + (not text.endswith(b"\n")):
            rows = self._exactly(filter(None, map(bytes.strip, text.split(b"\n"))))
        return rows and rows._replace(read=ends)

    def _array_block(self, text: bytes) -> Rows | None:
        rows = self._quickly(self._array.decode, b"[" + text + b"]")
        if rows is None:
            try:
                return self._exactly(map(bytes, _ELEMENTS.decode(b"[" + text + b"]")))
            except (msgspec.DecodeError, RecursionError):
                return None
        return rows

    def _exactly(self, elements: Iterable[bytes]) -> Rows | None:
        try:
            return joined(self.one(element, "") for element in elements)
        except errors.BadRow:
            return None

    def _quickly(self, decode: Callable[[bytes], list[msgspec.Struct]], text: bytes) -> Rows | None:
        if self._row is None or (self._row.special and b"\\u0000" in text):
            return None
        try:
            if not text.isascii():
                text.decode()  # msgspec does not validate raw values
            rows = decode(text)
            for special in self._row.special:
                self._convert(rows, special)
            records = self._records(self._row, rows)
            if records is None:
                return None
            # A line end inside a value was an escape.
            data, ends = value_converters.without_escapes(records)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, value_converters.BadValue):
            return None
        return Rows(len(rows), data, len(rows) + ends)

    def _records(self, row: row_structs.Row, rows: Sequence[msgspec.Struct]) -> bytes | None:
        """Return structs as lines of values; None if an undecoded value is nested."""
        if row.array:
            for one in rows:
                one.__class__ = row.array  # Python checks that the layouts are equal
            encoded = _ENCODER.encode_lines(rows)
        else:
            encoded = _ENCODER.encode_lines(list(map(row.values, rows)))
        records = encoded.translate(None, b"[]{}")
        if len(records) + 2 * len(rows) == len(encoded):
            return records  # no brackets except those around each record
        # Brackets may occur in texts, but a nested raw value must not be written unquoted.
        if row.raw and _may_hold_nested(_ENCODER.encode_lines(list(map(row.raw, rows))), len(rows)):
            return None
        # A line end inside a value is still an escape, so this pair of brackets occurs only between records.
        return encoded[1:-2].replace(b"]\n[", b"\n") + b"\n"

    def _convert(self, rows: Sequence[msgspec.Struct], special: row_structs.Special) -> None:
        convert = self._converters[special.column]
        for row in rows:
            holder = special.holder(row)
            value = getattr(holder, special.field)
            if value is not None:
                setattr(holder, special.field, convert(bytes(value)))

    def _unknown(self, name: str, where: str) -> errors.BadRow:
        if name in self._shape.generated:
            return errors.BadRow(
                f'{where}: column "{name}" is generated: a file cannot fill it', hint="Remove the key from the file."
            )
        if name in self._shape.fillable:
            return errors.BadRow(
                f'{where}: key "{name}" is not in the sample of the first records, and its column has a default',
                hint="List all keys in `columns` under `[tables.TABLE]`; a missing key is then NULL.",
            )
        return errors.BadRow(
            f'{where}: key "{name}" is not a column of the table',
            hint=f'Add the column to the table, or add `ignore_columns = ["{name}"]` under `[tables.TABLE]`.',
        )


def joined(records: Iterable[bytes]) -> Rows:
    """Return encoded records as Rows."""
    done = list(records)
    data = b"".join(done)
    return Rows(len(done), data, data.count(b"\n"))


@functools.lru_cache(maxsize=8)
def encoder(shape: Shape) -> RowEncoder:
    """Return the cached encoder for a shape: it is slow to build, and worker processes receive only the shape."""
    return RowEncoder(shape)


def from_lines(shape: Shape, text: bytes) -> Rows | None:
    """Return whole lines as records; see RowEncoder. Called in worker processes."""
    return encoder(shape).from_lines(text)


def from_array(shape: Shape, text: bytes, separator: bytes | None) -> Rows | None:
    """Return the elements of an array as records; see RowEncoder. Called in worker processes."""
    return encoder(shape).from_array(text, separator)


def decode_object(element: bytes, where: str) -> dict[str, msgspec.Raw]:
    """Return the keys and undecoded values of one element; `where` begins error messages.

    Raises:
        BadRow: the element is not an object, not JSON, not UTF-8, or contains NUL.
    """
    if not element:
        raise errors.BadRow(f"{where}: the element is empty", hint="Remove the extra comma.")
    try:
        element.decode()
        record = _OBJECT.decode(element)
        value_converters.refuse_nul(element)
    except UnicodeDecodeError as error:
        raise errors.BadRow(
            f"{where}: byte {error.start + 1} of the element is not UTF-8", hint="Convert the file to UTF-8."
        ) from error
    except msgspec.ValidationError as error:
        raise errors.BadRow(
            f"{where}: is {value_converters.kind(element)}, not an object",
            hint="Write each element as an object whose keys are columns.",
        ) from error
    except msgspec.DecodeError as error:
        raise _not_json(element, where, error) from error
    except RecursionError as error:
        raise too_deep(where) from error
    except value_converters.BadValue as error:
        raise errors.BadRow(f"{where}: {error}", hint="Remove the character from the file.") from error
    return record


def too_deep(where: str) -> errors.BadRow:
    """Return the error for a value with too many levels of nesting."""
    return errors.BadRow(f"{where}: is nested too deeply", hint="Flatten the value.")


def _not_json(element: bytes, where: str, error: msgspec.DecodeError) -> errors.BadRow:
    """Return the error for an element that is not JSON, with the cause if it is a common one."""
    if element in {b"{", b"["}:
        message = f"{where}: the line is not a whole object"
        return errors.BadRow(message, hint="Write one object per line: `jq -c . FILE > NEW.ndjson`.")
    if (found := _BYTE.search(str(error))) and (word := _NOT_FINITE.match(element, max(int(found[1]) - 1, 0))):
        message = f"{where}: {word[1].decode()} at byte {found[1]} is not JSON"
        return errors.BadRow(message, hint='Write `null`, or the text `"NaN"` or `"Infinity"`.')
    return errors.BadRow(f"{where}: {_complaint(error)}", hint="Correct the JSON.")


def _complaint(error: msgspec.DecodeError) -> str:
    if str(error) == value_converters.TRUNCATED:
        return "the JSON is truncated, or contains half of a surrogate pair"
    return str(error)


def _may_hold_nested(encoded: bytes, count: int) -> bool:
    """Whether there is a bracket in addition to those around each of the `count` records."""
    return b"{" in encoded or encoded.count(b"[") != count


def columns_of(keys: ColumnMapping, record: Mapping[str, bytes], where: str) -> Mapping[str, bytes]:
    """Return the undecoded values of an element by column; `where` begins error messages.

    Raises:
        BadRow: the path of a column leads through a value that is not an object.
    """
    if not keys.paths:
        return record
    try:
        return keys.columns(record)
    except value_converters.BadValue as error:
        raise errors.BadRow(
            f"{where}: a value {error}", hint="Correct the file, or `sources` under `[tables.TABLE]`."
        ) from error


# ---- splitting text into pieces that fit the processor's cache


def _lines(text: bytes) -> Iterator[bytes]:
    begin = 0
    while begin < len(text):
        end = text.find(b"\n", begin + _AT_ONCE) + 1 or len(text)
        yield text[begin:end]
        begin = end


def _elements(text: bytes, separator: bytes | None) -> Iterator[bytes]:
    """Yield pieces split at the separator; a piece split in the wrong place cannot be decoded."""
    begin = 0
    while separator and (found := text.find(separator, begin + _AT_ONCE)) >= 0:
        yield text[begin : found + 1]
        begin = text.index(b",", found) + 1
    yield text[begin:]
