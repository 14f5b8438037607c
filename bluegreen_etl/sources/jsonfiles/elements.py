"""Where the elements of JSON text end, so that a file of any size passes through in pieces of whole elements."""

import re
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from bluegreen_etl import errors
from bluegreen_etl.model import Format, SourceFile
from bluegreen_etl.sources import decompress
from bluegreen_etl.sources.delimited import header
from bluegreen_etl.sources.jsonfiles import csv_values, elements

_BLANK = b" \t\r\n"
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_SEPARATOR = re.compile(rb"\}[ \t\r\n]*,[ \t\r\n]*\{[ \t\r\n]*" + _STRING, re.DOTALL)
# Levels of nesting that the pattern passes over at once; deeper elements are found too, bracket by bracket.
_LEVELS = 8


def _tokens() -> re.Pattern[bytes]:
    """Return a pattern for what can end an element, nested values and strings being one token each.

    A lone bracket is deeper than the pattern goes, a lone quote opens a string that the buffer cuts off.
    """
    nested = rb"(?!)"
    for _ in range(_LEVELS):
        nested = rb'[\[{](?:[^"\[\]{}]++|' + _STRING + rb"|" + nested + rb")*+[\]}]"
    return re.compile(nested + rb"|" + _STRING + rb'|[\[\]{},"]', re.DOTALL)


_TOKENS = _tokens()


class Piece(NamedTuple):
    """Whole elements cut off the front of a buffer, what separates them from the rest of it, and that."""

    text: bytes
    separator: bytes
    rest: bytes


class Element(NamedTuple):
    """One element as it is written; `line` is its line within the piece, from 0, where elements are lines."""

    line: int
    text: bytes


class Cutter(Protocol):
    """Knows how elements follow each other in a format."""

    separator: bytes | None  # what has been seen to stand between elements

    def begin(self, buffer: bytes) -> bytes | None:
        """Return what follows the file's opening; None when more must be read."""

    def guess(self, buffer: bytes, *, final: bool) -> Piece | None:
        """Cut quickly; the piece is only right if it can be decoded."""

    def split(self, text: bytes) -> Sequence[Element] | None:
        """Return the elements of a piece; None when it was cut wrongly."""

    def scan(self, buffer: bytes) -> tuple[Sequence[Element], bytes]:
        """Cut surely: the whole elements of a buffer, and the rest of it."""

    def examine(self, rest: bytes, number: int, *, final: bool) -> None:
        """Refuse a rest, of no whole element, that more text cannot make whole; element `number` begins it.

        Raises:
            BadRow: it is not JSON.
            BadSource: it is `final` and not complete.
        """


class LineCutter:
    """NDJSON: a line is an element, empty lines are nothing."""

    separator: bytes | None = None

    def begin(self, buffer: bytes) -> bytes:
        """Return the buffer: nothing opens such a file."""
        return buffer

    def guess(self, buffer: bytes, *, final: bool) -> Piece | None:
        """Cut after the last line end, which is always right."""
        end = len(buffer) if final else buffer.rfind(b"\n") + 1
        return Piece(buffer[:end], b"", buffer[end:]) if end or final else None

    def split(self, text: bytes) -> list[Element]:
        """Return the lines that are not empty."""
        lines = [line.strip(_BLANK) for line in text.split(b"\n")]
        return [Element(number, line) for number, line in enumerate(lines) if line]

    def scan(self, buffer: bytes) -> tuple[list[Element], bytes]:
        """Return no elements: guess has found all that there are."""
        return [], buffer

    def examine(self, rest: bytes, number: int, *, final: bool) -> None:
        """Accept it: any line may grow, and the last one needs no line end."""


