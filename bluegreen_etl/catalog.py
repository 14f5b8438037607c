"""Read what schemas hold from PostgreSQL's catalogs: SQL only, no policy, no writes."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from psycopg import sql

from bluegreen_etl import db, errors, model, names, queries
from bluegreen_etl.model import Table


class Relation(model.Record, frozen=True, kw_only=True):
    """A relation that a reader can select from, so the cut-over must lock it; `kind` is pg_class.relkind."""

    oid: int
    schema: str
    name: str
    kind: str
    owner: str


class Sequence(model.Record, frozen=True, kw_only=True):
    """A sequence with the column that owns it, if any."""

    name: str
    table: str | None
    column: str | None
    ascending: bool


class Dependent(model.Record, frozen=True, kw_only=True):
    """An outside object, and the object inside the schema that it depends on.

    `catalog` and `oid` are pg_depend.classid (as a name) and objid of the outside object.
    """

    catalog: str
    oid: int
    type: str
    identity: str
    on_type: str
    on_identity: str


class Owned(model.Record, frozen=True, kw_only=True):
    """An object and its owner: `kind` is what ALTER calls it, `identity` its name with its schema, as SQL."""

    owner: str
    kind: str
    identity: str


def schema_oid(connection: db.Connection, schema: str) -> int | None:
    """Return the OID of the schema of this name; None if there is none."""
    return queries.value(connection, int, "catalog.schema_oid", {"schema": schema})


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
    """Return the current name of the schema with this OID; None if the schema is gone."""
    return queries.value(connection, str, "catalog.schema_name", {"oid": oid})


def schema_names(connection: db.Connection, oids: Iterable[int]) -> dict[int, str]:
    """Return the current names of the schemas with these OIDs, without the schemas that are gone."""
    return dict(connection.execute(queries.get("catalog.schema_names"), {"oids": list(oids)}).fetchall())


def failures_schema(connection: db.Connection, schema: str) -> int | None:
    """Return the OID of a schema of offending rows that the tool has created; None if there is none."""
    return queries.value(connection, int, "checks.failures_schema", {"schema": schema})


def tables(connection: db.Connection, oid: int) -> list[Table]:
    """Return the tables of a schema in the order of their names, without partitions."""
    rows = connection.execute(queries.get("catalog.tables"), {"oid": oid}).fetchall()
    columns = _Columns(connection, [relation for relation, *_ in rows])
    return [
        Table(name=name, partitioned=partitioned, rows=count, columns=columns.of(relation))
        for relation, name, partitioned, count in rows
    ]


class _Columns:
    """The columns of relations, and of the composite types of these columns."""

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
    """Return the OIDs, by name, of a schema's tables that are no partitions and have no parents or children."""
    return dict(connection.execute(queries.get("catalog.plain_tables"), {"oid": oid}).fetchall())


def belongings(connection: db.Connection, oid: int, tables: Iterable[str]) -> list[int]:
    """Return the OIDs of the tables with these names in a schema, of their indexes and of the sequences they own."""
    return queries.column(connection, int, "catalog.relations_of_tables", {"oid": oid, "tables": list(tables)})


def statistics_of(connection: db.Connection, oid: int, tables: Iterable[int]) -> list[str]:
    """Return the names of the extended statistics of these tables in a schema."""
    return queries.column(connection, str, "catalog.statistics_of", {"oid": oid, "tables": list(tables)})


def tables_built_on(connection: db.Connection, oid: int) -> dict[tuple[str, str], str]:
    """Return the table of each index and constraint of a plain table, by type and name as in pg_dump."""
    rows = connection.execute(queries.get("catalog.tables_built_on"), {"oid": oid}).fetchall()
    return {(kind, name): table for kind, name, table in rows}


class Object(model.Record, frozen=True, kw_only=True):
    """An object of a schema; `table` is set if it belongs to a table."""

    kind: str
    table: str | None
    name: str

    def __str__(self) -> str:
        if self.table is None:
            return f"{self.kind} {self.name}"
        between = "." if self.kind == "column" else " "
        return f"{self.kind} {self.table}{between}{self.name}"


def objects(connection: db.Connection, oid: int) -> list[Object]:
    """Return the objects of a schema by kind and name, without those that come with another object."""
    others = queries.value(connection, str, "definition.other_objects", {"oid": oid}) or ""
    found = queries.records(connection, Object, "catalog.objects", {"oid": oid})
    # The server has put this query together from the names of its own catalogs.
    found += queries.records(connection, Object, sql.SQL(others))
    return sorted(found, key=lambda item: (item.kind, item.table or "", item.name))


def null_shares(connection: db.Connection, oid: int) -> dict[tuple[str, str], float]:
    """Return the planner's share of nulls in each column of a schema's tables, by table and column."""
    rows = connection.execute(queries.get("catalog.null_shares"), {"oid": oid}).fetchall()
    return {(table, column): share for table, column, share in rows}


