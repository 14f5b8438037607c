"""JSON objects become records of CSV in JSON's own quoting, a block at a time where all values are as expected.

The fast way decodes a whole block into structs and encodes them as arrays, both by msgspec: numbers and the like
stay as they are written, so nothing is rounded. A block with a surprise goes the exact way, object by object.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import GenericAlias
from typing import NamedTuple

import msgspec

from bluegreen_etl import errors
from bluegreen_etl.model import Column, CopyOptions
from bluegreen_etl.sources.column_mapping import Keys
from bluegreen_etl.sources.jsonfiles import csv_values, structs

COPY_OPTIONS = CopyOptions(delimiter=",", quote='"', escape="\\", null="null", encoding="UTF8")

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])
# Text encoded at once: what it becomes on its way then stays in the processor's cache.
_AT_ONCE = 1 << 16
_ENCODER = msgspec.json.Encoder()


class Rows(NamedTuple):
    """`number` encoded records as COPY shall have them, and how many lines they are.

    `read` is how many line ends were in the text that they were made of, where somebody has counted these.
    """

    number: int
    data: bytes
    lines: int
    read: int | None = None


class Shape(NamedTuple):
    """What a record of a table holds: its `taken` columns, in order, and the names of those that it does not.

    `fillable` are all that a file could fill, `generated` those that none can; `keys` say where values are.
    """

    taken: tuple[Column, ...]
    fillable: tuple[str, ...]
    generated: tuple[str, ...]
    keys: Keys = Keys()


class RowEncoder:
    """Encodes objects as records of a table's taken columns; any key that is neither these nor ignored is refused."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._converters = {column.name: csv_values.converter(column) for column in shape.taken}
        self._row = structs.define(shape.taken, shape.keys)
        row = self._row.type if self._row else msgspec.Struct
        self._lines = msgspec.json.Decoder(row)
        self._array = msgspec.json.Decoder[list[msgspec.Struct]](GenericAlias(list, (row,)))

    def from_lines(self, text: bytes) -> Rows | None:
        """Encode objects of one line each, quickly where possible; None when one cannot be encoded."""
        return self._blocks(_lines(text), self._line_block)

    def from_array(self, text: bytes, separator: bytes | None) -> Rows | None:
        """Encode the elements of an array, given without its brackets; None when that is not possible.

        `separator` is what stands between two elements, for cutting; they may be separated otherwise as well.
        """
        return self._blocks(_elements(text, separator), self._array_block) or self._array_block(text)

    def one(self, element: bytes, where: str) -> bytes:
        """Encode one element of a file, exactly; `where` begins the message of an error.

        Raises:
            BadRow: it is not an object of the table's columns, or a value of it cannot be stored.
        """
        record = decode_object(element, where)
        return self.record({name: bytes(value) for name, value in record.items()}, where)

    def record(self, record: Mapping[str, bytes], where: str) -> bytes:
        """Encode one decoded element, its values as they are written.

        Raises:
            BadRow: it has other keys than the table columns, or a value of it cannot be stored.
        """
        fields: dict[str, csv_values.Field] = dict.fromkeys(self._converters)
        name = ""
        try:
            for name, value in columns_of(self._shape.keys, record, where).items():
                if name in fields:
                    fields[name] = self._converters[name](value)
                elif not self._shape.keys.is_ignored(name, self._shape.fillable):
                    raise self._unknown(name, where)
        except csv_values.Refused as error:
            raise errors.BadRow(
                f'{where}: the value of "{name}" {error}', hint="Correct the value in the file."
            ) from error
        except RecursionError as error:
            raise too_deep(where) from error
        try:
            return csv_values.without_escapes(_ENCODER.encode(list(fields.values()))[1:-1])[0] + b"\n"
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
        # Objects that share a line or spread over several are for the exact way to judge.
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
                text.decode()  # msgspec does not look into what it hands over raw
            rows = decode(text)
            for special in self._row.special:
                self._convert(rows, special)
            records = self._records(self._row, rows)
            if records is None:
                return None
            # A line end inside a value was an escape.
            data, ends = csv_values.without_escapes(records)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, csv_values.Refused):
            return None
        return Rows(len(rows), data, len(rows) + ends)

    def _records(self, row: structs.Row, rows: Sequence[msgspec.Struct]) -> bytes | None:
        """Encode structs as lines of values; None where a value that goes out as it is written is nested."""
        if row.array:
            for one in rows:
                one.__class__ = row.array  # of the same layout, as Python makes sure
            encoded = _ENCODER.encode_lines(rows)
        else:
            encoded = _ENCODER.encode_lines(list(map(row.values, rows)))
        records = encoded.translate(None, b"[]{}")
        if len(records) + 2 * len(rows) == len(encoded):
            return records  # no brackets but those around each record
        # They may only be in a text; but a raw value that is nested must not go out unquoted.
        if row.raw and _may_hold_nested(_ENCODER.encode_lines(list(map(row.raw, rows))), len(rows)):
            return None
        # A line end inside a value is still an escape, so this pair of brackets only stands between records.
        return encoded[1:-2].replace(b"]\n[", b"\n") + b"\n"

    def _convert(self, rows: Sequence[msgspec.Struct], special: structs.Special) -> None:
        convert = self._converters[special.column]
        for row in rows:
            holder = special.holder(row)
            value = getattr(holder, special.field)
            if value is not None:
                setattr(holder, special.field, convert(bytes(value)))

    def _unknown(self, name: str, where: str) -> errors.BadRow:
        if name in self._shape.generated:
            return errors.BadRow(
                f'{where}: column "{name}" is generated: no file can fill it', hint="Remove the key from the file."
            )
        if name in self._shape.fillable:
            return errors.BadRow(
                f'{where}: key "{name}" is in none of the first records, so its column was to get its default',
                hint="List the file's keys in `columns` of the table's options; where one is missing it is NULL.",
            )
        return errors.BadRow(
            f'{where}: key "{name}" is not a column of the table',
            hint="Add the column to the table, list the key in `ignore_columns`, or remove it from the file.",
        )


