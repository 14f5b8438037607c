"""Defer: re-create a shadow without indexes and constraints, which are built after COPY."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from psycopg import sql

from bluegreen_etl import catalog, config, db, model
from bluegreen_etl.shadow import dump, structure


def defer_indexes(
    server: db.Server, connection: db.Connection, release: model.Release, settings: config.Settings
) -> list[dump.Entry]:
    """Leave only what COPY needs in the release's schema, and return the entries to be made after it.

    Raises:
        BadScript: something outside has come to depend on the release.
    """
    entries = dump.read(connection, release.shadow_schema, settings)
    if not any(entry.after_copy for entry in entries):
        return []
    oid = catalog.require_schema_oid(connection, release.shadow_schema)
    tables = catalog.tables_built_on(connection, oid)
    purpose = release.purpose
    with server.connect(purpose, db.BRIEFLY) as other, connection.transaction():
        connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(release.shadow_schema)))
        before = "".join(entry.sql for entry in entries if not entry.after_copy)
        db.run_script(connection, structure.DUMP_SETTINGS + before)
        # Who has made something on it a moment ago would lose that. For another connection nothing is dropped yet.
        structure.refuse_dependents(other, release, oid)
    return list(_by_table([entry for entry in entries if entry.after_copy], tables))


def _by_table(entries: Sequence[dump.Entry], tables: Mapping[tuple[str, str], str]) -> Iterator[dump.Entry]:
    """Tell of indexes and constraints whose table they belong to, as far as they need nothing but that table."""
    needing = False
    for entry in entries:
        # What needs an index, such as a view that groups by a key, is dumped after it; an index may need that again.
        needing = needing or entry.type in structure.NEEDING
        table = None if needing else tables.get((entry.type.removeprefix("CHECK "), entry.name))
        yield msgspec.structs.replace(entry, table=table)
