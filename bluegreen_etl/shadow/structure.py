"""Gives a release its schema and empty tables: a clone of live, the project's own DDL, or what the files look like.

The clone and the project's DDL may be full of names qualified with the live schema's. Instead of rewriting SQL, live
is renamed away for the length of one transaction, the SQL runs unmodified under the live name, and both schemas get
their names (docs/how-it-works.md). No other session sees anything of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from bluegreen_etl import catalog, config, db, errors, model, names, queries
from bluegreen_etl.shadow import dump, outside_keys, sql_scripts

# An entry of live's dump about what the project's DDL has not made, or has made as something else, is left out.
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
    entries, outside = outside_keys.split(entries, schema)
    outside_keys.refuse_missing(connection, outside)
    with parked(connection, release, schema):
        db.run_script(connection, DUMP_SETTINGS)
        for entry in entries:
            if release.base_oid is None or not entry.type.endswith("ACL"):
                _restore_entry(connection, entry)
        _refuse_ties(connection, release, catalog.schema_oid(connection, schema) or 0)
        if schema != shadow:
            rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
            connection.execute(rename.format(sql.Identifier(schema), sql.Identifier(shadow)))
    return [entry.on_table_in(shadow) for entry in outside]


def _restore_entry(connection: db.Connection, entry: dump.Entry) -> None:
    try:
        db.run_script(connection, entry.sql)
    except psycopg.errors.ProgrammingError as error:
        raise errors.Refused(
            f"{entry.type.lower()} {entry.name} of the backup cannot be made here: {error.diag.message_primary}",
            hint="Make what it needs from outside of the schema first: roles, extensions, tables, functions.",
        ) from error


def run_ddl(
    connection: db.Connection, release: model.Release, files: Sequence[Path], settings: config.Settings
) -> None:
    """Make the release's schema by the project's DDL, with the privileges that live's objects have.

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
    """Make the release's schema with plain tables of these columns, with the privileges that live's objects have."""
    with _with_privileges_of_live(connection, release, settings):
        for name, columns in tables.items():
            _create_table(connection, sql.Identifier(release.live_schema, name), columns)


def add_tables(connection: db.Connection, release: model.Release, tables: Mapping[str, Sequence[model.Column]]) -> None:
    """Make further tables in the release's schema, such as are dropped before it is ready."""
    for name, columns in tables.items():
        _create_table(connection, sql.Identifier(release.shadow_schema, name), columns)


def _create_table(connection: db.Connection, place: sql.Identifier, columns: Sequence[model.Column]) -> None:
    # A type is SQL text that the user or infer() wrote; it is checked by the server like any DDL.
    parts = [sql.SQL("{} " + column.type).format(sql.Identifier(column.name)) for column in columns]
    connection.execute(sql.SQL("CREATE TABLE {} ({})").format(place, sql.SQL(", ").join(parts)))


@contextmanager
def _with_privileges_of_live(
    connection: db.Connection, release: model.Release, settings: config.Settings
) -> Iterator[None]:
    """Run the body in a new schema of the live name; what it makes gets the owners and privileges of what is live."""
    found = dump.read(connection, release.live_schema, settings) if release.base_oid is not None else []
    with _under_live_name(connection, release, create=True):
        yield
        _give_privileges(connection, release, found)


def _give_privileges(connection: db.Connection, release: model.Release, entries: Sequence[dump.Entry]) -> None:
    """Give what bears live's names the owners and privileges of live, whose dump is `entries`."""
    privileges = [entry for entry in entries if entry.type.endswith("ACL")]
    for entry in privileges:
        if dump.is_of_schema(entry.type, entry.name):  # among them may be the right to own what is in it
            run_where_present(connection, entry)
    for statement in catalog.owner_statements(connection, release.live_schema, like=release.base_oid):
        connection.execute(sql.SQL(statement))
    for entry in privileges:
        run_where_present(connection, entry)


def carry_privileges(connection: db.Connection, release: model.Release, settings: config.Settings) -> None:
    """Give what somebody has made in the release since it was begun the owners and privileges of what is live.

    Raises:
        Refused: something outside depends on the release.
    """
    if release.base_oid is None:
        _refuse_ties(connection, release, release.schema_oid or 0)
        return
    found = dump.read(connection, release.live_schema, settings)
    rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
    with parked(connection, release, release.live_schema):
        connection.execute(rename.format(sql.Identifier(release.shadow_schema), sql.Identifier(release.live_schema)))
        _give_privileges(connection, release, found)
        _refuse_ties(connection, release, release.schema_oid or 0)
        connection.execute(rename.format(sql.Identifier(release.live_schema), sql.Identifier(release.shadow_schema)))


@contextmanager
def _under_live_name(connection: db.Connection, release: model.Release, *, create: bool) -> Iterator[None]:
    """Run the body in one transaction in which the new schema bears the live name."""
    live = sql.Identifier(release.live_schema)
    with parked(connection, release, release.live_schema):
        if create:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(live))
            _grant_as_initdb(connection, release.live_schema)
            connection.execute(
                "SELECT set_config('search_path', quote_ident(%s) || ', ' || current_setting('search_path'), true)",
                (release.live_schema,),
            )
        yield
        oid = catalog.schema_oid(connection, release.live_schema)
        if oid is None:
            raise errors.BadScript(
                f"the DDL leaves no schema {names.quoted(release.live_schema)} behind",
                hint="Leave DROP SCHEMA and RENAME out of it; the schema is there and empty when it runs.",
            )
        _refuse_ties(connection, release, oid)
        connection.execute(sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(live, sql.Identifier(release.shadow_schema)))


@contextmanager
def parked(connection: db.Connection, release: model.Release, schema: str) -> Iterator[None]:
    """Run the body in one transaction in which a name, the live one or another, is free."""
    rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
    with connection.transaction():
        connection.execute("SET LOCAL lock_timeout = '500ms'")
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
    """Refuse what would let readers outside see the release before it is live, or twice."""
    live = [release.base_oid] if release.base_oid is not None else []
    parents = [pair for schema in (*live, oid) for pair in catalog.outside_parents(connection, schema)]
    if parents:
        child, parent = parents[0]
        raise errors.NotReplaceable(
            f"table {child} of {release.live_schema} inherits from {parent} or is a partition of it, where the rows "
            "of every release would be seen",
            hint="Detach it (NO INHERIT, DETACH PARTITION), or move its parent into the schema.",
        )
    refuse_dependents(connection, release, oid)


def refuse_dependents(connection: db.Connection, release: model.Release, oid: int) -> None:
    dependents = catalog.outside_dependents(connection, oid)
    if dependents:
        raise errors.BadScript(
            f"something outside of {release.live_schema} was made that depends on the release: "
            f"{catalog.listed(dependents)}",
            hint="Leave it out of the DDL or the program, and make it once, on live: it follows every promote.",
        )


def _grant_as_initdb(connection: db.Connection, schema: str) -> None:
    """Give a new schema `public` what initdb gives it: pg_dump says only how its privileges differ from that."""
    if schema == "public":
        connection.execute("GRANT USAGE ON SCHEMA public TO PUBLIC")


def run_where_present(connection: db.Connection, entry: dump.Entry) -> None:
    """Make an entry of live's dump in a release, unless what it is about is not there, or is something else."""
    try:
        with connection.transaction():
            db.run_script(connection, entry.sql)
    except psycopg.Error as error:
        if error.sqlstate not in _ABSENT_SQLSTATES:
            raise
