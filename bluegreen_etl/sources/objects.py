"""JSON and NDJSON re-encoded for COPY, exactly, in pieces: the whole file is never in memory."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bluegreen_etl import errors
from bluegreen_etl.model import Block, Column, CopyOptions, Format, SourceFile
from bluegreen_etl.sources import elements, encodings, header, rows, streams, values

BLOCK_SIZE = 1 << 18
PEEK_SIZE = 1 << 20
PEEK_ROWS = 1000


class First(NamedTuple):
    """One of a file's first elements; `where` begins the message of an error about it."""

    where: str
    record: dict[str, bytes]


class _Run(NamedTuple):
    """Elements encoded together: `first` is the number of the first, `line` the one where their text begins."""

    first: int
    line: int
    text: bytes
    rows: rows.Rows


class JsonReader:
    """A JSON or NDJSON file opened for COPY; implements model.Reader."""

    def __init__(self, source: SourceFile, columns: Sequence[Column], *, block_size: int | None = None) -> None:
        """Read the first elements.

        Args:
            source: the file.
            columns: the table's columns, which all keys must be among.
            block_size: about how many bytes of text a block shall be made of.

        Raises:
            BadSource: the file cannot be read, or is not an array of objects.
            BadRow: one of the first elements does not fit the table.
            UsageError: its options are not for JSON.
        """
        self._source = source
        self._size = block_size or BLOCK_SIZE
        self._before = streams.fingerprint(source)
        self._digest: streams.Digest | None = None
        first = first_elements(source)
        generated = [column.name for column in columns if column.generated]
        fillable = {column.name: column for column in columns if not column.generated}
        if source.options.columns is not None:
            names = list(dict.fromkeys(source.options.columns))
            header.refuse_unknown(names, list(fillable), generated, f"{source.path}, option columns")
        else:
            seen = {key for element in first for key in element.record}
            # Without a default, a key that only comes later is NULL until then, as it would be anyway.
            names = [name for name, column in fillable.items() if name in seen or not column.has_default]
        taken = [fillable[name] for name in names] or list(fillable.values())
        self._columns = tuple(column.name for column in taken)
        self._encoder = rows.RowEncoder(rows.TableKeys(taken, list(fillable), generated))
        for element in first:
            self._encoder.record(element.record, element.where)

    @property
    def columns(self) -> tuple[str, ...]:
        """The table's columns that the records hold, in the table's order."""
        return self._columns

    @property
    def copy_options(self) -> CopyOptions:
        """How the records are written, whatever the file."""
        return rows.COPY_OPTIONS

    @property
    def sha256(self) -> str:
        """The digest of the file on disk; blocks() must be exhausted."""
        return streams.known(self._digest).sha256

    @property
    def size(self) -> int:
        """How many bytes the file has on disk; blocks() must be exhausted."""
        return streams.known(self._digest).size

    def blocks(self) -> Iterator[Block]:
        """Yield the file's elements as records of CSV.

        Raises:
            BadSource: the file is damaged, not one array, or changed since it was opened.
            BadRow: an element does not fit the table, or is not JSON.
        """
        with streams.opened(self._source, self._before) as stream:
            for number, run in enumerate(self._runs(stream)):
                data = run.rows.records()
                yield Block(number, run.first, data.count(b"\n"), data, stream.consumed)
            self._digest = stream.finish()

    def locate(self, block_number: int, block_first: int, line: int) -> str:
        """Say which element, or line of NDJSON, holds `line` of a block; reads the file again up to there."""
        try:
            with streams.opened(self._source, self._before) as stream:
                run = next(run for number, run in enumerate(self._runs(stream)) if number == block_number)
        except (errors.BluegreenError, StopIteration):
            return f"element {block_first} or after it"
        last = 0
        position = 0
        for position, record in enumerate(run.rows.text.splitlines()):  # noqa: B007 the last one if there is no such line
            last += 1 + values.without_escapes(record).count(b"\n")
            if line <= last:
                break
        cutter = elements.cutter(self._source)
        found = cutter.split(run.text) if self._source.format is Format.NDJSON else None
        return f"line {run.line + found[position].line}" if found else f"element {run.first + position}"

    def _runs(self, stream: streams.Stream) -> Iterator[_Run]:
        cutter = elements.cutter(self._source)
        buffer, final = begin(stream, cutter, self._source, size=self._size)
        first = line = 1
        while True:
            run, rest = self._run(cutter, buffer, first, line, final=final)
            if run.rows.number:
                yield run
            first += run.rows.number
            line += run.text.count(b"\n")
            if final or len(rest) == len(buffer):
                cutter.examine(rest, first, final=final)
            if final:
                return
            if len(rest) > header.LONGEST_RECORD:
                raise errors.BadRow(
                    f"{self._source.path}: element {first} is longer than 1 GB", hint="PostgreSQL cannot store it."
                )
            wanted = max(self._size, len(rest))
            more = stream.read(wanted)
            buffer, final = rest + more, len(more) < wanted

    def _run(self, cutter: elements.Cutter, buffer: bytes, first: int, line: int, *, final: bool) -> tuple[_Run, bytes]:
        """Encode the whole elements of a buffer; return them and the rest of it."""
        if piece := cutter.guess(buffer, final=final):
            done = self._quickly(piece.text)
            if done is None and (found := cutter.split(piece.text)) is not None:
                done = self._exactly(found, first, line)
            if done is not None:
                return _Run(first, line, piece.text, done), piece.rest
        found, rest = cutter.scan(buffer)
        text = b",".join(element.text for element in found)
        # Nothing beside a comma is an element too, a wrong one, and only the exact way sees it.
        done = self._quickly(text) if all(element.text for element in found) else None
        done = self._exactly(found, first, line) if done is None else done
        return _Run(first, line, buffer[: len(buffer) - len(rest)], done), rest

    def _quickly(self, text: bytes) -> rows.Rows | None:
        if self._source.format is Format.NDJSON:
            return self._encoder.from_lines(text)
        return self._encoder.from_array(text)

    def _exactly(self, found: Sequence[elements.Element], first: int, line: int) -> rows.Rows:
        encoded = [
            self._encoder.one(element.text, _where(self._source, first + position, line + element.line))
            for position, element in enumerate(found)
        ]
        return rows.Rows(len(encoded), b"".join(record + b"\n" for record in encoded))


