"""A scratch database: the release's structure under the live schema's name, for programs that qualify names with it.

Its rows are then copied into the release, from one connection to the other.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import scalar_row

from bluegreen_etl import catalog, db, errors, interrupts, model, names, queries
from bluegreen_etl.model import Table
from bluegreen_etl.shadow import copy, table_reader
from bluegreen_etl.shadow.dump import FOREIGN_KEY, Entry
from bluegreen_etl.shadow.structure import DUMP_SETTINGS


@contextmanager
def database(
    server: db.Server,
    connection: db.Connection,
    release: model.Release,
    entries: Sequence[Entry],
    watcher: model.Watcher,
) -> Iterator[db.Server]:
    """Create the scratch database with a release's structure, and drop it when the body ends.

    Raises:
        Refused: the structure depends on the rest of the database.
    """
    structure = _Structure(release, entries, catalog.all_extensions(connection))
    with create(server, connection, _name(connection, release), watcher.say) as own:
        with own.connect(f"run {release.live_schema} r{release.number}") as scratch:
            _create_structure(scratch, structure, watcher)
        yield own


@contextmanager
def create(
    server: db.Server, connection: db.Connection, name: str, say: Callable[[str], None] = lambda _text: None
) -> Iterator[db.Server]:
    """Create an empty database like this one, and drop it when the body ends."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        statement = cursor.execute(queries.get("session.create_like_this_database"), {"name": name}).fetchone()
    connection.execute(sql.SQL(str(statement)))
    try:
        yield server.other_database(name)
    finally:
        with interrupts.deferred():
            try:
                # A new connection: an interrupt may have left the first one in the middle of a statement.
                with server.connect(f"drop {name}") as last:
                    _drop_database(last, name)
            except errors.BluegreenError as error:
                say(f"database {name} was not dropped: {error.message}")


def create_extensions(connection: db.Connection, extensions: Sequence[tuple[str, str]], schema: str) -> None:
    """Create extensions, each in its schema, in a new database without the schema `schema`."""
    if schema == "public":
        connection.execute("DROP SCHEMA public")
    for extension, own in extensions:
        places = {"schema": sql.Identifier(own), "extension": sql.Identifier(extension)}
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {schema}").format(**places))
        connection.execute(sql.SQL("CREATE EXTENSION IF NOT EXISTS {extension} SCHEMA {schema}").format(**places))


def drop(connection: db.Connection, release: model.Release) -> None:
    """Drop the scratch database of a release if it exists, and end the sessions in it."""
    if release.schema_oid is not None:
        _drop_database(connection, _name(connection, release))


def _drop_database(connection: db.Connection, name: str) -> None:
    if catalog.database_exists(connection, name):
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def work(scratch: db.Server, release: model.Release, tables: Sequence[Table]) -> list[copy.Work]:
    """Return the work of copying its rows into the release's tables.

    Raises:
        Refused: the program has created or dropped tables or columns.
    """
    with scratch.connect(f"run {release.live_schema} r{release.number}") as connection:
        oid = catalog.schema_oid(connection, release.live_schema)
        found = {table.name: table for table in catalog.tables(connection, oid)} if oid else {}
    for table in tables:
        _refuse_other(release, table, found.pop(table.name, None))
    if found:
        raise errors.BadScript(
            f"the program has created table {', '.join(found)}, which release {release.number} lacks", hint=_HINT
        )
    return table_reader.work(scratch, release.live_schema, tables, f"run {release.live_schema} r{release.number}")


_HINT = "Change live first, or name the project's DDL under `[structure] ddl`."


def _name(connection: db.Connection, release: model.Release) -> str:
    return names.scratch_database(catalog.database_oid(connection), release.oid)


class _Structure(NamedTuple):
    """What a scratch database is created from; an extension comes with its schema."""

    release: model.Release
    entries: Sequence[Entry]
    extensions: Sequence[tuple[str, str]]


def _create_structure(connection: db.Connection, structure: _Structure, watcher: model.Watcher) -> None:
    release = structure.release
    create_extensions(connection, structure.extensions, release.live_schema)
    with connection.transaction():
        db.run_script(connection, DUMP_SETTINGS)
        for entry in structure.entries:
            _create_entry(connection, release, entry, watcher)
        rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
        connection.execute(rename.format(sql.Identifier(release.shadow_schema), sql.Identifier(release.live_schema)))


def _create_entry(connection: db.Connection, release: model.Release, entry: Entry, watcher: model.Watcher) -> None:
    try:
        with connection.transaction():
            db.run_script(connection, entry.sql)
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
        if entry.type != FOREIGN_KEY:
            raise errors.BadScript(
                f"{entry.type.lower()} {entry.name} of {release.live_schema} depends on an object outside the "
                f"schema, which a scratch database lacks: {error.diag.message_primary}",
                hint="Run without `--isolate database`, in the database itself.",
            ) from error
        watcher.say(f"{entry.name} refers to a table outside the schema: checked when the rows are copied over")


def _refuse_other(release: model.Release, table: Table, found: Table | None) -> None:
    if found is None:
        raise errors.BadScript(f"the program has dropped table {table.name} of {release.live_schema}", hint=_HINT)
    here = {column.name: column.type for column in table.columns}
    there = {column.name: column.type for column in found.columns}
    if here != there:
        listed = ", ".join(sorted(name for name, _ in here.items() ^ there.items()))
        raise errors.BadScript(
            f"the program has changed columns of table {table.name} of release {release.number}: {listed}",
            hint=_HINT,
        )
