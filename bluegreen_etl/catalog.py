"""Reads PostgreSQL's catalogs: what schemas hold. SQL only, no policy, writes nothing."""

import msgspec

from bluegreen_etl import db, model, queries
from bluegreen_etl.model import Table


class Relation(model.Record, frozen=True, kw_only=True):
    """Something a reader can select from, and so something the cut-over has to lock; `kind` is pg_class.relkind."""

    oid: int
    schema: str
    name: str
    kind: str
    owner: str


class Sequence(model.Record, frozen=True, kw_only=True):
    """A sequence with the column that it feeds, if any."""

    name: str
    table: str | None
    column: str | None
    ascending: bool


class Dependent(model.Record, frozen=True, kw_only=True):
    """An outside object, and the object inside the schema that it depends on.

    `catalog` and `oid` are the outside object's pg_depend.classid, by name, and objid.
    """

    catalog: str
    oid: int
    type: str
    identity: str
    on_type: str
    on_identity: str


def schema_oid(connection: db.Connection, schema: str) -> int | None:
    """Return the OID of the schema of this name; None when there is none."""
    row = connection.execute(queries.get("schema_oid"), {"schema": schema}).fetchone()
    return row[0] if row else None


def schema_name(connection: db.Connection, oid: int) -> str | None:
    """Return what the schema with this OID is called now; None when it is gone."""
    row = connection.execute(queries.get("schema_name"), {"oid": oid}).fetchone()
    return row[0] if row else None


def tables(connection: db.Connection, oid: int) -> list[Table]:
    """Return the tables of a schema by name, partitions left to their parents."""
    rows = connection.execute(queries.get("tables"), {"oid": oid}).fetchall()
    return [
        Table(
            name=name,
            partitioned=partitioned,
            rows=count,
            columns=msgspec.convert(columns, tuple[model.Column, ...]),
        )
        for name, partitioned, count, columns in rows
    ]


def relations(connection: db.Connection, oid: int) -> list[Relation]:
    """Return everything in a schema that can be read, views before tables, in the order of their names."""
    rows = connection.execute(queries.get("relations"), {"oid": oid}).fetchall()
    return [Relation(oid=row[0], schema=row[1], name=row[2], kind=row[3], owner=row[4]) for row in rows]


def sequences(connection: db.Connection, oid: int) -> list[Sequence]:
    """Return the sequences of a schema."""
    rows = connection.execute(queries.get("sequences"), {"oid": oid}).fetchall()
    return [Sequence(name=row[0], table=row[1], column=row[2], ascending=row[3]) for row in rows]


def materialized_views(connection: db.Connection, oid: int) -> list[str]:
    """Return the materialized views of a schema, each after those that it can read from."""
    return [row[0] for row in connection.execute(queries.get("materialized_views"), {"oid": oid})]


def extensions(connection: db.Connection, oid: int) -> list[str]:
    """Return the extensions that are installed in a schema."""
    return [row[0] for row in connection.execute(queries.get("extensions_in_schema"), {"oid": oid})]


def may_create_schema(connection: db.Connection) -> bool:
    """Say whether the role may create schemas in this database."""
    row = connection.execute(queries.get("may_create_schema")).fetchone()
    return bool(row and row[0])


def owns_schema(connection: db.Connection, oid: int) -> bool:
    """Say whether the role has the rights of the schema's owner, without which it cannot be renamed."""
    row = connection.execute(queries.get("owns_schema"), {"oid": oid}).fetchone()
    return bool(row and row[0])


def outside_dependents(connection: db.Connection, oid: int) -> list[Dependent]:
    """Return what hangs on the objects of a schema from outside of it."""
    rows = connection.execute(queries.get("outside_dependents"), {"oid": oid}).fetchall()
    return [Dependent(**dict(zip(Dependent.__struct_fields__, row, strict=True))) for row in rows]