def row_types(connection: db.Connection, oid: int) -> dict[str, str]:
    """Return a digest of the row type of each relation of a schema, by the relation's name."""
    return dict(connection.execute(queries.get("catalog.row_types"), {"oid": oid}).fetchall())


def relations(connection: db.Connection, oid: int) -> list[Relation]:
    """Return all relations of a schema that can be read: views before tables, then by name."""
    return queries.records(connection, Relation, "catalog.relations", {"oid": oid})


def sequences(connection: db.Connection, oid: int) -> list[Sequence]:
    """Return the sequences of a schema."""
    return queries.records(connection, Sequence, "catalog.sequences", {"oid": oid})


class EventTrigger(model.Record, frozen=True, kw_only=True):
    """An enabled event trigger: its function as SQL, and the function's bare name."""

    name: str
    function: str
    plain: str


def event_triggers(connection: db.Connection) -> list[EventTrigger]:
    """Return the enabled event triggers that statements of a load or a promote fire."""
    return queries.records(connection, EventTrigger, "catalog.event_triggers")


def fed_columns(connection: db.Connection, oid: int) -> dict[str, list[tuple[str, str]]]:
    """Return the columns whose default is a sequence's next value, as (table, column), by the sequence's name."""
    found: dict[str, list[tuple[str, str]]] = {}
    for sequence, table, column in connection.execute(queries.get("catalog.fed_columns"), {"oid": oid}):
        found.setdefault(sequence, []).append((table, column))
    return found


def narrow_sequences(connection: db.Connection, oid: int, live_oid: int) -> list[str]:
    """Return the sequences of a release whose bounds live's sequence of the same name has passed."""
    return queries.column(connection, str, "catalog.narrow_sequences", {"own": oid, "live": live_oid})


def materialized_views(connection: db.Connection, oid: int) -> list[str]:
    """Return the materialized views of a schema, each after those that it reads."""
    return queries.column(connection, str, "catalog.materialized_views", {"oid": oid})


def extensions(connection: db.Connection, oid: int) -> list[str]:
    """Return the extensions that are installed in a schema."""
    return queries.column(connection, str, "catalog.extensions_in_schema", {"oid": oid})


def all_tables_publications(connection: db.Connection) -> list[str]:
    """Return the publications for all tables, if this database uses logical replication."""
    return queries.column(connection, str, "catalog.all_tables_publications")


def may_create_schema(connection: db.Connection) -> bool:
    """Return whether the role may create schemas in this database."""
    return bool(queries.value(connection, bool, "doctor.may_create_schema"))


def belonging_to_others(connection: db.Connection, oid: int) -> list[Owned]:
    """Return the schema and its objects whose owner's rights the role lacks."""
    return queries.records(connection, Owned, "doctor.not_owned_objects", {"oid": oid})


def following_others(
    connection: db.Connection, dependents: Iterable[Dependent]
) -> tuple[list[Owned], list[tuple[str, str]]]:
    """Return the `dependents` that the role does not own, and their schemas with the privileges that it lacks there."""
    found: dict[str, list[int]] = {"pg_rewrite": [], "pg_constraint": [], "pg_proc": [], "pg_publication_rel": []}
    for dependent in dependents:
        found.get(dependent.catalog, []).append(dependent.oid)
    owned = queries.records(connection, Owned, "cutover.not_owned_dependents", found)
    return owned, [(row[0], row[1]) for row in connection.execute(queries.get("cutover.schemas_of_dependents"), found)]


def owners_without_create(connection: db.Connection, oid: int) -> list[str]:
    """Return the owners of a schema's objects who may not create objects there."""
    return queries.column(connection, str, "doctor.owners_without_create", {"oid": oid})


def may_have_members(connection: db.Connection, role: str) -> bool:
    """Return whether another role can become a member of this one."""
    return bool(queries.value(connection, bool, "doctor.may_have_members", {"role": role}))


def outside_dependents(connection: db.Connection, oid: int, *, carried: Iterable[int] = ()) -> list[Dependent]:
    """Return the outside objects that depend on objects of a schema.

    The tables in `carried`, by OID, count as outside although they are in the schema.
    """
    values = {"oid": oid, "carried": list(carried)}
    return _described(connection, queries.get("cutover.outside_dependents"), values)


def listed(dependents: Iterable[Dependent]) -> str:
    """Return the dependents' types and names for a message."""
    return ", ".join(sorted({f"{dependent.type} {dependent.identity}" for dependent in dependents}))


def locks_to_drop(connection: db.Connection, oids: Iterable[int]) -> int:
    """Return how many locks the server needs at the same time to drop schemas."""
    return queries.value(connection, int, "catalog.locks_to_drop", {"oids": list(oids)}) or 0