def joined(records: Iterable[bytes]) -> Rows:
    """Return encoded records as rows."""
    done = list(records)
    data = b"".join(done)
    return Rows(len(done), data, data.count(b"\n"))


@functools.lru_cache(maxsize=8)
def encoder(shape: Shape) -> RowEncoder:
    """Return the encoder for a shape: making one is dear, and worker processes are only told the shape."""
    return RowEncoder(shape)


def from_lines(shape: Shape, text: bytes) -> Rows | None:
    """Encode whole lines; see RowEncoder. For worker processes."""
    return encoder(shape).from_lines(text)


def from_array(shape: Shape, text: bytes, separator: bytes | None) -> Rows | None:
    """Encode elements of an array; see RowEncoder. For worker processes."""
    return encoder(shape).from_array(text, separator)


def decode_object(element: bytes, where: str) -> dict[str, msgspec.Raw]:
    """Decode one element of a file, its values as they are written; `where` begins the message of an error.

    Raises:
        BadRow: it is not an object, not JSON, not UTF-8, or holds NUL.
    """
    if not element:
        raise errors.BadRow(f"{where}: there is nothing beside a comma", hint="Remove the comma.")
    try:
        element.decode()
        record = _OBJECT.decode(element)
        csv_values.refuse_nul(element)
    except UnicodeDecodeError as error:
        raise errors.BadRow(
            f"{where}: byte {error.start + 1} of it is not UTF-8", hint="JSON is UTF-8: convert the file."
        ) from error
    except msgspec.ValidationError as error:
        raise errors.BadRow(
            f"{where}: is {csv_values.kind(element)}, not an object",
            hint="Each element must be an object whose keys are columns.",
        ) from error
    except msgspec.DecodeError as error:
        raise errors.BadRow(f"{where}: {_complaint(error)}", hint="Correct the JSON.") from error
    except RecursionError as error:
        raise too_deep(where) from error
    except csv_values.Refused as error:
        raise errors.BadRow(f"{where}: {error}", hint="Remove the character from the file.") from error
    return record


def too_deep(where: str) -> errors.BadRow:
    """Return the error for a value of too many levels."""
    return errors.BadRow(f"{where}: is nested too deeply", hint="Flatten the value.")


def _complaint(error: msgspec.DecodeError) -> str:
    if str(error) == csv_values.TRUNCATED:
        return "the JSON ends too early, or holds half of a surrogate pair"
    return str(error)


def _may_hold_nested(encoded: bytes, count: int) -> bool:
    """Whether there is a bracket besides those around each of the `count` records."""
    return b"{" in encoded or encoded.count(b"[") != count


def columns_of(keys: Keys, record: Mapping[str, bytes], where: str) -> Mapping[str, bytes]:
    """Return the values of a decoded element by column; `where` begins the message of an error.

    Raises:
        BadRow: a value is not where the options say.
    """
    if not keys.paths:
        return record
    try:
        return keys.columns(record)
    except csv_values.Refused as error:
        raise errors.BadRow(f"{where}: a value {error}", hint="Correct it in the file, or `sources`.") from error


# ---- how text is cut for the processor's cache


def _lines(text: bytes) -> Iterator[bytes]:
    begin = 0
    while begin < len(text):
        end = text.find(b"\n", begin + _AT_ONCE) + 1 or len(text)
        yield text[begin:end]
        begin = end


def _elements(text: bytes, separator: bytes | None) -> Iterator[bytes]:
    """Cut where something stands that separated elements before; a wrong cut cannot be decoded."""
    begin = 0
    while separator and (found := text.find(separator, begin + _AT_ONCE)) >= 0:
        yield text[begin : found + 1]
        begin = text.index(b",", found) + 1
    yield text[begin:]
