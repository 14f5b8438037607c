"""JSON and NDJSON re-encoded for COPY, exactly, in pieces: the whole file is never in memory."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from bluegreen_etl import errors
from bluegreen_etl.model import Block, Column, CopyOptions, FileRecord, Format, SourceFile
from bluegreen_etl.sources import column_mapping, decompress
from bluegreen_etl.sources.delimited import encodings, header
from bluegreen_etl.sources.jsonfiles import csv_records, elements
from bluegreen_etl.workers import SHARED_SIZE, Workers

BLOCK_SIZE = 1 << 20
PEEK_SIZE = 1 << 20
PEEK_ROWS = 1000


class First(NamedTuple):
    """One of a file's first elements; `where` begins the message of an error about it."""

    where: str
    record: dict[str, bytes]


class Written(NamedTuple):
    """One of a file's elements as it is written; `where` begins the message of an error about it."""

    where: str
    text: bytes


class _Run(NamedTuple):
    """Elements encoded together: `first` is the number of the first, `line` the one where their text begins.

    There are no data where one of them cannot be encoded.
    """

    first: int
    line: int
    text: bytes
    rows: csv_records.Rows


class _Cut(NamedTuple):
    """A piece that is being encoded; `rows` waits for that."""

    piece: elements.Piece
    rows: Callable[[], csv_records.Rows | None]


