"""Reads PostgreSQL's catalogs: what schemas hold. SQL only, no policy, writes nothing."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
from psycopg import sql

from bluegreen_etl import db, errors, model, names, queries
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


class Owned(NamedTuple):
    """An object and its owner: `kind` is what ALTER calls it, `identity` its name with its schema, as SQL."""

    owner: str
    kind: str
    identity: str


def schema_oid(connection: db.Connection, schema: str) -> int | None:
    """Return the OID of the schema of this name; None when there is none."""
    row = connection.execute(queries.get("catalog.schema_oid"), {"schema": schema}).fetchone()
    return row[0] if row else None


def require_schema_oid(connection: db.Connection, schema: str) -> int:
    """Return the OID of a schema that must exist.

    Raises:
        ServerFailed: the schema is gone.
    """
    oid = schema_oid(connection, schema)
    if oid is None:
        raise errors.ServerFailed(f"schema {schema} is gone: another session dropped it", hint="Load again.")
    return oid


def schema_name(connection: db.Connection, oid: int) -> str | None:
    """Return what the schema with this OID is called now; None when it is gone."""
    row = connection.execute(queries.get("catalog.schema_name"), {"oid": oid}).fetchone()
    return row[0] if row else None


def schema_names(connection: db.Connection, oids: Iterable[int]) -> dict[int, str]:
    """Return what the schemas with these OIDs are called now, without those that are gone."""
    return dict(connection.execute(queries.get("catalog.schema_names"), {"oids": list(oids)}).fetchall())


def failures_schema(connection: db.Connection, schema: str) -> int | None:
    """Return the OID of a schema of offending rows, which the tool has made; None when there is none."""
    row = connection.execute(queries.get("checks.failures_schema"), {"schema": schema}).fetchone()
    return row[0] if row else None


def tables(connection: db.Connection, oid: int) -> list[Table]:
    """Return the tables of a schema by name, partitions left to their parents."""
    rows = connection.execute(queries.get("catalog.tables"), {"oid": oid}).fetchall()
    columns = _Columns(connection, [relation for relation, *_ in rows])
    return [
        Table(name=name, partitioned=partitioned, rows=count, columns=columns.of(relation))
        for relation, name, partitioned, count in rows
    ]


class _Columns:
    """The columns of relations, those of composite types included that they are made of."""

    def __init__(self, connection: db.Connection, relations: Iterable[int]) -> None:
        self._found: dict[int, list[dict[str, Any]]] = {}
        wanted = set(relations)
        while wanted:
            rows = connection.execute(queries.get("catalog.columns"), {"relations": list(wanted)}).fetchall()
            self._found.update(rows)
            inner = {column["composite"] for _, columns in rows for column in columns if column["composite"]}
            wanted = inner - self._found.keys()

    def of(self, relation: int) -> tuple[model.Column, ...]:
        """Return the columns of one relation in order."""
        return tuple(
            msgspec.convert({**column, "fields": self.of(composite) if composite else ()}, model.Column)
            for column in self._found[relation]
            for composite in [column["composite"]]
        )


def plain_tables(connection: db.Connection, oid: int) -> dict[str, int]:
    """Return the OIDs of a schema's tables that are neither partitions nor parents or children of others, by name."""
    return dict(connection.execute(queries.get("catalog.plain_tables"), {"oid": oid}).fetchall())


def belongings(connection: db.Connection, oid: int, tables: Iterable[str]) -> list[int]:
    """Return the OIDs of a schema's tables of these names, with their indexes and the sequences that they own."""
    return [
        row[0] for row in connection.execute(queries.get("catalog.belongings"), {"oid": oid, "tables": list(tables)})
    ]


def statistics_of(connection: db.Connection, oid: int, tables: Iterable[int]) -> list[str]:
    """Return the extended statistics of these tables that lie in a schema."""
    return [
        row[0] for row in connection.execute(queries.get("catalog.statistics_of"), {"oid": oid, "tables": list(tables)})
    ]


def tables_built_on(connection: db.Connection, oid: int) -> dict[tuple[str, str], str]:
    """Return the table of each index and constraint that is on one plain table, by type and name as in pg_dump."""
    rows = connection.execute(queries.get("catalog.tables_built_on"), {"oid": oid}).fetchall()
    return {(kind, name): table for kind, name, table in rows}


class Object(model.Record, frozen=True, kw_only=True):
    """Something that a schema holds; what belongs to a table has that too."""

    kind: str
    table: str | None
    name: str

    def __str__(self) -> str:
        if self.table is None:
            return f"{self.kind} {self.name}"
        between = "." if self.kind == "column" else " "
        return f"{self.kind} {self.table}{between}{self.name}"


