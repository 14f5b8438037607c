"""Create a release's schema and empty tables: a clone of live, the project's own DDL, or tables inferred from files.

The clone and the project's DDL may qualify names with the live schema's. Instead of rewriting SQL, one transaction
renames live away, runs the SQL unmodified under the live name, and gives both schemas their names again
(docs/how-it-works.md). No other session sees any of this.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from bluegreen_etl import catalog, config, db, errors, model, names, queries, search_path
from bluegreen_etl.shadow import dump, outside_keys, sql_scripts

# Errors of an entry of live's dump whose object the project's DDL lacks, or creates as another kind.
_ABSENT_SQLSTATES = frozenset({"42P01", "42809", "42883", "42703", "42704", "3F000", "0LP01"})
DUMP_SETTINGS = (
    "SET LOCAL check_function_bodies = false; SET LOCAL search_path = ''; SET LOCAL row_security = off; "
    "SET LOCAL standard_conforming_strings = on; SET LOCAL xmloption = content;"
)


def clone(connection: db.Connection, release: model.Release, settings: config.Settings) -> None:
    """Create the release's schema as a copy of live's definition, without the keys to outside tables.

    See outside_keys, which adds them.
    """
    entries, _ = outside_keys.split(dump.read(connection, release.live_schema, settings), release.live_schema)
    with _under_live_name(connection, release, create=False):
        db.run_script(connection, DUMP_SETTINGS)
        for entry in entries:
            db.run_script(connection, entry.sql)
            if entry.type == "SCHEMA":
                _grant_as_initdb(connection, release.live_schema)


def restore(
    connection: db.Connection, release: model.Release, schema: str, entries: Sequence[dump.Entry]
) -> list[dump.Entry]:
    """Create the release's schema from the entries of a dump, in which it was called `schema`.

    If there is a live schema, the release will get its privileges.

    Returns:
        The keys to outside tables, to be added after the rows.

    Raises:
        Refused: an object that the dump needs does not exist.
    """
    shadow = release.shadow_schema
    entries, outside = outside_keys.split(dump.granted_by_owner(connection, entries), schema)
    outside_keys.refuse_missing(connection, outside)
    with parked(connection, release, schema):
        db.run_script(connection, DUMP_SETTINGS)
        for entry in entries:
            if release.base_oid is None or not entry.type.endswith("ACL"):
                _restore_entry(connection, entry)
        _refuse_ties(connection, release, catalog.require_schema_oid(connection, schema))
        if schema != shadow:
            rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
            connection.execute(rename.format(sql.Identifier(schema), sql.Identifier(shadow)))
    return [entry.on_table_in(shadow) for entry in outside]


def _restore_entry(connection: db.Connection, entry: dump.Entry) -> None:
    try:
        db.run_script(connection, entry.sql)
    except psycopg.errors.ProgrammingError as error:
        raise errors.Refused(
            f"{entry.type.lower()} {entry.name} of the backup cannot be created: {error.diag.message_primary}",
            hint="Create first what the backup needs outside its schema: roles, extensions, tables, functions.",
        ) from error


def run_ddl(
    connection: db.Connection, release: model.Release, files: Sequence[Path], settings: config.Settings
) -> None:
    """Create the release's schema by the project's DDL, with the privileges of live's objects.

    Raises:
        BadSource: a file cannot be read.
        Refused: a statement fails; names file and line.
    """
    with (
        _with_privileges_of_live(connection, release, settings),
        sql_scripts.leaving_others_alone(connection, release.live_schema),
    ):
        for file in files:
            sql_scripts.run(connection, file)


def create_tables(
    connection: db.Connection,
    release: model.Release,
    tables: Mapping[str, Sequence[model.Column]],
    settings: config.Settings,
) -> None:
    """Create the release's schema with plain tables of these columns and the privileges of live's objects."""
    with _with_privileges_of_live(connection, release, settings):
        for name, columns in tables.items():
            _create_table(connection, sql.Identifier(release.live_schema, name), columns)


def add_tables(connection: db.Connection, release: model.Release, tables: Mapping[str, Sequence[model.Column]]) -> None:
    """Create further tables in the release's schema, which are dropped before it is ready."""
    for name, columns in tables.items():
        _create_table(connection, sql.Identifier(release.shadow_schema, name), columns)


def _create_table(connection: db.Connection, place: sql.Identifier, columns: Sequence[model.Column]) -> None:
    # A type is SQL text of the user or of infer(); the server checks it like any DDL.
    parts = [sql.SQL("{} " + column.type).format(sql.Identifier(column.name)) for column in columns]
    connection.execute(sql.SQL("CREATE TABLE {} ({})").format(place, sql.SQL(", ").join(parts)))


@contextmanager
def _with_privileges_of_live(
    connection: db.Connection, release: model.Release, settings: config.Settings
) -> Iterator[None]:
    """Run the body in a new schema of the live name; its objects then get the owners and privileges of live's."""
    found = dump.read(connection, release.live_schema, settings) if release.base_oid is not None else []
    with _under_live_name(connection, release, create=True):
        yield
        _give_privileges(connection, release, found)


