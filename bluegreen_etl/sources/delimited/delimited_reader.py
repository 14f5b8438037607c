"""Read CSV and TSV as blocks of the file's own bytes, split between records; COPY parses them."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from bluegreen_etl import errors
from bluegreen_etl.model import Block, Column, CopyOptions, FileRecord, SourceFile
from bluegreen_etl.sources import column_mapping, decompress
from bluegreen_etl.sources.delimited import dialect, header, projection
from bluegreen_etl.workers import SHARED_SIZE, Workers

BLOCK_SIZE = 1 << 18


class DelimitedReader:
    """A delimited file opened for COPY; implements model.FileReader."""

    unit = "line"

    def __init__(
        self, source: SourceFile, columns: Sequence[Column], *, block_size: int | None = None, tolerant: bool = False
    ) -> None:
        """Read the header.

        Args:
            source: the file.
            columns: the table's columns; all columns of the file must be among them.
            block_size: the approximate number of bytes per block.
            tolerant: a record that cannot be projected marks its block as broken instead of raising.

        Raises:
            BadSource: the file cannot be read, or its header does not fit the table.
            UsageError: COPY does not accept the options.
        """
        self._source = source
        self._dialect = dialect.dialect_of(source)
        self._size = block_size or BLOCK_SIZE
        self._tolerant = tolerant
        self._before = decompress.fingerprint(source)
        self._digest: decompress.Digest | None = None
        with decompress.open_stream(source, self._before) as stream:
            opening = self._open(stream)
        self._eol = opening.eol
        fillable = tuple(column.name for column in columns if not column.generated)
        generated = [column.name for column in columns if column.generated]
        names = header.column_names(source, self._dialect, opening)
        mapping = column_mapping.mapping_of(source)
        held = fillable if names is None else tuple(mapping.names(names))
        kept = tuple(not mapping.is_ignored(name, fillable) for name in held)
        self._columns = tuple(itertools.compress(held, kept))
        self._projection = None if all(kept) else projection.projection_of(self._dialect, kept)
        where = f"{source.path}, line 1" if source.options.header else source.path
        header.refuse_unknown(self._columns, fillable, generated, where)
        self._refuse_options(mapping)

    @property
    def columns(self) -> tuple[str, ...]:
        """The file's columns, in the file's order."""
        return self._columns

    @property
    def copy_options(self) -> CopyOptions:
        """The options with which COPY reads the file."""
        return self._dialect.copy_options

    @property
    def sha256(self) -> str:
        """The digest of the file on disk; blocks() must be exhausted."""
        return decompress.finished_digest(self._digest).sha256

    @property
    def size(self) -> int:
        """The number of bytes on disk; blocks() must be exhausted."""
        return decompress.finished_digest(self._digest).size

    def blocks(self, workers: Workers | None = None) -> Iterator[Block]:
        """Yield the records of the file without the header; `workers` remove ignored columns, if any.

        Raises:
            BadSource: the file is damaged, or changed since the header was read.
            BadRow: a record is longer than PostgreSQL accepts, or has another number of fields than the header
                (checked only to remove columns, unless `tolerant`).
        """
        blocks = self._whole_blocks()
        yield from self._projected(blocks, self._projection, workers) if self._projection else blocks

    def locate(self, block_number: int, block_first: int, line: int) -> str:
        """Return the line of the file for the server's `line` of a block; may read the file again up to that line."""
        if self._eol != b"\r\n" and self._projection is None:
            return f"line {block_first + line - 1}"
        try:
            data = next((block.data for block in self._whole_blocks() if block.number == block_number), b"")
        except errors.BluegreenError:  # the file may have been removed meanwhile
            return f"line {block_first + line - 1} or after it"
        return f"line {block_first + data.count(self._feed, 0, self._position(data, line))}"

    def records(self, block: Block) -> list[FileRecord]:
        """Split a block into records.

        Raises:
            BadSource: the last record has an unclosed quote.
        """
        data = block.origin if isinstance(block.origin, bytes) else block.data
        pattern = dialect.one_record(self._dialect, self._eol)
        found: list[FileRecord] = []
        position, line = 0, block.first
        while position < len(data):
            match = pattern.match(data, position)
            if match is None:
                raise header.unclosed(self._source.path, line)
            found.append(self._record(line, match[0]))
            position, line = match.end(), line + found[-1].size
        return found

    def _record(self, line: int, written: bytes) -> FileRecord:
        data, fault = written, None
        if self._projection:
            try:
                data = b"".join(record for _, record in projection.records(self._projection, written))
            except projection.WrongFieldCount:
                fault = projection.complaint(self._projection)
        text = written.decode(self._dialect.codec, "backslashreplace").rstrip("\r\n")
        return FileRecord(line, text, data, data.count(self._eol[:1]), fault, written.count(self._feed))

    def _position(self, data: bytes, line: int) -> int:
        """Return the offset of `line` in a block, as the server counts lines."""
        position = -1
        if self._projection:
            last = 0
            for position, record in projection.records(self._projection, data):  # noqa: B007 the last record if no line matches
                last += record.count(self._eol[:1])
                if line <= last:
                    break
            return position
        # An editor also counts line feeds inside values; in a CR LF file the server does not.
        for _ in range(line - 1):
            position = data.find(b"\r", position + 1)
        return position + 2

    def _projected(
        self, blocks: Iterable[Block], keep: projection.Projection, workers: Workers | None
    ) -> Iterator[Block]:
        source = f"{self._source.path}, line {{}}"
        project = projection.try_project if self._tolerant else projection.project
        calls = ((block, partial(project, keep, block.data, block.first, source)) for block in blocks)
        shared = workers and (self._source.size is None or self._source.size >= SHARED_SIZE)
        for block, data in workers.in_order(calls) if workers and shared else ((one, call()) for one, call in calls):
            lines = data.count(self._eol[:1]) if data else 0
            yield block._replace(data=data or b"", lines=lines, origin=block.data, broken=data is None)

    def _whole_blocks(self) -> Iterator[Block]:
        with decompress.open_stream(self._source, self._before) as stream:
            line = 1
            opening = self._open(stream)
            if self._source.options.header:
                line += opening.text.count(self._feed, 0, opening.first)
            for number, data in enumerate(self._pieces(stream, opening)):
                # If lines end in CR LF, the server counts the CR.
                lines = data.count(self._eol[:1])
                yield Block(number, line, lines, dialect.without_end_marker(self._dialect, data), stream.consumed)
                line += data.count(self._feed) if len(self._eol) > 1 else lines
            self._digest = stream.finish()

    def _refuse_options(self, mapping: column_mapping.ColumnMapping) -> None:
        """Refuse options that this file cannot use."""
        if self._projection and self._dialect.codec in dialect.EMBEDDING:
            raise errors.BadConfiguration(
                f'option ignore_columns of table "{self._source.table}" is not for files in '
                f"{self._dialect.copy_options.encoding}",
                hint="Convert the file to UTF-8.",
            )
        if any(len(path) > 1 for _, path in mapping.paths):
            raise errors.BadConfiguration(
                f'option sources of table "{self._source.table}" has a path into objects: {self._source.path} has none',
                hint="Use the name of a column in the file; only JSON has objects.",
            )

    @property
    def _feed(self) -> bytes:
        """The character that ends a line for an editor."""
        return self._eol[-1:]

    def _open(self, stream: decompress.Stream) -> header.Opening:
        return header.read_opening(stream, self._dialect, self._source, size=self._size)

    def _pieces(self, stream: decompress.Stream, opening: header.Opening) -> Iterator[bytes]:
        """Yield the text after the header in pieces of whole records, each with a final line end."""
        buffer = opening.text[opening.first :] if self._source.options.header else opening.text
        final = opening.final
        while True:
            end = len(buffer) if final else dialect.cut(self._dialect, buffer, self._eol)
            data = self._finished(buffer[:end])
            if data:
                yield data
            if final:
                return
            # Empty lines are held back: only at the end of the file do they mean nothing.
            buffer = buffer[min(len(data), end) :]
            if len(buffer) > self._source.options.longest_record:
                raise errors.BadRow(
                    f"{self._source.path}: a record before byte {stream.consumed} is {header.too_long(self._source)}",
                    hint=header.hint_too_long(self._source),
                )
            wanted = max(self._size, len(buffer))
            more = stream.read(wanted)
            final = len(more) < wanted
            buffer += more

    def _finished(self, records: bytes) -> bytes:
        """Return records with a final line end and without trailing empty lines.

        In a file with one column an empty line is a record.
        """
        tail = records[-2 * len(b"\r\n") :]
        text = tail.rstrip(b"\r\n")
        empty_lines = not text or len(tail) - len(text) > len(self._eol)
        if not empty_lines or len(self._columns) == 1:
            return records if not records or records.endswith(self._feed) else records + self._eol
        stripped = records.rstrip(b"\r\n")
        return stripped + self._eol if stripped else b""
