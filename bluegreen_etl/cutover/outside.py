"""What hangs on live from other schemas, and how it follows the swap: views, foreign keys, SQL-standard functions.

These are bound to the old tables by OID (docs/how-it-works.md). Each is made again under the live
name inside the swap: CREATE OR REPLACE keeps owner, grants and comments of views and functions, and the views on
those views need nothing. A foreign key comes back NOT VALID, and is validated after the swap.
"""

from collections.abc import Sequence

import psycopg
from psycopg import sql

from bluegreen_etl import catalog, db, errors, model, names, queries
from bluegreen_etl.catalog import Dependent, Relation


class ForeignKey(model.Record, frozen=True, kw_only=True):
    """A foreign key of an outside table into live: its columns, and the table and columns that they refer to."""

    relation: Relation
    name: str
    definition: str
    validated: bool
    comment: str | None
    columns: tuple[str, ...]
    table: str
    keys: tuple[str, ...]


class Outside(model.Record, frozen=True, kw_only=True):
    """What follows: the relations to be locked before live's own, what runs after the renames, what after the commit.

    Both kinds of statements are complete SQL with every name qualified.
    """

    relations: tuple[Relation, ...] = ()
    statements: tuple[str, ...] = ()
    afterwards: tuple[str, ...] = ()
    keys: tuple[ForeignKey, ...] = ()


def inspect(connection: db.Connection, live_schema: str, live_oid: int) -> Outside:
    """Find what hangs on live from outside, and how it will follow.

    Raises:
        Refused: something cannot follow; names it all.
    """
    dependents = catalog.outside_dependents(connection, live_oid)
    if not dependents:
        return Outside()
    with connection.transaction():
        connection.execute("SET LOCAL search_path = ''")
        views = _views(connection, dependents)
        keys = _keys(connection, dependents)
        functions = _functions(connection, dependents)
    followed = {("pg_rewrite", oid) for oid in views} | {("pg_constraint", oid) for oid in keys}
    followed |= {("pg_proc", oid) for oid in functions}
    _refuse([d for d in dependents if (d.catalog.removeprefix("pg_catalog."), d.oid) not in followed], live_schema)
    return Outside(
        relations=(
            *(relation for relation, _ in views.values()),
            *{k.relation.oid: k.relation for k in keys.values()}.values(),
        ),
        statements=(
            *(statement for _, statement in views.values()),
            *functions.values(),
            *(statement for key in keys.values() for statement in _again(key)),
        ),
        afterwards=tuple(_validation(key) for key in keys.values() if key.validated),
        keys=tuple(keys.values()),
    )


def refuse_orphans(connection: db.Connection, outside: Outside, shadow_schema: str) -> None:
    """Count the rows of outside tables whose key the incoming release lacks.

    Raises:
        Refused: there are some, or the release lacks the table or column.
    """
    for key in outside.keys:
        if not key.validated:
            continue
        place = names.quoted(key.relation.schema, key.relation.name)
        try:
            count = connection.execute(_orphans(key, shadow_schema)).fetchone()
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
            raise errors.Refused(
                f"the release does not have {key.table} ({', '.join(key.keys)}), "
                f"which foreign key {key.name} of {place} refers to",
                hint="Load a release that has it, or drop the foreign key first.",
            ) from error
        if count and count[0]:
            raise errors.Refused(
                f"{count[0]} rows of {place} refer to rows of {key.table} that the release does not have "
                f"(foreign key {key.name})",
                hint="Load a release that has them, or mend those rows first.",
            )


def _views(connection: db.Connection, dependents: Sequence[Dependent]) -> dict[int, tuple[Relation, str]]:
    rows = connection.execute(queries.get("outside_views"), {"oids": _oids(dependents, "pg_rewrite")}).fetchall()
    found = {}
    for rule, oid, schema, name, kind, owner, definition, options in rows:
        relation = Relation(oid=oid, schema=schema, name=name, kind=kind, owner=owner)
        # Options that are not named again would be reset, security_invoker among them.
        with_options = f" WITH ({', '.join(options)})" if options else ""
        place = sql.Identifier(schema, name).as_string()
        found[rule] = (relation, f"CREATE OR REPLACE VIEW {place}{with_options} AS {definition.rstrip().rstrip(';')}")
    return found


def _keys(connection: db.Connection, dependents: Sequence[Dependent]) -> dict[int, ForeignKey]:
    rows = connection.execute(queries.get("outside_keys"), {"oids": _oids(dependents, "pg_constraint")}).fetchall()
    return {
        row[0]: ForeignKey(
            relation=Relation(oid=row[1], schema=row[2], name=row[3], kind=row[4], owner=row[5]),
            name=row[6],
            definition=row[7],
            validated=row[8],
            comment=row[9],
            columns=tuple(row[10]),
            table=row[11],
            keys=tuple(row[12]),
        )
        for row in rows
    }


def _functions(connection: db.Connection, dependents: Sequence[Dependent]) -> dict[int, str]:
    # With another argument or result type, CREATE OR REPLACE would make another function or fail.
    typed = {d.oid for d in dependents if d.catalog.endswith("pg_proc") and d.on_type == "type"}
    oids = [oid for oid in _oids(dependents, "pg_proc") if oid not in typed]
    rows = connection.execute(queries.get("outside_functions"), {"oids": oids}).fetchall()
    return {oid: definition.rstrip() for oid, definition in rows}


def _again(key: ForeignKey) -> list[str]:
    """Return the statements that point a foreign key at the tables that bear the live name now."""
    table = sql.Identifier(key.relation.schema, key.relation.name).as_string()
    name = sql.Identifier(key.name).as_string()
    put_off = "" if key.definition.endswith((" NOT VALID", " NOT ENFORCED")) else " NOT VALID"
    statements = [
        f"ALTER TABLE {table} DROP CONSTRAINT {name}, ADD CONSTRAINT {name} {key.definition}{put_off}",
    ]
    if key.comment is not None:
        comment = sql.Literal(key.comment).as_string()
        statements.append(f"COMMENT ON CONSTRAINT {name} ON {table} IS {comment}")
    return statements


def _validation(key: ForeignKey) -> str:
    table = sql.Identifier(key.relation.schema, key.relation.name).as_string()
    return f"ALTER TABLE {table} VALIDATE CONSTRAINT {sql.Identifier(key.name).as_string()}"


def _orphans(key: ForeignKey, shadow_schema: str) -> sql.Composed:
    pairs = [
        (sql.Identifier("o", own), sql.Identifier("i", other)) for own, other in zip(key.columns, key.keys, strict=True)
    ]
    return queries.get(
        "count_orphans",
        outside=sql.Identifier(key.relation.schema, key.relation.name),
        inside=sql.Identifier(shadow_schema, key.table),
        all_given=sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(own) for own, _ in pairs),
        equal=sql.SQL(" AND ").join(sql.SQL("{} = {}").format(own, other) for own, other in pairs),
    )


def _oids(dependents: Sequence[Dependent], catalog_name: str) -> list[int]:
    return sorted({d.oid for d in dependents if d.catalog.removeprefix("pg_catalog.") == catalog_name})


def _refuse(left: Sequence[Dependent], live_schema: str) -> None:
    if left:
        listed = "; ".join(f"{d.type} {d.identity} on {d.on_type} {d.on_identity}" for d in left)
        raise errors.Refused(
            f"{len(left)} objects outside of {live_schema} hang on it and would stay with the old release: {listed}",
            hint="Drop them before and re-create them after the cut-over, or move them into the schema.",
        )