def _give_privileges(connection: db.Connection, release: model.Release, entries: Sequence[dump.Entry]) -> None:
    """Give objects the owners and privileges of live's objects of the same name; `entries` is the dump of live."""
    privileges = [entry for entry in entries if entry.type.endswith("ACL")]
    for entry in privileges:
        if dump.is_of_schema(entry.type, entry.name):  # an owner needs these rights
            run_where_present(connection, entry)
    for statement in catalog.owner_statements(connection, release.live_schema, like=release.base_oid):
        connection.execute(sql.SQL(statement))
    for entry in privileges:
        run_where_present(connection, entry)


def carry_privileges(connection: db.Connection, release: model.Release, settings: config.Settings) -> None:
    """Give all objects of the release the owners and privileges of live's objects.

    Raises:
        Refused: an object outside depends on the release.
    """
    if release.base_oid is None:
        _refuse_ties(connection, release, release.oid)
        return
    found = dump.read(connection, release.live_schema, settings)
    rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
    with parked(connection, release, release.live_schema):
        connection.execute(rename.format(sql.Identifier(release.shadow_schema), sql.Identifier(release.live_schema)))
        _give_privileges(connection, release, found)
        _refuse_ties(connection, release, release.oid)
        connection.execute(rename.format(sql.Identifier(release.live_schema), sql.Identifier(release.shadow_schema)))


@contextmanager
def _under_live_name(connection: db.Connection, release: model.Release, *, create: bool) -> Iterator[None]:
    """Run the body in one transaction in which the new schema has the live name."""
    live = sql.Identifier(release.live_schema)
    with parked(connection, release, release.live_schema):
        if create:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(live))
            _grant_as_initdb(connection, release.live_schema)
            search_path.put_first(connection, release.live_schema)
        yield
        oid = catalog.schema_oid(connection, release.live_schema)
        if oid is None:
            raise errors.BadScript(
                f"the DDL leaves no schema {names.quoted(release.live_schema)} behind",
                hint="Leave DROP SCHEMA and RENAME out; the schema exists and is empty when the DDL runs.",
            )
        _refuse_ties(connection, release, oid)
        connection.execute(sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(live, sql.Identifier(release.shadow_schema)))


@contextmanager
def parked(connection: db.Connection, release: model.Release, schema: str) -> Iterator[None]:
    """Run the body in one transaction in which no schema has the name `schema`."""
    rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
    with connection.transaction():
        connection.execute("SET LOCAL lock_timeout = '500ms'")
        db.bound_idle_transaction(connection)
        connection.execute(queries.get("cutover.renaming", schema=sql.Literal(release.live_schema)))
        if catalog.schema_oid(connection, release.live_schema) != release.base_oid:
            raise errors.LiveChanged(f"{release.live_schema} was replaced while the load ran", hint="Load again.")
        oid = catalog.schema_oid(connection, schema)
        parked = sql.Identifier(f"bluegreen__parked_{oid}")
        if oid is not None:
            connection.execute(rename.format(sql.Identifier(schema), parked))
        yield
        if oid is not None:
            connection.execute(rename.format(parked, sql.Identifier(schema)))


def _refuse_ties(connection: db.Connection, release: model.Release, oid: int) -> None:
    """Refuse what would show the release to readers outside before it is live, or twice."""
    live = [release.base_oid] if release.base_oid is not None else []
    parents = [pair for schema in (*live, oid) for pair in catalog.outside_parents(connection, schema)]
    if parents:
        child, parent = parents[0]
        raise errors.NotReplaceable(
            f"table {child} of {release.live_schema} inherits from {parent} or is a partition of it: the rows "
            "of every release would be seen there",
            hint="Detach it (NO INHERIT, DETACH PARTITION), or move its parent into the schema.",
        )
    refuse_foreign_partitions(connection, release.live_schema, oid)
    refuse_dependents(connection, release, oid)


def refuse_foreign_partitions(connection: db.Connection, live_schema: str, oid: int) -> None:
    """Refuse tables with partitions on another server: a release would write there, where live has its rows too.

    Args:
        oid: live, or a release of it.

    Raises:
        NotReplaceable: there is one; names it.
    """
    for table, partition in catalog.foreign_partitions(connection, oid):
        raise errors.NotReplaceable(
            f"partition {partition} of table {table} of {live_schema} is a foreign table: the rows of a release would "
            "replace those of live on the other server",
            hint=f"Detach it: `ALTER TABLE {names.quoted(live_schema, table)} DETACH PARTITION "
            f"{names.quoted(live_schema, partition)};`, or make it a plain table.",
        )


def refuse_dependents(connection: db.Connection, release: model.Release, oid: int) -> None:
    """Refuse a release that an object outside depends on.

    Raises:
        BadScript: names the objects.
    """
    dependents = catalog.outside_dependents(connection, oid)
    if dependents:
        raise errors.BadScript(
            f"an object outside {release.live_schema} depends on the release: {catalog.listed(dependents)}",
            hint="Leave it out of the DDL or the program, and create it once, on live: every promote re-creates it.",
        )


def _grant_as_initdb(connection: db.Connection, schema: str) -> None:
    """Grant on a new schema `public` what initdb grants: pg_dump writes only the difference."""
    if schema == "public":
        connection.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")


def run_where_present(connection: db.Connection, entry: dump.Entry) -> None:
    """Create an entry of live's dump in a release, unless its object does not exist or is of another kind."""
    try:
        with connection.transaction():
            db.run_script(connection, entry.sql)
    except psycopg.Error as error:
        if error.sqlstate not in _ABSENT_SQLSTATES:
            raise
