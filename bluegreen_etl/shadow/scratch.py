"""A scratch database: the release's structure under the live schema's name, for programs that write that name out.

What they leave in it is streamed into the release by COPY, from one connection to the other.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
from psycopg import sql

from bluegreen_etl import catalog, db, errors, interrupts, model, names, queries
from bluegreen_etl.model import Block, Compression, CopyOptions, Format, SourceFile, Table
from bluegreen_etl.shadow import copy
from bluegreen_etl.shadow.dump import Entry
from bluegreen_etl.shadow.structure import DUMP_SETTINGS
from bluegreen_etl.workers import Workers

_BLOCK = 256 * 1024
_HEADER = 19  # bytes before the first tuple of COPY's binary format, where there is no extension
# The binary form of these holds OIDs of types, which are others in another database.
_WITH_OIDS = frozenset({"array_recv", "record_recv"})
# So that a value reads the same, whatever the database or the role has set.
_EXACT = {"datestyle": "ISO, DMY", "intervalstyle": "postgres", "extra_float_digits": "1"}


@contextmanager
def database(
    server: db.Server,
    connection: db.Connection,
    release: model.Release,
    entries: Sequence[Entry],
    watcher: model.Watcher,
) -> Iterator[db.Server]:
    """Make the scratch database with a release's structure, and drop it when the body ends.

    Raises:
        Refused: the structure cannot be made without the rest of the database.
    """
    name = _name(connection, release)
    row = connection.execute(queries.get("create_like_this_database"), {"name": name}).fetchone()
    extensions = catalog.all_extensions(connection)
    connection.execute(sql.SQL(row[0] if row else ""))
    try:
        own = server.beside(name)
        with own.connect(f"run {release.live_schema} r{release.number}") as scratch:
            _make(scratch, release, entries, extensions, watcher)
        yield own
    finally:
        with interrupts.deferred():
            try:
                # Another connection: an interrupt may have left the first one in the middle of a statement.
                with server.connect(f"run {release.live_schema} r{release.number}") as last:
                    drop(last, release)
            except errors.BluegreenError as error:
                watcher.say(f"database {name} stays for now: {error.message}")


def drop(connection: db.Connection, release: model.Release) -> None:
    """Drop the scratch database of a release, if there is one, and whoever still works in it."""
    if release.schema_oid is None:
        return
    name = _name(connection, release)
    if catalog.database_exists(connection, name):
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def work(scratch: db.Server, release: model.Release, tables: Sequence[Table]) -> list[copy.Work]:
    """Return what is to be copied into the release's tables.

    Raises:
        Refused: the program has left other tables or columns than the release has.
    """
    with scratch.connect(f"run {release.live_schema} r{release.number}") as connection:
        oid = catalog.schema_oid(connection, release.live_schema)
        found = {table.name: table for table in catalog.tables(connection, oid)} if oid else {}
    for table in tables:
        _refuse_other(release, table, found.pop(table.name, None))
    if found:
        raise errors.Refused(
            f"the program has made table {', '.join(found)}, which release {release.number} lacks", hint=_HINT
        )
    return [
        copy.Work(table=table, files=(copy.Opened(source=_source(table), reader=_Reader(scratch, release, table)),))
        for table in tables
    ]


_HINT = "Make it in live first, or name the project's DDL under [structure] ddl."


def _name(connection: db.Connection, release: model.Release) -> str:
    return names.scratch_database(catalog.database_oid(connection), release.schema_oid or 0)


def _make(
    connection: db.Connection,
    release: model.Release,
    entries: Sequence[Entry],
    extensions: Sequence[tuple[str, str]],
    watcher: model.Watcher,
) -> None:
    if release.live_schema == "public":
        connection.execute("DROP SCHEMA public")
    for extension, schema in extensions:
        places = {"schema": sql.Identifier(schema), "extension": sql.Identifier(extension)}
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {schema}").format(**places))
        connection.execute(sql.SQL("CREATE EXTENSION IF NOT EXISTS {extension} SCHEMA {schema}").format(**places))
    with connection.transaction():
        db.run_script(connection, DUMP_SETTINGS)
        for entry in entries:
            _make_entry(connection, release, entry, watcher)
        rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
        connection.execute(rename.format(sql.Identifier(release.shadow_schema), sql.Identifier(release.live_schema)))


def _make_entry(connection: db.Connection, release: model.Release, entry: Entry, watcher: model.Watcher) -> None:
    try:
        with connection.transaction():
            db.run_script(connection, entry.sql)
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
        if entry.type != "FK CONSTRAINT":
            raise errors.Refused(
                f"{entry.type.lower()} {entry.name} of {release.live_schema} needs something outside of the "
                f"schema, which a scratch database does not have: {error.diag.message_primary}",
                hint="Run without --isolate database, where the whole database is there.",
            ) from error
        watcher.say(f"{entry.name} leads out of the schema: it is checked only when the rows are copied over")


def _refuse_other(release: model.Release, table: Table, found: Table | None) -> None:
    if found is None:
        raise errors.Refused(f"the program has dropped table {table.name} of {release.live_schema}", hint=_HINT)
    here = {column.name: column.type for column in table.columns}
    there = {column.name: column.type for column in found.columns}
    if here != there:
        listed = ", ".join(sorted(name for name, _ in here.items() ^ there.items()))
        raise errors.Refused(
            f"the program has made other columns in table {table.name} than release {release.number} has: {listed}",
            hint=_HINT,
        )


def _source(table: Table) -> SourceFile:
    return SourceFile(
        path=f"table {table.name}", table=table.name, format=Format.CSV, compression=Compression.NONE, size=None
    )


class _Reader:
    """A table of the scratch database as what is copied."""

    sha256 = ""  # a table is no file that could be compared later

    def __init__(self, scratch: db.Server, release: model.Release, table: Table) -> None:
        self._scratch = scratch
        self._release = release
        self._table = table
        self.columns = [column.name for column in table.columns if not column.generated]
        self.copy_options = CopyOptions(binary=not any(column.receive in _WITH_OIDS for column in table.columns))
        self.size = 0

    def blocks(self, _workers: Workers | None = None) -> Iterator[Block]:
        """Yield the table's rows; several tuples a block, never a part of one."""
        number, first = 0, 1
        for lines, data in self._batches():
            if data:
                self.size += len(data)
                yield Block(number, first, lines, data, self.size)
                number, first = number + 1, first + lines

    def locate(self, _block_number: int, block_first: int, line: int) -> str:
        """Say which row it is."""
        return f"row {block_first + line - 1}"

    def _batches(self) -> Iterator[tuple[int, bytes]]:
        """Yield rows as the server sends them, without what comes before the first and after the last."""
        skip = _HEADER if self.copy_options.binary else 0
        lines, batch = 0, bytearray()
        purpose = f"run {self._release.live_schema} r{self._release.number}"
        with (
            self._scratch.connect(purpose, _EXACT) as connection,
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
            del batch[-len(copy.BINARY_TRAILER) :]
            lines -= 1
        yield lines, bytes(batch)

    def _statement(self) -> sql.Composed:
        place = sql.Identifier(self._release.live_schema, self._table.name)
        columns = sql.SQL(", ").join(map(sql.Identifier, self.columns))
        form = sql.SQL("FORMAT binary" if self.copy_options.binary else "FORMAT csv, ENCODING 'UTF8'")
        # A partitioned table has no rows of its own that COPY would give.
        what = sql.SQL("(SELECT {} FROM {})" if self._table.partitioned else "{1} ({0})").format(columns, place)
        return sql.SQL("COPY {} TO STDOUT ({})").format(what, form)
