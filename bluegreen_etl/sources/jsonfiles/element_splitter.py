"""Split JSON text between elements, so that files of any size are read in pieces of whole elements."""

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from bluegreen_etl import errors
from bluegreen_etl.model import Format, SourceFile
from bluegreen_etl.sources import decompress
from bluegreen_etl.sources.delimited import header
from bluegreen_etl.sources.jsonfiles import value_converters

_BLANK = b" \t\r\n"
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_SEPARATOR = re.compile(rb"\}[ \t\r\n]*,[ \t\r\n]*\{[ \t\r\n]*" + _STRING, re.DOTALL)
# Levels of nesting that the pattern matches at once; deeper levels are counted bracket by bracket.
_LEVELS = 8
# PostgreSQL and msgspec accept fewer; without a limit a small file of brackets would take hours.
_DEEPEST = 10_000


# An object whose value is the array, perhaps after keys with plain values.
_WRAPPED = re.compile(rb'\{\s*(?:"[^"\\]*"\s*:\s*(?:"[^"\\]*"|[-+.\w]+)\s*,\s*)*"([^"\\]+)"\s*:\s*\[\s*\{', re.DOTALL)
_LOOK = 1 << 16  # bytes that a hint looks at
_SEVERAL = re.compile(rb"\}\s*\n\s*\{")


def _tokens() -> re.Pattern[bytes]:
    """Return a pattern for tokens that can end an element; a nested value or a string is one token.

    A lone bracket is nested deeper than the pattern; a lone quote opens a string that the buffer truncates.
    """
    nested = rb"(?!)"
    for _ in range(_LEVELS):
        nested = rb'[\[{](?:[^"\[\]{}]++|' + _STRING + rb"|" + nested + rb")*+[\]}]"
    return re.compile(nested + rb"|" + _STRING + rb'|[\[\]{},"]', re.DOTALL)


_TOKENS = _tokens()


class Piece(NamedTuple):
    """Whole elements from the front of a buffer, the separator after them, and the rest of the buffer."""

    text: bytes
    separator: bytes
    rest: bytes


class Element(NamedTuple):
    """The undecoded text of one element; `line` is its line within the piece, from 0, in NDJSON."""

    line: int
    text: bytes


class Splitter(Protocol):
    """Splits the text of one format into elements."""

    separator: bytes | None  # the text that separated the first elements

    def begin(self, buffer: bytes) -> bytes | None:
        """Return the text after the start of the file; None if more must be read."""

    def guess(self, buffer: bytes, *, final: bool) -> Piece | None:
        """Return a piece, found quickly; the piece is correct only if it can be decoded."""

    def split(self, text: bytes) -> Sequence[Element] | None:
        """Return the elements of a piece; None if the piece was split in the wrong place."""

    def scan(self, buffer: bytes) -> tuple[Sequence[Element], bytes]:
        """Return the whole elements of a buffer and its rest, found reliably."""

    def examine(self, rest: bytes, number: int, *, final: bool) -> None:
        """Refuse an incomplete rest that more text cannot complete; `number` is its first element.

        Raises:
            BadRow: the rest is not JSON.
            BadSource: the rest is `final` and incomplete.
        """


class LineSplitter:
    """NDJSON: each line is an element; empty lines are skipped."""

    separator: bytes | None = None

    def begin(self, buffer: bytes) -> bytes:
        """Return the buffer: NDJSON has no opening."""
        return buffer

    def guess(self, buffer: bytes, *, final: bool) -> Piece | None:
        """Return the text up to the last line end, which is always correct."""
        end = len(buffer) if final else buffer.rfind(b"\n") + 1
        return Piece(buffer[:end], b"", buffer[end:]) if end or final else None

    def split(self, text: bytes) -> list[Element]:
        """Return the lines that are not empty."""
        lines = [line.strip(_BLANK) for line in text.split(b"\n")]
        return [Element(number, line) for number, line in enumerate(lines) if line]

    def scan(self, buffer: bytes) -> tuple[list[Element], bytes]:
        """Return no elements: `guess` finds all of them."""
        return [], buffer

    def examine(self, rest: bytes, number: int, *, final: bool) -> None:
        """Accept any rest: a line may continue, and the last line needs no line end."""


