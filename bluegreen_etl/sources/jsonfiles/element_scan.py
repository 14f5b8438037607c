"""Widen the types of a JSON file's keys by all of its elements, and find keys that appear late.

msgspec decodes a whole piece into structs whose fields accept only values that add nothing; a piece that it refuses is
classified element by element.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from types import GenericAlias
from typing import Annotated, Any, NamedTuple

import msgspec

from bluegreen_etl import errors
from bluegreen_etl.model import Format, SourceFile
from bluegreen_etl.sources import column_mapping, decompress, value_types
from bluegreen_etl.sources.jsonfiles import element_splitter, record_encoder, value_converters

_SIZE = 1 << 20
_ESCAPED = re.compile(r'["\\\x00-\x1f]')
_BOUNDS = {"smallint": 15, "integer": 31, "bigint": 63}
_PATTERNS = {name: re.compile(pattern) for name, pattern in value_types.PATTERNS.items()}
# Strings in JSON; their values are matched against the pattern of the type.
_STRINGS = frozenset({"date", "timestamp", "timestamp with time zone", "uuid"})


_MATCHED = _STRINGS | {"numeric", "double precision"}


class _Expected(NamedTuple):
    """The decoders of objects whose values add nothing, and the fields whose values are matched, with their pattern."""

    lines: msgspec.json.Decoder[msgspec.Struct]
    array: msgspec.json.Decoder[list[msgspec.Struct]]
    matched: tuple[tuple[Callable[[Any], Any], re.Pattern[str]], ...]


class _Scan:
    """The types found so far in a file, and the decoders that follow from them."""

    def __init__(self, source: SourceFile, types: dict[str, set[str]]) -> None:
        self._types = types
        self._ndjson = source.format is Format.NDJSON
        self._mapping = column_mapping.mapping_of(source)
        self._expected = _expected(types, self._mapping)

    def accept(self, text: bytes) -> int | None:
        """Return the number of elements in a piece whose values add nothing; None if it must be classified."""
        return _count(self._expected, text, ndjson=self._ndjson) if self._expected else None

    def classify(self, elements: Sequence[element_splitter.Element]) -> None:
        """Add the types of all values; the load reports elements that are not objects."""
        seen: dict[str, set[bytes]] = {}
        for element in elements:
            try:
                record = record_encoder.decode_object(element.text, "")
                written = {key: bytes(value) for key, value in record.items()}
                found = record_encoder.columns_of(self._mapping, written, "")
            except errors.BadRow:
                continue
            for name, value in found.items():
                if name not in self._mapping.ignored:
                    seen.setdefault(name, set()).add(value)
        for name, values in seen.items():
            self._types.setdefault(name, set()).update(_type_of(value) for value in values if value != b"null")
        self._expected = _expected(self._types, self._mapping)


def widen(source: SourceFile, types: dict[str, set[str]]) -> None:
    """Add the types of all values in a file to `types`, and the keys that `types` lacks.

    Raises:
        BadSource: the file cannot be read, or is not one array.
        BadRow: an element is so malformed that its end cannot be found.
    """
    scan = _Scan(source, types)
    splitter = element_splitter.splitter_of(source)
    number = 1
    with decompress.open_stream(source) as stream:
        text = element_splitter.ElementStream(stream, splitter, source, _SIZE)
        while True:
            if piece := text.piece():
                count = scan.accept(piece.text)
                if count is not None:
                    number += count
                    continue
                found = splitter.split(piece.text)
                if found is None:
                    text.take_back([piece])
                    continue
            else:
                found = text.scan(number)
                if found is None:
                    break
            scan.classify(found)
            number += len(found)
        text.end(number)


def _expected(types: Mapping[str, set[str]], mapping: column_mapping.ColumnMapping) -> _Expected | None:
    names = [*types, *(name for name in mapping.ignored if name not in types)]
    if mapping.paths or any(_ESCAPED.search(name) for name in names):
        return None
    fields: list[tuple[str, Any, Any]] = []
    matched = []
    for position, name in enumerate(names):
        field = f"field_{position}"
        joined = value_types.join(types[name]) if types.get(name) else None
        ignored = name not in types
        exact = not ignored and value_types.is_exact_number(types[name])
        fields.append((field, msgspec.Raw if ignored else int | float | None if exact else _accepted(joined), None))
        if joined in _MATCHED and not exact:
            matched.append((attrgetter(field), _PATTERNS[joined]))
    renamed = {f"field_{position}": name for position, name in enumerate(names)}
    row = msgspec.defstruct("Row", fields, rename=renamed, forbid_unknown_fields=True, gc=False)
    array = msgspec.json.Decoder[list[msgspec.Struct]](GenericAlias(list, (row,)))
    return _Expected(msgspec.json.Decoder(row), array, tuple(matched))


def _accepted(joined: str | None) -> Any:  # noqa: ANN401 - a type that msgspec understands
    """Return the type of values that add nothing to a column of this type; None: it has had only nulls so far."""
    if joined is None:
        return None
    if joined in _BOUNDS:
        most = 1 << _BOUNDS[joined]
        return Annotated[int, msgspec.Meta(ge=-most, le=most - 1)] | None
    if joined == "boolean":
        return bool | None
    if joined == "text":
        return str | int | float | bool | None  # an object or an array would make the column jsonb
    return str | None if joined in _STRINGS else msgspec.Raw


def _count(expected: _Expected, text: bytes, *, ndjson: bool) -> int | None:
    try:
        rows = expected.lines.decode_lines(text) if ndjson else expected.array.decode(b"[" + text + b"]")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    for take, pattern in expected.matched:
        values = {bytes(value) if isinstance(value, msgspec.Raw) else value for value in map(take, rows)}
        for value in values - {None, b"null"}:
            if not pattern.fullmatch(value.decode() if isinstance(value, bytes) else value):
                return None
    return len(rows)


def _type_of(value: bytes) -> str:
    match value_converters.kind(value):
        case "an object" | "an array":
            return value_types.NESTED
        case "a number":
            return value_types.type_of_number(value.decode()) or "text"
        case "a boolean":
            return "boolean"
        case _:
            return value_types.type_of_string(msgspec.json.decode(value, type=str)) or "text"