def first_elements(source: SourceFile) -> list[First]:
    """Return a file's first elements, each key with its value as it is written.

    Raises:
        BadSource: the file cannot be read, or is not an array of objects.
        BadRow: one of them is not an object.
        UsageError: the options are not for JSON.
    """
    _check_options(source)
    cutter = elements.cutter(source)
    with streams.opened(source) as stream:
        buffer, final = begin(stream, cutter, source, size=PEEK_SIZE)
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
    return [_first(source, number, element) for number, element in enumerate(found[:PEEK_ROWS], start=1)]


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


def _first(source: SourceFile, number: int, element: elements.Element) -> First:
    where = _where(source, number, element.line + 1)
    record = rows.decode_object(element.text, where)
    return First(where, {key: bytes(value) for key, value in record.items()})


def _where(source: SourceFile, number: int, line: int) -> str:
    at = f"line {line}" if source.format is Format.NDJSON else f"element {number}"
    return f"{source.path}, {at}"


def _check_options(source: SourceFile) -> None:
    """Refuse options that say nothing about JSON."""
    given = source.options
    for name in ("delimiter", "quote", "escape", "null"):
        if getattr(given, name) is not None:
            raise errors.UsageError(
                f'option {name} of table "{source.table}" is not for JSON', hint=f"Remove `{name}` from the options."
            )
    if given.encoding is not None and encodings.codec(given.encoding) != "utf-8":
        raise errors.UsageError(
            f'option encoding of table "{source.table}" is {given.encoding}, but JSON is UTF-8',
            hint="Convert the file to UTF-8 and remove `encoding` from the options.",
        )