def objects(connection: db.Connection, oid: int) -> list[Object]:
    """Return what a schema holds, by kind and name; what is made along with something else is left out."""
    rows = connection.execute(queries.get("catalog.objects"), {"oid": oid}).fetchall()
    return [Object(kind=kind, table=table, name=name) for kind, table, name in rows]


def null_shares(connection: db.Connection, oid: int) -> dict[tuple[str, str], float]:
    """Return the share of nulls in each column of a schema's tables, by table and column, as the planner knows it."""
    rows = connection.execute(queries.get("catalog.null_shares"), {"oid": oid}).fetchall()
    return {(table, column): share for table, column, share in rows}


def row_types(connection: db.Connection, oid: int) -> dict[str, str]:
    """Return, for whatever can be read in a schema, what tells rows of one type from those of another."""
    return dict(connection.execute(queries.get("catalog.row_types"), {"oid": oid}).fetchall())


def relations(connection: db.Connection, oid: int) -> list[Relation]:
    """Return everything in a schema that can be read, views before tables, in the order of their names."""
    rows = connection.execute(queries.get("catalog.relations"), {"oid": oid}).fetchall()
    return [Relation(oid=row[0], schema=row[1], name=row[2], kind=row[3], owner=row[4]) for row in rows]


def sequences(connection: db.Connection, oid: int) -> list[Sequence]:
    """Return the sequences of a schema."""
    rows = connection.execute(queries.get("catalog.sequences"), {"oid": oid}).fetchall()
    return [Sequence(name=row[0], table=row[1], column=row[2], ascending=row[3]) for row in rows]


def materialized_views(connection: db.Connection, oid: int) -> list[str]:
    """Return the materialized views of a schema, each after those that it can read from."""
    return [row[0] for row in connection.execute(queries.get("catalog.materialized_views"), {"oid": oid})]


def extensions(connection: db.Connection, oid: int) -> list[str]:
    """Return the extensions that are installed in a schema."""
    return [row[0] for row in connection.execute(queries.get("catalog.extensions_in_schema"), {"oid": oid})]


def all_tables_publications(connection: db.Connection) -> list[str]:
    """Return the publications for all tables, where logical replication is in use in this database."""
    return [row[0] for row in connection.execute(queries.get("catalog.all_tables_publications"))]


def may_create_schema(connection: db.Connection) -> bool:
    """Say whether the role may create schemas in this database."""
    row = connection.execute(queries.get("doctor.may_create_schema")).fetchone()
    return bool(row and row[0])


def belonging_to_others(connection: db.Connection, oid: int) -> list[Owned]:
    """Return a schema and what lies in it, as far as the role does not have the rights of its owner."""
    return [Owned(*row) for row in connection.execute(queries.get("doctor.belonging_to_others"), {"oid": oid})]


def following_others(
    connection: db.Connection, dependents: Iterable[Dependent]
) -> tuple[list[Owned], list[tuple[str, str]]]:
    """Return what of `dependents` the role does not own, and the schemas of them with the privileges it lacks there."""
    found: dict[str, list[int]] = {"pg_rewrite": [], "pg_constraint": [], "pg_proc": [], "pg_publication_rel": []}
    for dependent in dependents:
        found.get(dependent.catalog, []).append(dependent.oid)
    owned = [Owned(*row) for row in connection.execute(queries.get("cutover.following_others"), found)]
    return owned, [(row[0], row[1]) for row in connection.execute(queries.get("cutover.places_of_followers"), found)]


def owners_without_create(connection: db.Connection, oid: int) -> list[str]:
    """Return the owners of what lies in a schema who may not make such there."""
    return [row[0] for row in connection.execute(queries.get("doctor.owners_without_create"), {"oid": oid})]


def may_have_members(connection: db.Connection, role: str) -> bool:
    """Say whether another role can be given the rights of this one."""
    row = connection.execute(queries.get("doctor.may_have_members"), {"role": role}).fetchone()
    return bool(row and row[0])


def outside_dependents(connection: db.Connection, oid: int, *, carried: Iterable[int] = ()) -> list[Dependent]:
    """Return what hangs on the objects of a schema from outside of it.

    The tables in `carried`, by OID, count as being outside although they lie in the schema.
    """
    values = {"oid": oid, "carried": list(carried)}
    return _described(connection, queries.get("cutover.outside_dependents"), values)


def listed(dependents: Iterable[Dependent]) -> str:
    """Return the names of what depends on something, for a message."""
    return ", ".join(sorted({f"{dependent.type} {dependent.identity}" for dependent in dependents}))


def locks_to_drop(connection: db.Connection, oids: Iterable[int]) -> int:
    """Return how many locks the server needs at once to drop schemas."""
    row = connection.execute(queries.get("catalog.locks_to_drop"), {"oids": list(oids)}).fetchone()
    return int(row[0]) if row else 0


