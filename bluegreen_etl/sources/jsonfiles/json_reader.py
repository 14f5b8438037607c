"""Read JSON and NDJSON and encode them for COPY exactly, in pieces: the whole file is never in memory."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from bluegreen_etl import errors
from bluegreen_etl.model import Block, Column, CopyOptions, FileRecord, Format, SourceFile
from bluegreen_etl.sources import column_mapping, decompress
from bluegreen_etl.sources.delimited import encodings, header
from bluegreen_etl.sources.jsonfiles import element_splitter, record_encoder
from bluegreen_etl.workers import SHARED_SIZE, Workers

BLOCK_SIZE = 1 << 20
PEEK_SIZE = 1 << 20
PEEK_ROWS = 1000


class FirstElement(NamedTuple):
    """One of the first elements of a file; `where` begins error messages about it."""

    where: str
    record: dict[str, bytes]


class LocatedElement(NamedTuple):
    """The undecoded text of an element; `where` begins error messages about it."""

    where: str
    text: bytes


class _Run(NamedTuple):
    """Elements encoded together: `first` is the number of the first element, `line` the first line of their text.

    `rows` has no data if an element cannot be encoded.
    """

    first: int
    line: int
    text: bytes
    rows: record_encoder.Rows


class _Cut(NamedTuple):
    """A piece that is being encoded; `rows` waits for the result."""

    piece: element_splitter.Piece
    rows: Callable[[], record_encoder.Rows | None]


class JsonReader:
    """A JSON or NDJSON file opened for COPY; implements model.FileReader."""

    def __init__(
        self, source: SourceFile, columns: Sequence[Column], *, block_size: int | None = None, tolerant: bool = False
    ) -> None:
        """Read the first elements.

        Args:
            source: the file.
            columns: the table's columns; all keys must be among them.
            block_size: the approximate number of bytes of text per block.
            tolerant: an element that does not fit the table marks its block as broken instead of raising.

        Raises:
            BadSource: the file cannot be read, or is not an array of objects.
            BadRow: one of the first elements does not fit the table, unless `tolerant`.
            UsageError: an option does not apply to JSON.
        """
        self._source = source
        self._size = block_size or BLOCK_SIZE
        self._tolerant = tolerant
        self._before = decompress.fingerprint(source)
        self._digest: decompress.Digest | None = None
        first = first_elements(source, tolerant=tolerant)
        generated = tuple(column.name for column in columns if column.generated)
        fillable = {column.name: column for column in columns if not column.generated}
        mapping = column_mapping.mapping_of(source)
        if source.options.columns is not None:
            names = list(dict.fromkeys(source.options.columns))
            header.refuse_unknown(names, list(fillable), generated, f"{source.path}, option columns")
        else:
            seen = {key for record in records_by_column(mapping, first, tolerant=tolerant) for key in record}
            # A column without a default is always taken: its key may first occur later, and until then NULL is correct.
            names = [name for name, column in fillable.items() if name in seen or not column.has_default]
        names = [name for name in names if name not in mapping.ignored]
        taken = tuple(fillable[name] for name in names) or tuple(fillable.values())
        self._columns = tuple(column.name for column in taken)
        self._shape = record_encoder.Shape(taken, tuple(fillable), generated, mapping)
        for element in first if not tolerant else ():
            record_encoder.encoder(self._shape).record(element.record, element.where)

    @property
    def unit(self) -> str:
        """The unit that numbers of elements count."""
        return "line" if self._source.format is Format.NDJSON else "element"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the records, in the table's order."""
        return self._columns

    @property
    def copy_options(self) -> CopyOptions:
        """The options with which COPY reads the encoded records."""
        return record_encoder.COPY_OPTIONS

    @property
    def sha256(self) -> str:
        """The digest of the file on disk; blocks() must be exhausted."""
        return decompress.finished_digest(self._digest).sha256

    @property
    def size(self) -> int:
        """The number of bytes on disk; blocks() must be exhausted."""
        return decompress.finished_digest(self._digest).size

    def blocks(self, workers: Workers | None = None) -> Iterator[Block]:
        """Yield the elements as CSV records; `workers` encode large files.

        Raises:
            BadSource: the file is damaged, not one array, or changed since it was opened.
            BadRow: an element is so malformed that its end cannot be found, or (unless `tolerant`) does not fit the
                table.
        """
        if self._source.size is not None and self._source.size < SHARED_SIZE:
            workers = None
        with decompress.open_stream(self._source, self._before) as stream:
            for number, run in enumerate(self._runs(stream, workers)):
                done = run.rows
                yield Block(number, run.first, done.lines, done.data, stream.consumed, run, broken=not done.data)
            self._digest = stream.finish()

    def locate(self, _block_number: int, block_first: int, line: int) -> str:
        """Return the element, or line of NDJSON, of `line` of a block; reads the file again up to that element."""
        last = 0
        try:
            with decompress.open_stream(self._source, self._before) as stream:
                # After a wrong split, blocks may differ between two reads; elements do not.
                for number, place, text in self._elements(stream):
                    if number >= block_first:
                        last += record_encoder.encoder(self._shape).one(text, "").count(b"\n")
                        if line <= last:
                            return f"line {place}" if self._source.format is Format.NDJSON else f"element {number}"
        except errors.BluegreenError:
            pass  # for example, the file changed meanwhile
        return f"element {block_first} or after it"

    def records(self, block: Block) -> list[FileRecord]:
        """Split a block into records."""
        run = block.origin
        assert isinstance(run, _Run)
        splitter = element_splitter.splitter_of(self._source)
        found = splitter.split(run.text)
        if found is None:  # an element of an array is not JSON
            found, _ = element_splitter.splitter_of(self._source).scan(run.text + b"]")
        ndjson = self._source.format is Format.NDJSON
        return [
            self._record(run.line + element.line if ndjson else run.first + position, element.text)
            for position, element in enumerate(found)
        ]

    def _record(self, number: int, element: bytes) -> FileRecord:
        text = element.decode(errors="backslashreplace")
        try:
            data = record_encoder.encoder(self._shape).one(element, "")
        except errors.BadRow as error:
            return FileRecord(number, text, b"", 0, error.message.removeprefix(": "))
        return FileRecord(number, text, data, data.count(b"\n"))

    def _elements(self, stream: decompress.Stream) -> Iterator[tuple[int, int, bytes]]:
        """Yield the number, line and text of each element."""
        for run in self._runs(stream, None):
            for position, element in enumerate(element_splitter.splitter_of(self._source).split(run.text) or []):
                yield run.first + position, run.line + element.line, element.text

    def _runs(self, stream: decompress.Stream, workers: Workers | None) -> Iterator[_Run]:
        """Yield the elements in order; `workers` encode later pieces at the same time.

        A piece of an array is split at the learned separator. If the split was wrong, the piece cannot be decoded:
        this piece and all later ones are taken back and split bracket by bracket.
        """
        splitter = element_splitter.splitter_of(self._source)
        text = element_splitter.ElementStream(stream, splitter, self._source, self._size)
        ahead: deque[_Cut] = deque()
        first = line = 1
        while True:
            while len(ahead) <= (workers.ahead if workers else 0) and (piece := text.piece()):
                ahead.append(_Cut(piece, self._encoding(splitter, piece.text, workers)))
            if ahead:
                cut = ahead.popleft()
                written, done = cut.piece.text, cut.rows()
                if done is None and (found := splitter.split(written)) is not None:
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
            # Messages about arrays name no line, and counting lines takes as long as reading.
            if self._source.format is Format.NDJSON:
                line += written.count(b"\n") if done.read is None else done.read
        text.end(first)

    def _encoding(
        self, splitter: element_splitter.Splitter, text: bytes, workers: Workers | None
    ) -> Callable[[], record_encoder.Rows | None]:
        """Start to encode a piece; return a function that waits for the result."""
        if self._source.format is Format.NDJSON:
            encode = partial(record_encoder.from_lines, self._shape, text)
        else:
            encode = partial(record_encoder.from_array, self._shape, text, splitter.separator)
        return workers.submit(encode).result if workers else encode

    def _exactly(self, found: Sequence[element_splitter.Element], first: int, line: int) -> record_encoder.Rows:
        encoder = record_encoder.encoder(self._shape)
        try:
            return record_encoder.joined(
                encoder.one(element.text, _where(self._source, first + position, line + element.line))
                for position, element in enumerate(found)
            )
        except errors.BadRow:
            if not self._tolerant:
                raise
            return record_encoder.Rows(len(found), b"", 0)


