"""Copy comments, policies, row-level security and security labels from live that the project's DDL does not define.

Owners and privileges always come from live (bluegreen_etl/shadow/structure.py). Here the DDL wins; what it does not
define stays as an administrator has made it.
"""

from psycopg import sql

from bluegreen_etl import catalog, config, db, model
from bluegreen_etl.shadow import dump, structure

_TYPES = frozenset({"COMMENT", "POLICY", "SECURITY LABEL"})  # in pg_dump's words


def carry(connection: db.Connection, release: model.Release, settings: config.Settings) -> None:
    """Copy to objects of the release what live defines for objects of the same name and the release does not.

    Raises:
        Conflict: live was replaced in the meantime.
    """
    if release.base_oid is None or not catalog.says_more(connection, release.base_oid):
        return
    live, shadow = sql.Identifier(release.live_schema), sql.Identifier(release.shadow_schema)
    # An entry is named after its object, whose arguments may be of types of the schema.
    own = dump.read(connection, release.shadow_schema, settings)
    defined = {(entry.type, entry.name.replace(release.shadow_schema, release.live_schema)) for entry in own}
    found = [
        entry
        for entry in dump.read(connection, release.live_schema, settings)
        if entry.type in _TYPES and (entry.type, entry.name) not in defined
    ]
    rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
    with structure.parked(connection, release, release.live_schema):
        connection.execute(rename.format(shadow, live))
        connection.execute("SET LOCAL search_path = ''")
        for entry in found:
            structure.run_where_present(connection, entry)
        for statement in catalog.securing_statements(connection, release.live_schema, like=release.base_oid):
            connection.execute(sql.SQL(statement))
        connection.execute(rename.format(live, shadow))
