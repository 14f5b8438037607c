"""JSON values on their way into CSV fields that PostgreSQL reads as json_to_record would have read the values."""

import re
from collections.abc import Callable

import msgspec

# What a converter returns: Raw goes out as it is, text as a quoted field, None as NULL.
Field = msgspec.Raw | str | None
Converter = Callable[[bytes], Field]

NUL = "holds \\u0000, which PostgreSQL cannot store"
# What msgspec says of text that ends before its value does, and of half a surrogate pair.
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
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)
_ARRAY_SPECIAL = re.compile(r'(["\\])')
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
# Runs of \u, because two halves of a surrogate pair only mean something together.
# The pattern begins with a plain character, so that the search for it is fast.
_ESCAPES = re.compile(rb'\\(?:[^"u]|u[0-9a-fA-F]{4}(?:\\u[0-9a-fA-F]{4})*+)')
# A doubled backslash is matched for what follows it: it is not the beginning of an escape.
_MEANINGS = {rb"\\": rb"\\", rb"\n": b"\n", rb"\r": b"\r", rb"\t": b"\t", rb"\b": b"\b", rb"\f": b"\f", rb"\/": b"/"}


class Refused(ValueError):
    """A value that its column cannot take; the message completes a sentence about it."""


def kind(value: bytes) -> str:
    """Say what a JSON value is, by its first character."""
    return _KINDS.get(value.lstrip()[:1][0], "no JSON") if value.strip() else "nothing"


def is_special(column_type: str) -> bool:
    """Whether values of a column must be converted one by one."""
    return column_type.endswith("[]") or column_type in {"json", "jsonb"}


def converter(column_type: str) -> Converter:
    """Return what turns a JSON value, as written, into the field of a column of `column_type`.

    The converters raise Refused.
    """
    if column_type.endswith("[]"):
        element = column_type.removesuffix("[]")
        return lambda value: _array(value, element)
    return _json if column_type in {"json", "jsonb"} else _scalar


def refuse_nul(text: bytes) -> None:
    r"""Refuse the one JSON string that PostgreSQL cannot hold.

    Raises:
        Refused: the text holds `\\u0000`.
    """
    if b"\\u0000" in text and _NUL.search(text):
        raise Refused(NUL)


def without_escapes(records: bytes) -> bytes:
    r"""Return records with JSON's escapes undone, but for `\\"` and `\\\\`, which COPY is told to undo.

    Raises:
        Refused: the text holds `\\u0000`.
    """
    return _ESCAPES.sub(_meaning, records) if b"\\" in records else records


def _meaning(escapes: re.Match[bytes]) -> bytes:
    if simple := _MEANINGS.get(escapes[0]):
        return simple
    text = _TEXT.decode(b'"' + escapes[0] + b'"')
    if "\0" in text:
        raise Refused(NUL)
    return text.replace("\\", "\\\\").replace('"', '\\"').encode()


def _scalar(value: bytes) -> Field:
    # An object or an array goes into a text as it is written; other types refuse it in the server.
    return value.decode() if value.startswith((b"{", b"[")) else msgspec.Raw(value)


def _json(value: bytes) -> Field:
    return None if value == b"null" else _json_text(value)


def _json_text(value: bytes) -> str:
    """Return a value as text for json: the server rewrites strings, and nothing else."""
    if value.startswith(b'"'):
        return msgspec.json.encode(_TEXT.decode(value)).decode()
    return value.decode()


def _array(value: bytes, element: str) -> Field:
    """Return PostgreSQL's text for an array; a string is already one, as for json_to_record."""
    if value == b"null":
        return None
    if value.startswith(b'"'):
        return msgspec.Raw(value)
    if not value.startswith(b"["):
        raise Refused(f"is not a JSON array, as {element}[] needs")
    literal, shape = _level(value, element, _depth(value))
    # The server takes an array without any elements as empty, however deep, but not every version so written.
    return literal if all(shape) else "{}"


def _depth(value: bytes) -> int:
    """Return how many dimensions an array has: those of its first element."""
    depth = 0
    while value.startswith(b"["):
        depth += 1
        inner = _LIST.decode(value)
        value = bytes(inner[0]) if inner else b""
    return depth


def _level(value: bytes, element: str, depth: int) -> tuple[str, tuple[int, ...]]:
    """Return an array of `depth` dimensions as text, and how long it is in each."""
    if not value.startswith(b"["):
        raise Refused("has an element that is not a JSON array, beside others that are")
    inner = [bytes(item) for item in _LIST.decode(value)]
    shapes: set[tuple[int, ...]] = set()
    items = []
    for item in inner:
        literal, shape = _level(item, element, depth - 1) if depth > 1 else (_element(item, element), ())
        items.append(literal)
        shapes.add(shape)
    if len(shapes) > 1:
        raise Refused("has arrays of different lengths side by side")
    joined = "{" + (";" if element == "box" else ",").join(items) + "}"
    return joined, (len(inner), *(shapes.pop() if shapes else ()))


def _element(value: bytes, element: str) -> str:
    if value == b"null":
        return "NULL"
    if element in {"json", "jsonb"}:
        text = _json_text(value)
    elif value.startswith(b'"'):
        text = _TEXT.decode(value)
    else:
        text = value.decode()
    return '"' + _ARRAY_SPECIAL.sub(r"\\\1", text) + '"'