def first_elements(source: SourceFile, *, tolerant: bool = False) -> list[FirstElement]:
    """Return the first elements of a file with undecoded values.

    Raises:
        BadSource: the file cannot be read, or is not an array of objects.
        BadRow: an element is not an object; if `tolerant`, it is skipped.
        UsageError: an option does not apply to JSON.
    """
    _check_options(source)
    splitter = element_splitter.splitter_of(source)
    with decompress.open_stream(source) as stream:
        buffer, final = element_splitter.begin_text(stream, splitter, source, size=PEEK_SIZE)
        while True:
            piece = splitter.guess(buffer, final=final)
            found = splitter.split(piece.text) if piece else None
            if found is None:
                found, buffer = splitter.scan(buffer)
            if found or final:
                break
            splitter.examine(buffer, 1, final=False)
            wanted = max(PEEK_SIZE, len(buffer))
            more = stream.read(wanted)
            buffer, final = buffer + more, len(more) < wanted
    if not found:
        splitter.examine(buffer, 1, final=True)
    first = []
    for number, element in enumerate(found[:PEEK_ROWS], start=1):
        try:
            first.append(_first(source, number, element))
        except errors.BadRow:
            if not tolerant:
                raise
    return first


def records_by_column(
    mapping: column_mapping.ColumnMapping, first: Sequence[FirstElement], *, tolerant: bool = False
) -> Iterator[Mapping[str, bytes]]:
    """Yield the values of the first elements by column.

    Raises:
        BadRow: a path leads through a value that is not an object; if `tolerant`, the element is skipped.
    """
    for element in first:
        try:
            yield record_encoder.columns_of(mapping, element.record, element.where)
        except errors.BadRow:
            if not tolerant:
                raise


