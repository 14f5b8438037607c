"""Defer: re-create a shadow without indexes and constraints, which are built after COPY."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
from psycopg import sql

from bluegreen_etl import catalog, config, db, model
from bluegreen_etl.shadow import dump, outside_keys, privileges_of_live, structure

# These may need an index, as a view that groups by a key does, and pg_dump then writes them after it.
_NEEDING = frozenset({"VIEW", "MATERIALIZED VIEW", "FUNCTION", "PROCEDURE", "AGGREGATE", "RULE"})


def defer_indexes(
    server: db.Server,
    connection: db.Connection,
    release: model.Release,
    settings: config.Settings,
    *,
    recorded: Callable[[Callable[[], None]], None],
) -> list[dump.Entry]:
    """Re-create the shadow without indexes and constraints; return the deferred entries.

    Call it outside of a transaction: what locks tables of others has one of its own. `recorded` runs what re-creates
    the schema in one transaction with the ledger's record of its OID.

    Raises:
        BadScript: an object outside depends on the release.
    """
    entries = dump.read(connection, release.shadow_schema, settings)
    missing = outside_keys.read_from_live(connection, release, settings)
    if not any(entry.after_copy for entry in entries):
        return missing
    oid = catalog.require_schema_oid(connection, release.shadow_schema)
    tables = catalog.tables_built_on(connection, oid)
    outside_keys.drop(connection, release)
    recorded(lambda: _recreate(server, connection, release, entries))
    return [*_by_table([entry for entry in entries if entry.after_copy], tables), *missing]


def _recreate(
    server: db.Server, connection: db.Connection, release: model.Release, entries: Sequence[dump.Entry]
) -> None:
    """Drop the shadow and create it again with what COPY needs."""
    oid = catalog.require_schema_oid(connection, release.shadow_schema)
    with server.connect(release.purpose, db.BRIEFLY) as other:
        db.bound_idle_transaction(connection)
        connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(release.shadow_schema)))
        before = "".join(entry.sql for entry in entries if not entry.after_copy)
        db.run_script(connection, structure.DUMP_SETTINGS + before)
        # An object that was created on the shadow since the dump would be lost. Another connection still sees it.
        structure.refuse_dependents(other, release, oid)
    # Rows will be in the tables for a while before the rest is created.
    privileges_of_live.give(
        connection,
        msgspec.structs.replace(release, schema_oid=catalog.require_schema_oid(connection, release.shadow_schema)),
    )


def _by_table(entries: Sequence[dump.Entry], tables: Mapping[tuple[str, str], str]) -> Iterator[dump.Entry]:
    """Name the table of indexes and constraints that need nothing but their table."""
    needing = False
    for entry in entries:
        # An index may in turn need what needs an index.
        needing = needing or entry.type in _NEEDING
        table = None if needing else tables.get((entry.type.removeprefix("CHECK "), entry.name))
        yield msgspec.structs.replace(entry, table=table)
