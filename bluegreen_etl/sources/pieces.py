"""The text of a JSON file on its way through a cutter: piece by piece, or element by element."""

from collections.abc import Sequence

from bluegreen_etl import errors
from bluegreen_etl.model import SourceFile
from bluegreen_etl.sources import elements, header, streams


class Text:
    """A file's text on its way through a cutter."""

    def __init__(self, stream: streams.Stream, cutter: elements.Cutter, source: SourceFile, size: int) -> None:
        self._stream = stream
        self._cutter = cutter
        self._source = source
        self._size = size
        self._buffer, self._final = begin(stream, cutter, source, size=size)
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


def begin(stream: streams.Stream, cutter: elements.Cutter, source: SourceFile, *, size: int) -> tuple[bytes, bool]:
    """Read what opens the file and the text after it; also return whether that is all.

    Raises:
        BadSource: the file is something else, or holds nothing.
    """
    text = b""
    while True:
        wanted = max(size, len(text), header.SHORTEST_READ)
        more = stream.read(wanted)
        text = text + more if text else streams.without_bom(more, source.path)
        final = len(more) < wanted
        buffer = cutter.begin(text)
        if buffer is not None:
            return buffer, final
        if final:
            raise errors.BadSource(f"{source.path} holds no JSON", hint="An array without elements is written [].")
