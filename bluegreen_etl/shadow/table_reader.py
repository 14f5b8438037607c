"""Read the rows of tables elsewhere for a shadow's tables, by COPY from one connection to another."""

from collections.abc import Iterator, Sequence

from psycopg import sql

from bluegreen_etl import db
from bluegreen_etl.model import Block, Compression, CopyOptions, Format, SourceFile, Table
from bluegreen_etl.shadow import copy, copy_stream
from bluegreen_etl.shadow.dealer import Opened
from bluegreen_etl.workers import Workers

_BLOCK = 256 * 1024
_HEADER = 19  # bytes before the first tuple of COPY's binary format, where there is no extension
# The binary form of these holds OIDs of types, which differ in another database or schema.
_WITH_OIDS = frozenset({"array_recv", "record_recv"})
# A value reads the same, whatever the database or the role has set.
_EXACT = {"datestyle": "ISO, DMY", "intervalstyle": "postgres", "extra_float_digits": "1"}


def work(server: db.Server, schema: str, tables: Sequence[Table], purpose: str) -> list[copy.Work]:
    """Return the work of copying a schema's tables; connections to `server` are named after the `purpose`."""
    return [
        copy.Work(table=table, files=(Opened(source=_source(table), reader=_Reader(server, schema, table, purpose)),))
        for table in tables
    ]


def _source(table: Table) -> SourceFile:
    return SourceFile(
        path=f"table {table.name}", table=table.name, format=Format.CSV, compression=Compression.NONE, size=None
    )


class _Reader:
    """The rows of a table."""

    sha256 = ""  # there is no file to compare later

    def __init__(self, server: db.Server, schema: str, table: Table, purpose: str) -> None:
        self._server = server
        self._schema = schema
        self._table = table
        self._purpose = purpose
        self.columns = [column.name for column in table.columns if not column.generated]
        self.copy_options = CopyOptions(binary=not any(column.receive in _WITH_OIDS for column in table.columns))
        self.size = 0

    def blocks(self, _workers: Workers | None = None) -> Iterator[Block]:
        """Yield the table's rows, whole tuples in every block."""
        number, first = 0, 1
        for lines, data in self._batches():
            if data:
                self.size += len(data)
                yield Block(number, first, lines, data, self.size)
                number, first = number + 1, first + lines

    def locate(self, _block_number: int, block_first: int, line: int) -> str:
        """Return the row's number for a message."""
        return f"row {block_first + line - 1}"

    def _batches(self) -> Iterator[tuple[int, bytes]]:
        """Yield rows as the server sends them, without header and trailer."""
        skip = _HEADER if self.copy_options.binary else 0
        lines, batch = 0, bytearray()
        with (
            self._server.connect(self._purpose, _EXACT) as connection,
            connection.cursor() as cursor,
            cursor.copy(self._statement()) as rows,
        ):
            for row in rows:
                batch += row[skip:]
                skip = 0
                lines += 1 if self.copy_options.binary else bytes(row).count(b"\n")
                if len(batch) >= _BLOCK:
                    yield lines, bytes(batch)
                    lines, batch = 0, bytearray()
        if self.copy_options.binary:  # the trailer, which is the last message
            del batch[-len(copy_stream.BINARY_TRAILER) :]
            lines -= 1
        yield lines, bytes(batch)

    def _statement(self) -> sql.Composed:
        place = sql.Identifier(self._schema, self._table.name)
        columns = sql.SQL(", ").join(map(sql.Identifier, self.columns))
        form = sql.SQL("FORMAT binary" if self.copy_options.binary else "FORMAT csv, ENCODING 'UTF8'")
        # COPY returns no rows of a partitioned table itself.
        what = sql.SQL("(SELECT {} FROM {})" if self._table.partitioned else "{1} ({0})").format(columns, place)
        return sql.SQL("COPY {} TO STDOUT ({})").format(what, form)