class JsonReader:
    """A JSON or NDJSON file opened for COPY; implements model.FileReader."""

    def __init__(
        self, source: SourceFile, columns: Sequence[Column], *, block_size: int | None = None, tolerant: bool = False
    ) -> None:
        """Read the first elements.

        Args:
            source: the file.
            columns: the table's columns, which all keys must be among.
            block_size: about how many bytes of text a block shall be made of.
            tolerant: an element that does not fit the table makes its block broken, and is no error.

        Raises:
            BadSource: the file cannot be read, or is not an array of objects.
            BadRow: one of the first elements does not fit the table, unless that is tolerated.
            UsageError: its options are not for JSON.
        """
        self._source = source
        self._size = block_size or BLOCK_SIZE
        self._tolerant = tolerant
        self._before = decompress.fingerprint(source)
        self._digest: decompress.Digest | None = None
        first = first_elements(source, tolerant=tolerant)
        generated = tuple(column.name for column in columns if column.generated)
        fillable = {column.name: column for column in columns if not column.generated}
        ways = column_mapping.keys_of(source)
        if source.options.columns is not None:
            names = list(dict.fromkeys(source.options.columns))
            header.refuse_unknown(names, list(fillable), generated, f"{source.path}, option columns")
        else:
            seen = {key for record in records_by_column(ways, first, tolerant=tolerant) for key in record}
            # Without a default, a key that only comes later is NULL until then, as it would be anyway.
            names = [name for name, column in fillable.items() if name in seen or not column.has_default]
        names = [name for name in names if name not in ways.ignored]
        taken = tuple(fillable[name] for name in names) or tuple(fillable.values())
        self._columns = tuple(column.name for column in taken)
        self._shape = csv_records.Shape(taken, tuple(fillable), generated, ways)
        for element in first if not tolerant else ():
            csv_records.encoder(self._shape).record(element.record, element.where)

    @property
    def unit(self) -> str:
        """What numbers of elements count."""
        return "line" if self._source.format is Format.NDJSON else "element"

    @property
    def columns(self) -> tuple[str, ...]:
        """The table's columns that the records hold, in the table's order."""
        return self._columns

    @property
    def copy_options(self) -> CopyOptions:
        """How the records are written, whatever the file."""
        return csv_records.COPY_OPTIONS

    @property
    def sha256(self) -> str:
        """The digest of the file on disk; blocks() must be exhausted."""
        return decompress.known(self._digest).sha256

    @property
    def size(self) -> int:
        """How many bytes the file has on disk; blocks() must be exhausted."""
        return decompress.known(self._digest).size

    def blocks(self, workers: Workers | None = None) -> Iterator[Block]:
        """Yield the file's elements as records of CSV, encoded by `workers` where that pays.

        Raises:
            BadSource: the file is damaged, not one array, or changed since it was opened.
            BadRow: an element is not JSON in such a way that what follows it cannot be told, or (unless that is
                tolerated) does not fit the table.
        """
        if self._source.size is not None and self._source.size < SHARED_SIZE:
            workers = None
        with decompress.opened(self._source, self._before) as stream:
            for number, run in enumerate(self._runs(stream, workers)):
                done = run.rows
                yield Block(number, run.first, done.lines, done.data, stream.consumed, run, broken=not done.data)
            self._digest = stream.finish()

    def locate(self, _block_number: int, block_first: int, line: int) -> str:
        """Say which element, or line of NDJSON, holds `line` of a block; reads the file again up to there."""
        last = 0
        try:
            with decompress.opened(self._source, self._before) as stream:
                # Blocks need not be those of the first time, where pieces were cut wrongly: elements are.
                for number, place, text in self._elements(stream):
                    if number >= block_first:
                        last += csv_records.encoder(self._shape).one(text, "").count(b"\n")
                        if line <= last:
                            return f"line {place}" if self._source.format is Format.NDJSON else f"element {number}"
        except errors.BluegreenError:
            pass  # the file has changed since, for one
        return f"element {block_first} or after it"

    def records(self, block: Block) -> list[FileRecord]:
        """Take a block apart."""
        run = block.origin
        assert isinstance(run, _Run)
        cutter = elements.cutter(self._source)
        found = cutter.split(run.text)
        if found is None:  # an element of an array is no JSON
            found, _ = elements.cutter(self._source).scan(run.text + b"]")
        ndjson = self._source.format is Format.NDJSON
        return [
            self._record(run.line + element.line if ndjson else run.first + position, element.text)
            for position, element in enumerate(found)
        ]

    def _record(self, number: int, element: bytes) -> FileRecord:
        text = element.decode(errors="backslashreplace")
        try:
            data = csv_records.encoder(self._shape).one(element, "")
        except errors.BadRow as error:
            return FileRecord(number, text, b"", 0, error.message.removeprefix(": "))
        return FileRecord(number, text, data, data.count(b"\n"))

    def _elements(self, stream: decompress.Stream) -> Iterator[tuple[int, int, bytes]]:
        """Yield each element's number, line and text."""
        for run in self._runs(stream, None):
            for position, element in enumerate(elements.cutter(self._source).split(run.text) or []):
                yield run.first + position, run.line + element.line, element.text

    def _runs(self, stream: decompress.Stream, workers: Workers | None) -> Iterator[_Run]:
        """Yield the file's elements in order; with `workers`, the pieces further on are encoded meanwhile.

        A piece of an array is cut where something stands that separated elements before. Where that was wrong the
        piece cannot be decoded: it and all after it are taken back, and cut bracket by bracket.
        """
        cutter = elements.cutter(self._source)
        text = elements.Text(stream, cutter, self._source, self._size)
        ahead: deque[_Cut] = deque()
        first = line = 1
        while True:
            while len(ahead) <= (workers.ahead if workers else 0) and (piece := text.piece()):
                ahead.append(_Cut(piece, self._encoding(cutter, piece.text, workers)))
            if ahead:
                cut = ahead.popleft()
                written, done = cut.piece.text, cut.rows()
                if done is None and (found := cutter.split(written)) is not None:
                    done = self._exactly(found, first, line)
                if done is None:
                    text.take_back([cut.piece, *(later.piece for later in ahead)])
                    ahead.clear()
                    continue
            elif (found := text.scan(first)) is not None:
                written, done = b",".join(element.text for element in found), self._exactly(found, first, line)
            else:
                break
            if done.number:
                yield _Run(first, line, written, done)
            first += done.number
            # Of an array nobody wants to know the line; counting takes as long as reading.
            if self._source.format is Format.NDJSON:
                line += written.count(b"\n") if done.read is None else done.read
        text.end(first)

    def _encoding(
        self, cutter: elements.Cutter, text: bytes, workers: Workers | None
    ) -> Callable[[], csv_records.Rows | None]:
        """Begin to encode a piece; the function returned waits for that."""
        if self._source.format is Format.NDJSON:
            encode = partial(csv_records.from_lines, self._shape, text)
        else:
            encode = partial(csv_records.from_array, self._shape, text, cutter.separator)
        return workers.submit(encode).result if workers else encode

    def _exactly(self, found: Sequence[elements.Element], first: int, line: int) -> csv_records.Rows:
        encoder = csv_records.encoder(self._shape)
        try:
            return csv_records.joined(
                encoder.one(element.text, _where(self._source, first + position, line + element.line))
                for position, element in enumerate(found)
            )
        except errors.BadRow:
            if not self._tolerant:
                raise
            return csv_records.Rows(len(found), b"", 0)