def lock_capacity(connection: db.Connection) -> int:
    """Return an estimate of how many locks the server has room for in all."""
    return queries.value(connection, int, "session.lock_capacity") or 0


def lock_room(connection: db.Connection) -> int:
    """Return an estimate of how many more locks the server has room for now."""
    held = queries.value(connection, int, "session.locks_held") or 0
    return max(0, lock_capacity(connection) - held)


def dependents_on(connection: db.Connection, relation: int) -> list[Dependent]:
    """Return the objects that depend on a table or view, without its own parts."""
    return _described(connection, queries.get("catalog.dependents_on"), {"relation": relation})


def _described(connection: db.Connection, dependents: sql.Composed, values: Mapping[str, object]) -> list[Dependent]:
    return queries.records(
        connection, Dependent, queries.get("cutover.dependents_described", dependents=dependents), values
    )


def outside_parents(connection: db.Connection, oid: int) -> list[tuple[str, str]]:
    """Return the tables of a schema with a parent in another schema, each with that parent."""
    rows = connection.execute(queries.get("cutover.outside_parents"), {"oid": oid}).fetchall()
    return [(child, names.quoted(schema, parent)) for child, schema, parent in rows]


def foreign_partitions(connection: db.Connection, oid: int) -> list[tuple[str, str]]:
    """Return the foreign tables that are partitions of a schema's tables, each after its partitioned table."""
    rows = connection.execute(queries.get("catalog.foreign_partitions"), {"oid": oid}).fetchall()
    return [(table, partition) for table, partition in rows]


def subscribed_tables(
    connection: db.Connection, oid: int, *, carried: Iterable[int] = ()
) -> list[tuple[str, list[str]]]:
    """Return the subscriptions that fill tables of a schema, except those in `carried`, with these tables' names."""
    values = {"oid": oid, "carried": list(carried)}
    return [(row[0], row[1]) for row in connection.execute(queries.get("catalog.subscribed_tables"), values)]


def names_of_relations(connection: db.Connection) -> dict[int, tuple[str, str]]:
    """Return schema and name of every readable relation of the database, by OID."""
    rows = connection.execute(queries.get("catalog.relations_everywhere")).fetchall()
    return {oid: (schema, name) for oid, schema, name in rows}


def changed_relations(connection: db.Connection, oids: Iterable[int]) -> list[int]:
    """Return the relations that the current transaction has dropped, replaced or altered, by its locks."""
    return queries.column(connection, int, "catalog.changed_relations", {"oids": list(oids)})


def owner_statements(connection: db.Connection, schema: str, *, like: int | None) -> list[str]:
    """Return the SQL that gives a schema and its objects the owners of their namesakes in schema `like`."""
    values = {"own": schema_oid(connection, schema), "other": like}
    return queries.column(connection, str, "catalog.owners_of", values)


def says_more(connection: db.Connection, oid: int) -> bool:
    """Return whether a schema has comments, policies, row-level security or security labels."""
    return bool(queries.value(connection, bool, "catalog.has_metadata", {"oid": oid}))


def securing_statements(connection: db.Connection, schema: str, *, like: int) -> list[str]:
    """Return the SQL that enables row-level security on a schema's tables as in schema `like`."""
    values = {"own": schema_oid(connection, schema), "other": like}
    return queries.column(connection, str, "catalog.row_security_statements", values)


def unsecured(connection: db.Connection, live_oid: int, oid: int) -> list[str]:
    """Return the row-level security and policies of live's tables that their namesakes lack."""
    return queries.column(connection, str, "catalog.missing_row_security", {"live": live_oid, "own": oid})


def search_path_into(connection: db.Connection, schema: str, *, live: str) -> str:
    """Return a search path of `schema` and the role's own path without `live`."""
    return queries.value(connection, str, "session.search_path_into", {"schema": schema, "live": live}) or ""


def may_create_database(connection: db.Connection) -> bool:
    """Return whether the role may create databases on this server."""
    return bool(queries.value(connection, bool, "session.may_create_database"))


def database_oid(connection: db.Connection) -> int:
    """Return the OID of the current database."""
    return queries.value(connection, int, "session.database_oid") or 0


def system_identifier(connection: db.Connection) -> str:
    """Return the identifier of the server's data directory, which initdb has chosen."""
    [identifier] = connection.execute(queries.get("session.system_identifier")).fetchone() or ("",)
    return str(identifier)


def database_exists(connection: db.Connection, name: str) -> bool:
    """Return whether the server has a database of this name."""
    return bool(queries.value(connection, bool, "session.database_exists", {"name": name}))


def all_extensions(connection: db.Connection) -> list[tuple[str, str]]:
    """Return the extensions of this database, each with its schema, in the order of their creation."""
    return [(row[0], row[1]) for row in connection.execute(queries.get("session.extensions"))]
