"""SQL that re-creates, in place, objects that refer to a table by OID.

PostgreSQL stores views, parsed function bodies, triggers, policies, defaults and foreign keys with the OIDs of what
they name. The server's text of such an object, run after the names belong to other tables, re-points it to those.
"""

from collections.abc import Iterable, Sequence

import msgspec
from psycopg import sql

from bluegreen_etl import db, model, queries
from bluegreen_etl.catalog import Dependent, Relation
from bluegreen_etl.model.files import Firing, ForeignKey


class Recreation(model.Record, frozen=True, kw_only=True):
    """How an object is re-created: the relation to lock for it, if any, and the statements."""

    relation: Relation | None
    statements: tuple[str, ...]


def find(connection: db.Connection, dependents: Sequence[Dependent]) -> dict[tuple[str, int], Recreation]:
    """Return how to re-create the dependents that need one statement each, by catalog and OID; no foreign keys.

    Requires an empty search path, so that the texts qualify every name.
    """
    values = {"catalogs": [f"pg_catalog.{d.catalog}" for d in dependents], "oids": [d.oid for d in dependents]}
    # With another argument or result type, CREATE OR REPLACE would create another function or fail.
    typed = {("pg_proc", d.oid) for d in dependents if d.on_type == "type"}
    found = {}
    for catalog, oid, relation, schema, name, kind, owner, statements in connection.execute(
        queries.get("cutover.dependents_in_place"), values
    ):
        place = relation and Relation(oid=relation, schema=schema, name=name, kind=kind, owner=owner)
        found[catalog.removeprefix("pg_catalog."), oid] = Recreation(relation=place, statements=tuple(statements))
    return {key: recreation for key, recreation in found.items() if key not in typed}


def keys(
    connection: db.Connection,
    oids: Iterable[int] = (),
    *,
    schema: int | None = None,
    into: Iterable[int] = (),
    owed: Iterable[tuple[str, ForeignKey]] = (),
) -> dict[int, tuple[Relation, ForeignKey]]:
    """Return foreign keys with their tables, by OID: the keys among `oids`, or those of a schema `into` tables.

    A key whose validation is still `owed` counts as validated; `owed` has the present name of each schema.
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
    """Return the statements that re-create a foreign key without validating it."""
    table, name = _place(schema, key), sql.Identifier(key.name).as_string()
    not_valid = "" if key.definition.endswith((" NOT VALID", " NOT ENFORCED")) else " NOT VALID"
    statements = [f"ALTER TABLE {table} ADD CONSTRAINT {name} {key.definition}{not_valid}"]
    if key.comment is not None:
        comment = sql.Literal(key.comment).as_string()
        statements.append(f"COMMENT ON CONSTRAINT {name} ON {table} IS {comment}")
    statements += [_set_firing(table, key, firing) for firing in key.firing or ()]
    return statements


def _set_firing(table: str, key: ForeignKey, firing: Firing) -> str:
    # A re-created key has triggers of other names, which only a superuser may change.
    body = queries.get(
        "cutover.set_firing",
        table=sql.Literal(table),
        name=sql.Literal(key.name),
        type=sql.Literal(firing.type),
        on_parent=sql.Literal(firing.on_parent),
        state=sql.Literal(firing.state),
    )
    return f"DO {sql.Literal(body.as_string()).as_string()}"


def validate(schema: str, key: ForeignKey) -> str:
    """Return the statement that validates a foreign key; it blocks neither readers nor writers."""
    return f"ALTER TABLE {_place(schema, key)} VALIDATE CONSTRAINT {sql.Identifier(key.name).as_string()}"


class Sides(model.Record, frozen=True):
    """The schemas of a foreign key's tables, and whether the parent is partitioned."""

    child: str
    parent: str
    partitioned: bool


def count_orphans(key: ForeignKey, sides: Sides) -> sql.Composed:
    """Return the statement that counts the orphans of a foreign key."""
    return queries.get("cutover.count_orphans", **_orphan_places(key, sides))


def delete_orphans(key: ForeignKey, sides: Sides) -> sql.Composed:
    """Return the statement that deletes the orphans."""
    return queries.get("cutover.delete_orphans", **_orphan_places(key, sides))


def null_orphans(key: ForeignKey, sides: Sides) -> sql.Composed:
    """Return the statement that sets the key columns of the orphans to null."""
    nulls = sql.SQL(", ").join(sql.SQL("{} = NULL").format(sql.Identifier(own)) for own in key.columns)
    return queries.get("cutover.null_orphans", nulls=nulls, **_orphan_places(key, sides))


def _orphan_places(key: ForeignKey, sides: Sides) -> dict[str, sql.Composable]:
    given = [sql.SQL("{} IS NOT NULL").format(sql.Identifier("o", own)) for own in key.columns]
    return {
        "child": sql.Identifier(sides.child, key.table),
        "all_given": sql.SQL(" AND ").join(given),
        "referred": _referred(key, sides),
    }


def _referred(key: ForeignKey, sides: Sides) -> sql.Composed:
    """Return the condition of a row `o` with a parent, as the server's own check of the key has it."""
    operators = key.operators or ("=",) * len(key.columns)
    equal = [
        sql.SQL("{} {} {}").format(sql.Identifier("i", other), sql.SQL(operator), sql.Identifier("o", own))
        for own, operator, other in zip(key.columns, operators, key.parent_columns, strict=True)
    ]
    places = {
        # A row of a table that inherits from the parent does not count, a partition's does.
        "parent": sql.SQL("" if sides.partitioned else "ONLY ") + sql.Identifier(sides.parent, key.parent),
        "equal": sql.SQL(" AND ").join(equal),
    }
    if not key.period:
        return sql.SQL("EXISTS (SELECT FROM {parent} AS i WHERE {equal})").format(**places)
    return sql.SQL(
        "coalesce({own} OPERATOR(pg_catalog.<@) "
        "(SELECT pg_catalog.range_agg({other}) FROM {parent} AS i WHERE {equal}), false)"
    ).format(own=sql.Identifier("o", key.columns[-1]), other=sql.Identifier("i", key.parent_columns[-1]), **places)


def _place(schema: str, key: ForeignKey) -> str:
    return sql.Identifier(schema, key.table).as_string()