class ArraySplitter:
    """JSON: one array of objects. Learns the separator from the first elements of the file."""

    def __init__(self, source: SourceFile) -> None:
        self._path = source.path
        self.separator: bytes | None = None
        self._sure = False
        self._complaint: tuple[int, str] | None = None
        self._closed = False
        self._continued = False  # an element was found, so a comma precedes the next

    def begin(self, buffer: bytes) -> bytes | None:
        """Return the text after the opening bracket.

        Raises:
            BadSource: the file is not an array.
        """
        text = buffer.lstrip(_BLANK)
        if not text:
            return None
        if not text.startswith(b"["):
            raise errors.BadSource(
                f"{self._path} is {_whole_kind(text)}, not an array of objects",
                hint=_array_hint(text[:_LOOK], self._path),
            )
        return text[1:]

    def guess(self, buffer: bytes, *, final: bool) -> Piece | None:
        """Return the text up to the last known separator, or up to the closing bracket."""
        if self._closed or self._sure:
            return None
        if final:
            body = buffer.rstrip(_BLANK)
            # If no element precedes the bracket, `scan` decides whether the array is valid.
            whole = body.endswith(b"]") and body[:-1].strip(_BLANK)
            return Piece(body[:-1], b"", b"]") if whole else None
        found = buffer.rfind(self.separator) if self.separator else -1
        if found < 0:
            return None
        after = buffer.index(b",", found) + 1
        return Piece(buffer[: found + 1], buffer[found + 1 : after], buffer[after:])

    def split(self, text: bytes) -> list[Element] | None:
        """Return the elements of a piece; None if it cannot be decoded, because it was split in the wrong place."""
        try:
            return [Element(0, bytes(element)) for element in _ELEMENTS.decode(b"[" + text + b"]")]
        except (msgspec.DecodeError, RecursionError):
            # After one wrong guess, the next is often wrong too.
            self._sure = True
            return None

    def scan(self, buffer: bytes) -> tuple[list[Element], bytes]:
        """Return the elements that end in a comma or at the end of the array, found bracket by bracket."""
        found: list[Element] = []
        begin = depth = 0
        for token in _TOKENS.finditer(buffer) if not self._closed else ():
            mark = token[0]
            if len(mark) > 1:
                continue
            if mark == b'"':
                break
            if mark in b"{[":
                depth += 1
                self._refuse_depth(depth)
            elif depth and mark in b"}]":
                depth -= 1
            elif not depth and mark in b",]":
                text = buffer[begin : token.start()].strip(_BLANK)
                self._closed = mark == b"]"
                if text or not self._closed or self._continued:
                    found.append(Element(0, text))
                self._learn(buffer, token.start())
                self._continued = True
                begin = token.end()
                if self._closed:
                    break
        return found, buffer[begin:]

    def examine(self, rest: bytes, number: int, *, final: bool) -> None:
        """Refuse text after the array, an element that is not JSON, or an unclosed array.

        Raises:
            BadRow: element `number` is not JSON.
            BadSource: there is text after the array, or the array is not closed.
        """
        text = rest.strip(_BLANK)
        if text == b"]" and not self._closed:
            return  # `guess` leaves the bracket of a complete array; `scan` never leaves a bracket
        if self._closed:
            if text:
                raise errors.BadSource(
                    f"{self._path}: there is text after the end of the array",
                    hint='Write one array; for one object per line set `format = "ndjson"`.',
                )
            return
        try:
            msgspec.json.decode(text, type=msgspec.Raw)
        except msgspec.DecodeError as error:
            # A truncated number is an error too, but the error changes when more of it is read.
            complaint = (number, str(error))
            if str(error) != value_converters.TRUNCATED and (final or complaint == self._complaint):
                raise errors.BadRow(f"{self._path}, element {number}: {error}", hint="Correct the JSON.") from error
            self._complaint = complaint
        except RecursionError:
            pass  # depth is checked on whole elements only
        if final:
            raise errors.BadSource(
                f"{self._path}, element {number}: the array is not closed at the end of the file",
                hint="The file is truncated. Write or download it again.",
            )

    def _refuse_depth(self, depth: int) -> None:
        if depth > _DEEPEST:
            message = f"{self._path}: an element has more than {_DEEPEST} levels of nesting"
            raise errors.BadRow(message, hint="Flatten the value.")

    def _learn(self, buffer: bytes, comma: int) -> None:
        """Remember the separator after an element: the text up to the first key of the next element."""
        if self._sure or self.separator:
            return
        brace = buffer.rfind(b"}", 0, comma)
        found = _SEPARATOR.match(buffer, brace) if brace >= 0 else None
        self.separator = found[0] if found else None


