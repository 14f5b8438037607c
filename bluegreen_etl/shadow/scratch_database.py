"""A scratch database: the release's structure under the live schema's name, for programs that write that name out.

What they leave in it is streamed into the release by COPY, from one connection to the other.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
from psycopg import sql

from bluegreen_etl import catalog, db, errors, interrupts, model, names, queries
from bluegreen_etl.model import Table
from bluegreen_etl.shadow import copy, table_reader
from bluegreen_etl.shadow.dump import Entry
from bluegreen_etl.shadow.structure import DUMP_SETTINGS


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
    row = connection.execute(queries.get("session.create_like_this_database"), {"name": name}).fetchone()
    extensions = catalog.all_extensions(connection)
    connection.execute(sql.SQL(row[0] if row else ""))
    try:
        own = server.other_database(name)
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
        raise errors.BadScript(
            f"the program has made table {', '.join(found)}, which release {release.number} lacks", hint=_HINT
        )
    return table_reader.work(scratch, release.live_schema, tables, f"run {release.live_schema} r{release.number}")


_HINT = "Make it in live first, or name the project's DDL under [structure] ddl."


def _name(connection: db.Connection, release: model.Release) -> str:
    return names.scratch_database(catalog.database_oid(connection), release.oid)


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
            raise errors.BadScript(
                f"{entry.type.lower()} {entry.name} of {release.live_schema} needs something outside of the "
                f"schema, which a scratch database does not have: {error.diag.message_primary}",
                hint="Run without --isolate database, where the whole database is there.",
            ) from error
        watcher.say(f"{entry.name} leads out of the schema: it is checked only when the rows are copied over")


def _refuse_other(release: model.Release, table: Table, found: Table | None) -> None:
    if found is None:
        raise errors.BadScript(f"the program has dropped table {table.name} of {release.live_schema}", hint=_HINT)
    here = {column.name: column.type for column in table.columns}
    there = {column.name: column.type for column in found.columns}
    if here != there:
        listed = ", ".join(sorted(name for name, _ in here.items() ^ there.items()))
        raise errors.BadScript(
            f"the program has made other columns in table {table.name} than release {release.number} has: {listed}",
            hint=_HINT,
        )