def every_element(source: SourceFile, *, block_size: int | None = None) -> Iterator[LocatedElement]:
    """Yield all elements of a file, read in blocks of about `block_size` bytes.

    Raises:
        BadSource: the file is damaged, or is not one array.
        BadRow: an element is so malformed that its end cannot be found.
    """
    splitter = element_splitter.splitter_of(source)
    with decompress.open_stream(source) as stream:
        text = element_splitter.ElementStream(stream, splitter, source, block_size or BLOCK_SIZE)
        number = line = 1
        while True:
            if piece := text.piece():
                written, found = piece.text, splitter.split(piece.text)
                if found is None:
                    text.take_back([piece])
                    continue
            elif (found := text.scan(number)) is not None:
                written = b",".join(element.text for element in found)
            else:
                break
            for position, element in enumerate(found):
                yield LocatedElement(_where(source, number + position, line + element.line), element.text)
            number += len(found)
            line += written.count(b"\n")
        text.end(number)


def _first(source: SourceFile, number: int, element: element_splitter.Element) -> FirstElement:
    where = _where(source, number, element.line + 1)
    record = record_encoder.decode_object(element.text, where)
    return FirstElement(where, {key: bytes(value) for key, value in record.items()})


def _where(source: SourceFile, number: int, line: int) -> str:
    at = f"line {line}" if source.format is Format.NDJSON else f"element {number}"
    return f"{source.path}, {at}"


def _check_options(source: SourceFile) -> None:
    """Refuse options that do not apply to JSON."""
    given = source.options
    for name in ("delimiter", "quote", "escape", "null"):
        if getattr(given, name) is not None:
            raise errors.BadConfiguration(
                f'option {name} of table "{source.table}" does not apply to JSON',
                hint=f"Remove `{name}` from `[tables.{source.table}]`.",
            )
    if given.encoding is not None and encodings.codec(given.encoding) != "utf-8":
        raise errors.BadConfiguration(
            f'option encoding of table "{source.table}" is {given.encoding}, but JSON is UTF-8',
            hint=f"Convert the file to UTF-8 and remove `encoding` from `[tables.{source.table}]`.",
        )
