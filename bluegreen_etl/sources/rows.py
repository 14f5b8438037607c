"""JSON objects become records of CSV in JSON's own quoting, a block at a time where all values are as expected.

The fast way decodes a whole block into structs and encodes them as arrays, both by msgspec: numbers and the like
stay as they are written, so nothing is rounded. A block with a surprise goes the exact way, object by object.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from types import GenericAlias
from typing import Any, NamedTuple

import msgspec

from bluegreen_etl import errors
from bluegreen_etl.model import Column, CopyOptions
from bluegreen_etl.sources import values

COPY_OPTIONS = CopyOptions(delimiter=",", quote='"', escape="\\", null="null", encoding="UTF8")

# Types whose values are strings in JSON, so that msgspec may expect that; any other value is a surprise.
_STRINGS = (
    *("text", "citext", "character", '"char"', "name", "uuid", "bytea", "inet", "cidr"),
    *("date", "time", "interval"),
)

_ESCAPED = re.compile(r'["\\\x00-\x1f]')
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENCODER = msgspec.json.Encoder()


class Rows(NamedTuple):
    """`number` encoded records, each on one line, because JSON's escapes are not undone yet."""

    number: int
    text: bytes

    def records(self) -> bytes:
        """Return the records as COPY shall have them."""
        return values.without_escapes(self.text)


class TableKeys(NamedTuple):
    """The names of a table's columns: those that records hold, those that they could, those that no file can fill."""

    taken: Sequence[Column]
    fillable: Sequence[str]
    generated: Sequence[str]


class RowEncoder:
    """Encodes objects as records of a table's taken columns; any other key is refused."""

    def __init__(self, keys: TableKeys) -> None:
        self._keys = keys
        self._converters = {column.name: values.converter(column.type) for column in keys.taken}
        self._special: list[tuple[str, values.Converter]] = []
        fields: list[tuple[str, Any, None]] = []
        names: dict[str, str] = {}
        raw: list[str] = []
        for position, column in enumerate(keys.taken):
            # A struct's own names must be identifiers; a column's need not.
            field = f"field_{position}"
            names[field] = column.name
            special = values.is_special(column.type)
            text = not special and column.type.startswith(_STRINGS)
            if special:
                self._special.append((field, self._converters[column.name]))
            if not special and not text:
                raw.append(field)
            fields.append((field, str | None if text else msgspec.Raw, None))
        # msgspec has no structs for keys that must be escaped in JSON.
        self._quick = not any(_ESCAPED.search(name) for name in names.values())
        if not self._quick:
            names = {}
        row = msgspec.defstruct("Row", fields, rename=names, forbid_unknown_fields=True, gc=False)
        # The first one twice: of a single name, attrgetter would not make tuples.
        self._raw = attrgetter(*raw, raw[0]) if raw else None
        self._lines = msgspec.json.Decoder(row)
        self._array = msgspec.json.Decoder[list[msgspec.Struct]](GenericAlias(list, (row,)))

    def from_lines(self, text: bytes) -> Rows | None:
        """Encode objects of one line each, quickly; None when that is not possible."""
        rows = self._quickly(self._lines.decode_lines, text)
        # Objects that share a line or spread over several are for the exact way to judge.
        lines = text.count(b"\n") + (not text.endswith(b"\n"))
        return rows if rows and rows.number == lines else None

    def from_array(self, text: bytes) -> Rows | None:
        """Encode the elements of an array, given without its brackets, quickly; None when that is not possible."""
        return self._quickly(self._array.decode, b"[" + text + b"]")

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
        fields: dict[str, values.Field] = dict.fromkeys(self._converters)
        for name, value in record.items():
            if name not in fields:
                raise self._unknown(name, where)
            try:
                fields[name] = self._converters[name](value)
            except values.Refused as error:
                raise errors.BadRow(
                    f'{where}: the value of "{name}" {error}', hint="Correct the value in the file."
                ) from error
            except RecursionError as error:
                raise too_deep(where) from error
        return _ENCODER.encode(list(fields.values()))[1:-1]

    def _quickly(self, decode: Callable[[bytes], list[msgspec.Struct]], text: bytes) -> Rows | None:
        if not self._quick or b"\\u0000" in text:
            return None
        try:
            # msgspec does not look into what it hands over raw.
            text.decode()
            rows = decode(text)
            for field, convert in self._special:
                for row in rows:
                    value = getattr(row, field)
                    if value is not None:
                        setattr(row, field, convert(bytes(value)))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, values.Refused):
            return None
        encoded = _ENCODER.encode_lines(list(map(msgspec.structs.astuple, rows)))
        if self._raw and _may_hold_nested(encoded, len(rows)):
            # It may only be a text; but a raw value that is nested must not go out unquoted.
            raw = _ENCODER.encode_lines(list(map(self._raw, rows)))
            if _may_hold_nested(raw, len(rows)):
                return None
        # A line end inside a value is still an escape, so this pair of brackets only stands between records.
        return Rows(len(rows), encoded[1:-2].replace(b"]\n[", b"\n") + b"\n" if rows else b"")

    def _unknown(self, name: str, where: str) -> errors.BadRow:
        if name in self._keys.generated:
            return errors.BadRow(
                f'{where}: column "{name}" is generated: no file can fill it', hint="Remove the key from the file."
            )
        if name in self._keys.fillable:
            return errors.BadRow(
                f'{where}: key "{name}" is in none of the first records, so its column was to get its default',
                hint="List the file's keys in `columns` of the table's options; where one is missing it is NULL.",
            )
        return errors.BadRow(
            f'{where}: key "{name}" is not a column of the table',
            hint="Add the column to the table, or remove the key from the file.",
        )


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
        values.refuse_nul(element)
    except UnicodeDecodeError as error:
        raise errors.BadRow(
            f"{where}: byte {error.start + 1} of it is not UTF-8", hint="JSON is UTF-8: convert the file."
        ) from error
    except msgspec.ValidationError as error:
        raise errors.BadRow(
            f"{where}: is {values.kind(element)}, not an object",
            hint="Each element must be an object whose keys are columns.",
        ) from error
    except msgspec.DecodeError as error:
        raise errors.BadRow(f"{where}: {_complaint(error)}", hint="Correct the JSON.") from error
    except RecursionError as error:
        raise too_deep(where) from error
    except values.Refused as error:
        raise errors.BadRow(f"{where}: {error}", hint="Remove the character from the file.") from error
    return record


def too_deep(where: str) -> errors.BadRow:
    """Return the error for a value of too many levels."""
    return errors.BadRow(f"{where}: is nested too deeply", hint="Flatten the value.")


def _complaint(error: msgspec.DecodeError) -> str:
    if str(error) == values.TRUNCATED:
        return "the JSON ends too early, or holds half of a surrogate pair"
    return str(error)


def _may_hold_nested(encoded: bytes, count: int) -> bool:
    """Whether there is a bracket besides those around each of the `count` records."""
    return b"{" in encoded or encoded.count(b"[") != count
