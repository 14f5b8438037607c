"""SQL that makes again, in its place, what is bound to a table by its OID instead of its name.

PostgreSQL binds views, parsed function bodies, triggers, policies, defaults and foreign keys to the OIDs of what they
name. The text that the server gives of each, run when the names belong to other tables, binds it to those.
"""

from collections.abc import Iterable, Sequence

import msgspec
from psycopg import sql

from bluegreen_etl import db, model, queries
from bluegreen_etl.catalog import Dependent, Relation
from bluegreen_etl.model import ForeignKey


class Recreation(model.Record, frozen=True, kw_only=True):
    """An object that can be made again: the relation that has to be locked for it, if any, and the statements."""

    relation: Relation | None
    statements: tuple[str, ...]


def find(connection: db.Connection, dependents: Sequence[Dependent]) -> dict[tuple[str, int], Recreation]:
    """Return those of the dependents that one statement makes again, by catalog and OID; foreign keys are others.

    The texts name everything with its schema only where the search path is empty.
    """
    values = {"catalogs": [f"pg_catalog.{d.catalog}" for d in dependents], "oids": [d.oid for d in dependents]}
    # With another argument or result type, CREATE OR REPLACE would make another function or fail.
    typed = {("pg_proc", d.oid) for d in dependents if d.on_type == "type"}
    found = {}
    for catalog, oid, relation, schema, name, kind, owner, statements in connection.execute(
        queries.get("cutover.followers"), values
    ):
        place = relation and Relation(oid=relation, schema=schema, name=name, kind=kind, owner=owner)
        found[catalog.removeprefix("pg_catalog."), oid] = Recreation(relation=place, statements=tuple(statements))
    return {key: follower for key, follower in found.items() if key not in typed}


def keys(
    connection: db.Connection,
    oids: Iterable[int] = (),
    *,
    schema: int | None = None,
    into: Iterable[int] = (),
    owed: Iterable[tuple[str, ForeignKey]] = (),
) -> dict[int, tuple[Relation, ForeignKey]]:
    """Return foreign keys by OID, each with its table: those among `oids`, or a schema's that lead `into` tables.

    Those that are not validated only because it is `owed` still, each with its schema's name now, count as validated.
    """
    later = {(place, key.table, key.name) for place, key in owed}
    values = {"oids": list(oids), "schema": schema, "into": list(into)}
    found = {}
    for row in connection.execute(queries.get("cutover.keys"), values).fetchall():
        relation = Relation(oid=row[1], schema=row[2], name=row[3], kind=row[4], owner=row[5])
        key = msgspec.convert(row[6], ForeignKey)
        if (relation.schema, key.table, key.name) in later:
            definition = key.definition.removesuffix(" NOT VALID")
            key = msgspec.structs.replace(key, validated=True, definition=definition)
        found[row[0]] = relation, key
    return found


def drop(schema: str, key: ForeignKey) -> str:
    """Return the statement that drops a foreign key of a schema's table."""
    return f"ALTER TABLE {_place(schema, key)} DROP CONSTRAINT {sql.Identifier(key.name).as_string()}"


def add(schema: str, key: ForeignKey) -> list[str]:
    """Return the statements that make a foreign key as it was, without a look at the rows."""
    table, name = _place(schema, key), sql.Identifier(key.name).as_string()
    put_off = "" if key.definition.endswith((" NOT VALID", " NOT ENFORCED")) else " NOT VALID"
    statements = [f"ALTER TABLE {table} ADD CONSTRAINT {name} {key.definition}{put_off}"]
    if key.comment is not None:
        comment = sql.Literal(key.comment).as_string()
        statements.append(f"COMMENT ON CONSTRAINT {name} ON {table} IS {comment}")
    return statements


def validate(schema: str, key: ForeignKey) -> str:
    """Return the statement that looks at the rows, without being in anybody's way."""
    return f"ALTER TABLE {_place(schema, key)} VALIDATE CONSTRAINT {sql.Identifier(key.name).as_string()}"


def count_orphans(key: ForeignKey, child_schema: str, parent_schema: str) -> sql.Composed:
    """Return the statement that counts the rows of a key's table that refer to a row which is not there."""
    return queries.get("cutover.count_orphans", **_orphan_places(key, child_schema, parent_schema))


def delete_orphans(key: ForeignKey, child_schema: str, parent_schema: str) -> sql.Composed:
    """Return the statement that deletes such rows."""
    return queries.get("cutover.delete_orphans", **_orphan_places(key, child_schema, parent_schema))


def null_orphans(key: ForeignKey, child_schema: str, parent_schema: str) -> sql.Composed:
    """Return the statement that lets such rows refer to nothing."""
    nulls = sql.SQL(", ").join(sql.SQL("{} = NULL").format(sql.Identifier(own)) for own in key.columns)
    return queries.get("cutover.null_orphans", nulls=nulls, **_orphan_places(key, child_schema, parent_schema))


def _orphan_places(key: ForeignKey, child_schema: str, parent_schema: str) -> dict[str, sql.Composable]:
    pairs = [
        (sql.Identifier("o", own), sql.Identifier("i", other))
        for own, other in zip(key.columns, key.parent_columns, strict=True)
    ]
    return {
        "child": sql.Identifier(child_schema, key.table),
        "parent": sql.Identifier(parent_schema, key.parent),
        "all_given": sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(own) for own, _ in pairs),
        "equal": sql.SQL(" AND ").join(sql.SQL("{} = {}").format(own, other) for own, other in pairs),
    }


def _place(schema: str, key: ForeignKey) -> str:
    return sql.Identifier(schema, key.table).as_string()
