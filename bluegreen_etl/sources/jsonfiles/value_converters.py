"""Convert JSON values to CSV fields that PostgreSQL reads as json_to_record reads the values."""

import re
from collections.abc import Callable, Sequence

import msgspec

from bluegreen_etl.model import Column

# The result of a converter: Raw is written unchanged, text as a quoted field, None as NULL.
Field = msgspec.Raw | str | None
Converter = Callable[[bytes], Field]

NUL = "contains \\u0000, which PostgreSQL cannot store"
# The message of msgspec for a truncated value, and for half of a surrogate pair.
TRUNCATED = "Input data was truncated"

_KINDS = {
    **dict.fromkeys(b"-0123456789", "a number"),
    ord("{"): "an object",
    ord("["): "an array",
    ord('"'): "a string",
    ord("t"): "a boolean",
    ord("f"): "a boolean",
    ord("n"): "null",
}
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)
_QUOTED_SPECIAL = re.compile(r'(["\\])')
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
# Runs of \u, because the two halves of a surrogate pair must be decoded together.
# The pattern begins with a plain character, so the search is fast.
_ESCAPES = re.compile(rb'\\(?:[^"u]|u[0-9a-fA-F]{4}(?:\\u[0-9a-fA-F]{4})*+)')
# A doubled backslash is matched too, so that the text after it is not taken for an escape.
_MEANINGS = {rb"\\": rb"\\", rb"\n": b"\n", rb"\r": b"\r", rb"\t": b"\t", rb"\b": b"\b", rb"\f": b"\f", rb"\/": b"/"}


class BadValue(ValueError):
    """A value does not fit its column; the message continues `the value …`."""


def kind(value: bytes) -> str:
    """Return the kind of a JSON value, by its first character."""
    return _KINDS.get(value.lstrip()[:1][0], "no JSON") if value.strip() else "nothing"


def needs_conversion(column: Column) -> bool:
    """Whether the values of a column must be converted one by one."""
    return bool(column.fields) or column.base_type.endswith("[]") or column.base_type in {"json", "jsonb"}


def converter(column: Column) -> Converter:
    """Return the function that converts an undecoded JSON value to the field of a column; it raises BadValue."""
    if column.base_type.endswith("[]"):
        element = column.base_type.removesuffix("[]")
        convert = _composite(element, column.fields) if column.fields else _of_scalar(element)
        return lambda value: _array(value, element, convert)
    return _composite(column.base_type, column.fields) if column.fields else _of_scalar(column.base_type)


def _of_scalar(type_name: str) -> Converter:
    return _json if type_name in {"json", "jsonb"} else _scalar


def refuse_nul(text: bytes) -> None:
    r"""Refuse the NUL character, which PostgreSQL cannot store.

    Raises:
        BadValue: the text contains `\\u0000`.
    """
    if b"\\u0000" in text and _NUL.search(text):
        raise BadValue(NUL)


def without_escapes(records: bytes) -> tuple[bytes, int]:
    r"""Return records with JSON's escapes decoded, and the number of decoded line ends.

    `\\"` and `\\\\` stay: COPY decodes them.

    Raises:
        BadValue: the text contains `\\u0000`.
    """
    ends = 0

    def meaning(escapes: re.Match[bytes]) -> bytes:
        nonlocal ends
        text = _MEANINGS.get(escapes[0]) or _decoded(escapes[0])
        ends += text.count(b"\n")
        return text

    return (_ESCAPES.sub(meaning, records), ends) if b"\\" in records else (records, 0)


def _decoded(escapes: bytes) -> bytes:
    text = _TEXT.decode(b'"' + escapes + b'"')
    if "\0" in text:
        raise BadValue(NUL)
    return text.replace("\\", "\\\\").replace('"', '\\"').encode()


def _scalar(value: bytes) -> Field:
    # Objects and arrays are stored as text; the server refuses them for other types.
    return value.decode() if value.startswith((b"{", b"[")) else msgspec.Raw(value)


def _json(value: bytes) -> Field:
    return None if value == b"null" else _json_text(value)


def _json_text(value: bytes) -> str:
    """Return a value as text for json: strings are re-encoded, as the server does; other values are unchanged."""
    if value.startswith(b'"'):
        return msgspec.json.encode(_TEXT.decode(value)).decode()
    return value.decode()


def _composite(type_name: str, fields: Sequence[Column]) -> Converter:
    """Return the function that converts an object to PostgreSQL's text of a row; a string is taken as such text."""
    converters = [(field.name, converter(field)) for field in fields]

    def convert(value: bytes) -> Field:
        if value == b"null":
            return None
        if value.startswith(b'"'):
            return msgspec.Raw(value)
        if not value.startswith(b"{"):
            raise BadValue(f"is {kind(value)}, not an object, which {type_name} requires")
        record = _OBJECT.decode(value)
        texts = (_text_of(convert(bytes(record.get(name, b"null")))) for name, convert in converters)
        return "(" + ",".join("" if text is None else _quoted(text) for text in texts) + ")"

    return convert


def _text_of(field: Field) -> str | None:
    """Return the text of a field."""
    if not isinstance(field, msgspec.Raw):
        return field
    written = bytes(field)
    if written == b"null":
        return None
    return _TEXT.decode(written) if written.startswith(b'"') else written.decode()


def _quoted(text: str) -> str:
    """Return a text as a field of a row or an element of an array."""
    return '"' + _QUOTED_SPECIAL.sub(r"\\\1", text) + '"'


def _array(value: bytes, element: str, convert: Converter) -> Field:
    """Return PostgreSQL's text for an array; a string is taken as such text, as in json_to_record."""
    if value == b"null":
        return None
    if value.startswith(b'"'):
        return msgspec.Raw(value)
    if not value.startswith(b"["):
        raise BadValue(f"is not a JSON array, which {element}[] requires")
    literal, shape = _level(value, ";" if element == "box" else ",", convert, _depth(value))
    # The server treats an array without elements as empty at any depth, but not every version parses such text.
    return literal if all(shape) else "{}"


def _depth(value: bytes) -> int:
    """Return the number of dimensions of an array, by its first element."""
    depth = 0
    while value.startswith(b"["):
        depth += 1
        inner = _LIST.decode(value)
        value = bytes(inner[0]) if inner else b""
    return depth


def _level(value: bytes, delimiter: str, convert: Converter, depth: int) -> tuple[str, tuple[int, ...]]:
    """Return an array of `depth` dimensions as text, and its length in each dimension."""
    if not value.startswith(b"["):
        raise BadValue("mixes arrays and other values as elements")
    inner = [bytes(item) for item in _LIST.decode(value)]
    shapes: set[tuple[int, ...]] = set()
    items = []
    for item in inner:
        literal, shape = _level(item, delimiter, convert, depth - 1) if depth > 1 else (_element(item, convert), ())
        items.append(literal)
        shapes.add(shape)
    if len(shapes) > 1:
        raise BadValue("contains arrays of different lengths")
    return "{" + delimiter.join(items) + "}", (len(inner), *(shapes.pop() if shapes else ()))


def _element(value: bytes, convert: Converter) -> str:
    text = _text_of(convert(value))
    return "NULL" if text is None else _quoted(text)