def splitter_of(source: SourceFile) -> Splitter:
    """Return the splitter for the format of a file."""
    return LineSplitter() if source.format is Format.NDJSON else ArraySplitter(source)


def _array_hint(text: bytes, path: str) -> str:
    """Return how to make an array of objects from a file that begins with `text`."""
    if found := _WRAPPED.match(text):
        key = found[1].decode(errors="replace")
        return f"Extract the array: `jq '.\"{key}\"' {path} > FILE`."
    if _SEVERAL.search(text):
        return f'For one object per line set `format = "ndjson"`; for several lines: `jq -c . {path} > FILE.ndjson`.'
    return f"Write an array of objects, for example of the values of an object: `jq '[.[]]' {path} > FILE`."


def _whole_kind(text: bytes) -> str:
    kind = value_converters.kind(text)
    return "not JSON" if kind in {"no JSON", "nothing"} else kind.replace("an object", "a JSON object")


class ElementStream:
    """Read the text of a file through a splitter."""

    def __init__(self, stream: decompress.Stream, splitter: Splitter, source: SourceFile, size: int) -> None:
        self._stream = stream
        self._splitter = splitter
        self._source = source
        self._size = size
        self._buffer, self._final = begin_text(stream, splitter, source, size=size)
        self._ended = False

    def piece(self) -> Piece | None:
        """Return the next piece; None if `scan` is needed, and at the end."""
        if self._ended:
            return None
        piece = self._splitter.guess(self._buffer, final=self._final)
        if piece:
            self._go_on(piece.rest)
        return piece

    def scan(self, number: int) -> Sequence[Element] | None:
        """Return the elements that are surely complete, perhaps none; None at the end. `number` is the first element.

        Raises:
            BadRow: the next element is not JSON, or longer than PostgreSQL accepts.
        """
        if self._ended:
            return None
        found, rest = self._splitter.scan(self._buffer)
        if len(rest) > self._source.options.longest_record:
            raise errors.BadRow(
                f"{self._source.path}: element {number} is {header.too_long(self._source)}",
                hint=header.hint_too_long(self._source),
            )
        if len(rest) == len(self._buffer) and not self._final:
            self._splitter.examine(rest, number, final=False)
        self._go_on(rest)
        return found

    def take_back(self, pieces: Sequence[Piece]) -> None:
        """Put all pieces since the first of `pieces` back in front of the rest."""
        self._buffer = b"".join(piece.text + piece.separator for piece in pieces) + self._buffer
        self._ended = False

    def end(self, number: int) -> None:
        """Refuse an incomplete rest; `number` is its first element.

        Raises:
            BadRow, BadSource: the rest is not empty.
        """
        self._splitter.examine(self._buffer, number, final=True)

    def _go_on(self, rest: bytes) -> None:
        self._buffer = rest
        self._ended = self._final
        if not self._final:
            wanted = max(self._size, len(rest))
            more = self._stream.read(wanted)
            self._buffer, self._final = rest + more, len(more) < wanted


def begin_text(stream: decompress.Stream, splitter: Splitter, source: SourceFile, *, size: int) -> tuple[bytes, bool]:
    """Return the text after the start of the file, and whether it is the whole file.

    Raises:
        BadSource: the file is not an array of objects, or is empty.
    """
    text = b""
    while True:
        wanted = max(size, len(text), header.SHORTEST_READ)
        more = stream.read(wanted)
        text = text + more if text else decompress.without_bom(more, source.path)
        final = len(more) < wanted
        buffer = splitter.begin(text)
        if buffer is not None:
            return buffer, final
        if final:
            raise errors.BadSource(f"{source.path} contains no JSON", hint="Write an array without elements as `[]`.")