class ArrayCutter:
    """JSON: one array of objects. Learns from its first elements how they are separated in this file."""

    def __init__(self, source: SourceFile) -> None:
        self._path = source.path
        self.separator: bytes | None = None
        self._sure = False
        self._complaint: tuple[int, str] | None = None
        self._closed = False
        self._continued = False  # an element was found, so a comma stands before the next

    def begin(self, buffer: bytes) -> bytes | None:
        """Return what follows the opening bracket.

        Raises:
            BadSource: the file is something else than an array.
        """
        text = buffer.lstrip(_BLANK)
        if not text:
            return None
        if not text.startswith(b"["):
            raise errors.BadSource(
                f"{self._path} is {_whole_kind(text)}, not an array of objects",
                hint='Write one array of objects; for one object per line set `format = "ndjson"`.',
            )
        return text[1:]

    def guess(self, buffer: bytes, *, final: bool) -> Piece | None:
        """Cut where something stands that separated elements before, or at the closing bracket."""
        if self._closed or self._sure:
            return None
        if final:
            body = buffer.rstrip(_BLANK)
            # Without any element before the bracket, scan decides whether that is right.
            whole = body.endswith(b"]") and body[:-1].strip(_BLANK)
            return Piece(body[:-1], b"", b"]") if whole else None
        found = buffer.rfind(self.separator) if self.separator else -1
        if found < 0:
            return None
        after = buffer.index(b",", found) + 1
        return Piece(buffer[: found + 1], buffer[found + 1 : after], buffer[after:])

    def split(self, text: bytes) -> list[Element] | None:
        """Return the elements of a piece; a piece that was cut wrongly cannot be decoded."""
        try:
            return [Element(0, bytes(element)) for element in _ELEMENTS.decode(b"[" + text + b"]")]
        except (msgspec.DecodeError, RecursionError):
            # Where a guess was wrong, the next would often be.
            self._sure = True
            return None

    def scan(self, buffer: bytes) -> tuple[list[Element], bytes]:
        """Return the elements that end in a comma or in the array's end, found bracket by bracket."""
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
        """Refuse text after the array, an element that is not JSON, or an array that never ends.

        Raises:
            BadRow: element `number` is not JSON.
            BadSource: something follows the array, or the file ends before it does.
        """
        text = rest.strip(_BLANK)
        if text == b"]" and not self._closed:
            return  # what guess leaves of an array that it took to its end; scan never leaves a bracket
        if self._closed:
            if text:
                raise errors.BadSource(
                    f"{self._path} goes on after the end of its array",
                    hint='Write one array; for one object per line set `format = "ndjson"`.',
                )
            return
        try:
            msgspec.json.decode(text, type=msgspec.Raw)
        except msgspec.DecodeError as error:
            # A number cut in two is an error too, but not the same one when more of it has been read.
            complaint = (number, str(error))
            if str(error) != csv_values.TRUNCATED and (final or complaint == self._complaint):
                raise errors.BadRow(f"{self._path}, element {number}: {error}", hint="Correct the JSON.") from error
            self._complaint = complaint
        except RecursionError:
            pass  # only a whole element is refused for its depth
        if final:
            raise errors.BadSource(
                f"{self._path}, element {number}: the file ends before its array does",
                hint="The file is not complete; write or fetch it again.",
            )

    def _learn(self, buffer: bytes, comma: int) -> None:
        """Remember, at the comma after an element, how the next one begins: up to its first key."""
        if self._sure or self.separator:
            return
        brace = buffer.rfind(b"}", 0, comma)
        found = _SEPARATOR.match(buffer, brace) if brace >= 0 else None
        self.separator = found[0] if found else None


def cutter(source: SourceFile) -> Cutter:
    """Return what knows how the elements of a JSON or NDJSON file follow each other."""
    return LineCutter() if source.format is Format.NDJSON else ArrayCutter(source)


def _whole_kind(text: bytes) -> str:
    kind = csv_values.kind(text)
    return "not JSON" if kind in {"no JSON", "nothing"} else kind.replace("an object", "a JSON object")


class Text:
    """A file's text on its way through a cutter."""

    def __init__(self, stream: decompress.Stream, cutter: elements.Cutter, source: SourceFile, size: int) -> None:
        self._stream = stream
        self._cutter = cutter
        self._source = source
        self._size = size
        self._buffer, self._final = begin_text(stream, cutter, source, size=size)
        self._ended = False

    def piece(self) -> elements.Piece | None:
        """Cut the next piece; None where that can only be done by scan, and at the end."""
        if self._ended:
            return None
        piece = self._cutter.guess(self._buffer, final=self._final)
        if piece:
            self._go_on(piece.rest)
        return piece

    def scan(self, number: int) -> Sequence[elements.Element] | None:
        """Return the elements that can surely be told, perhaps none yet, from `number` on; None at the end.

        Raises:
            BadRow: what comes next is not JSON, or longer than PostgreSQL can take.
        """
        if self._ended:
            return None
        found, rest = self._cutter.scan(self._buffer)
        if len(rest) > header.LONGEST_RECORD:
            raise errors.BadRow(
                f"{self._source.path}: element {number} is longer than 1 GB", hint="PostgreSQL cannot store it."
            )
        if len(rest) == len(self._buffer) and not self._final:
            self._cutter.examine(rest, number, final=False)
        self._go_on(rest)
        return found

    def take_back(self, pieces: Sequence[elements.Piece]) -> None:
        """Put pieces that were cut, all since the first of them, before the rest again."""
        self._buffer = b"".join(piece.text + piece.separator for piece in pieces) + self._buffer
        self._ended = False

    def end(self, number: int) -> None:
        """Refuse a rest; `number` is the element that would begin it.

        Raises:
            BadRow, BadSource: there is one.
        """
        self._cutter.examine(self._buffer, number, final=True)

    def _go_on(self, rest: bytes) -> None:
        self._buffer = rest
        self._ended = self._final
        if not self._final:
            wanted = max(self._size, len(rest))
            more = self._stream.read(wanted)
            self._buffer, self._final = rest + more, len(more) < wanted


def begin_text(
    stream: decompress.Stream, cutter: elements.Cutter, source: SourceFile, *, size: int
) -> tuple[bytes, bool]:
    """Read what opens the file and the text after it; also return whether that is all.

    Raises:
        BadSource: the file is something else, or holds nothing.
    """
    text = b""
    while True:
        wanted = max(size, len(text), header.SHORTEST_READ)
        more = stream.read(wanted)
        text = text + more if text else decompress.without_bom(more, source.path)
        final = len(more) < wanted
        buffer = cutter.begin(text)
        if buffer is not None:
            return buffer, final
        if final:
            raise errors.BadSource(f"{source.path} holds no JSON", hint="An array without elements is written [].")