def first_elements(source: SourceFile, *, tolerant: bool = False) -> list[First]:
    """Return a file's first elements, each key with its value as it is written.

    Raises:
        BadSource: the file cannot be read, or is not an array of objects.
        BadRow: one of them is not an object; where that is tolerated it is left out.
        UsageError: the options are not for JSON.
    """
    _check_options(source)
    cutter = elements.cutter(source)
    with decompress.opened(source) as stream:
        buffer, final = elements.begin_text(stream, cutter, source, size=PEEK_SIZE)
        while True:
            piece = cutter.guess(buffer, final=final)
            found = cutter.split(piece.text) if piece else None
            if found is None:
                found, buffer = cutter.scan(buffer)
            if found or final:
                break
            cutter.examine(buffer, 1, final=False)
            wanted = max(PEEK_SIZE, len(buffer))
            more = stream.read(wanted)
            buffer, final = buffer + more, len(more) < wanted
    if not found:
        cutter.examine(buffer, 1, final=True)
    first = []
    for number, element in enumerate(found[:PEEK_ROWS], start=1):
        try:
            first.append(_first(source, number, element))
        except errors.BadRow:
            if not tolerant:
                raise
    return first


def records_by_column(
    ways: column_mapping.Keys, first: Sequence[First], *, tolerant: bool = False
) -> Iterator[Mapping[str, bytes]]:
    """Yield the values of a file's first elements by column.

    Raises:
        BadRow: a value is not where the options say; where that is tolerated its element is left out.
    """
    for element in first:
        try:
            yield csv_records.columns_of(ways, element.record, element.where)
        except errors.BadRow:
            if not tolerant:
                raise


def every_element(source: SourceFile, *, block_size: int | None = None) -> Iterator[Written]:
    """Yield all elements of a file, read in blocks of about `block_size`.

    Raises:
        BadSource: the file is damaged, or is not one array.
        BadRow: an element is not JSON, where that is seen already.
    """
    cutter = elements.cutter(source)
    with decompress.opened(source) as stream:
        text = elements.Text(stream, cutter, source, block_size or BLOCK_SIZE)
        number = line = 1
        while True:
            if piece := text.piece():
                written, found = piece.text, cutter.split(piece.text)
                if found is None:
                    text.take_back([piece])
                    continue
            elif (found := text.scan(number)) is not None:
                written = b",".join(element.text for element in found)
            else:
                break
            for position, element in enumerate(found):
                yield Written(_where(source, number + position, line + element.line), element.text)
            number += len(found)
            line += written.count(b"\n")
        text.end(number)


def _first(source: SourceFile, number: int, element: elements.Element) -> First:
    where = _where(source, number, element.line + 1)
    record = csv_records.decode_object(element.text, where)
    return First(where, {key: bytes(value) for key, value in record.items()})


def _where(source: SourceFile, number: int, line: int) -> str:
    at = f"line {line}" if source.format is Format.NDJSON else f"element {number}"
    return f"{source.path}, {at}"


def _check_options(source: SourceFile) -> None:
    """Refuse options that say nothing about JSON."""
    given = source.options
    for name in ("delimiter", "quote", "escape", "null"):
        if getattr(given, name) is not None:
            raise errors.BadConfiguration(
                f'option {name} of table "{source.table}" is not for JSON', hint=f"Remove `{name}` from the options."
            )
    if given.encoding is not None and encodings.codec(given.encoding) != "utf-8":
        raise errors.BadConfiguration(
            f'option encoding of table "{source.table}" is {given.encoding}, but JSON is UTF-8',
            hint="Convert the file to UTF-8 and remove `encoding` from the options.",
        )