def lock_capacity(connection: db.Connection) -> int:
    """Return about how many locks the server has room for when nobody holds any."""
    row = connection.execute(queries.get("session.lock_capacity")).fetchone()
    return int(row[0]) if row else 0


def lock_room(connection: db.Connection) -> int:
    """Return about how many more locks the server has room for; other sessions want them too."""
    row = connection.execute(queries.get("session.locks_held")).fetchone()
    return max(0, lock_capacity(connection) - (int(row[0]) if row else 0))


def dependents_on(connection: db.Connection, relation: int) -> list[Dependent]:
    """Return what depends on a table or view, but for what belongs to it."""
    return _described(connection, queries.get("catalog.dependents_on"), {"relation": relation})


def _described(connection: db.Connection, dependents: sql.Composed, values: Mapping[str, object]) -> list[Dependent]:
    rows = connection.execute(queries.get("cutover.dependents_described", dependents=dependents), values).fetchall()
    # Where the search path is empty, the server writes its own schema too.
    rows = [(row[0].removeprefix("pg_catalog."), *row[1:]) for row in rows]
    return [Dependent(**dict(zip(Dependent.__struct_fields__, row, strict=True))) for row in rows]


def outside_parents(connection: db.Connection, oid: int) -> list[tuple[str, str]]:
    """Return the tables of a schema that inherit from one outside or are partitions of one, each with that one."""
    rows = connection.execute(queries.get("cutover.outside_parents"), {"oid": oid}).fetchall()
    return [(child, names.quoted(schema, parent)) for child, schema, parent in rows]


def names_of_relations(connection: db.Connection) -> dict[int, tuple[str, str]]:
    """Return schema and name of every relation of the database that can be read, by OID."""
    rows = connection.execute(queries.get("catalog.relations_everywhere")).fetchall()
    return {oid: (schema, name) for oid, schema, name in rows}


def changed_relations(connection: db.Connection, oids: Iterable[int]) -> list[int]:
    """Return those relations that the transaction under way has dropped, replaced or altered: it locks them."""
    return [row[0] for row in connection.execute(queries.get("catalog.changed_relations"), {"oids": list(oids)})]


def owner_statements(connection: db.Connection, schema: str, *, like: int | None) -> list[str]:
    """Return the SQL that gives a schema and what it holds the owners of what is called the same in schema `like`."""
    values = {"own": schema_oid(connection, schema), "other": like}
    return [row[0] for row in connection.execute(queries.get("catalog.owners_of"), values)]


def says_more(connection: db.Connection, oid: int) -> bool:
    """Say whether a schema has comments, policies, row-level security or security labels."""
    row = connection.execute(queries.get("catalog.says_more"), {"oid": oid}).fetchone()
    return bool(row and row[0])


def securing_statements(connection: db.Connection, schema: str, *, like: int) -> list[str]:
    """Return the SQL that switches row-level security on for a schema's tables as it is in schema `like`."""
    values = {"own": schema_oid(connection, schema), "other": like}
    return [row[0] for row in connection.execute(queries.get("catalog.securing"), values)]


def unsecured(connection: db.Connection, live_oid: int, oid: int) -> list[str]:
    """Return which row-level security and policies of live's tables the schema's tables of the same name lack."""
    return [row[0] for row in connection.execute(queries.get("catalog.unsecured"), {"live": live_oid, "own": oid})]


def search_path_into(connection: db.Connection, schema: str, *, live: str) -> str:
    """Return a search path that begins with `schema` and goes on as the role's own, without `live`."""
    row = connection.execute(queries.get("session.search_path_into"), {"schema": schema, "live": live}).fetchone()
    return str(row[0]) if row else ""


def may_create_database(connection: db.Connection) -> bool:
    """Say whether the role may create databases on this server."""
    row = connection.execute(queries.get("session.may_create_database")).fetchone()
    return bool(row and row[0])


def database_oid(connection: db.Connection) -> int:
    """Return the OID of the database that this is."""
    row = connection.execute(queries.get("session.database_oid")).fetchone()
    return int(row[0]) if row else 0


def system_identifier(connection: db.Connection) -> str:
    """Return the identifier of the server's data directory, which initdb has chosen."""
    [identifier] = connection.execute(queries.get("session.system_identifier")).fetchone() or ("",)
    return str(identifier)


def database_exists(connection: db.Connection, name: str) -> bool:
    """Say whether the server has a database of this name."""
    row = connection.execute(queries.get("session.database_exists"), {"name": name}).fetchone()
    return bool(row and row[0])


def all_extensions(connection: db.Connection) -> list[tuple[str, str]]:
    """Return the extensions of this database, each with its schema, in the order in which they were made."""
    return [(row[0], row[1]) for row in connection.execute(queries.get("session.extensions"))]
