"""What hangs on live from other schemas, and how it follows the swap.

It is bound to the old tables by OID (docs/how-it-works.md). Each is made again under the live name inside the swap, in
a way that keeps owner, grants and comments, and what hangs on it in turn needs nothing. A foreign key comes back NOT
VALID, and is validated after the swap.
"""

from collections.abc import Sequence
from typing import Literal

import psycopg
from psycopg import sql

from bluegreen_etl import catalog, db, errors, followers, model, names
from bluegreen_etl.catalog import Dependent, Relation
from bluegreen_etl.model import ForeignKey

OnOrphans = Literal["refuse", "delete", "null"]


class Reference(model.Record, frozen=True, kw_only=True):
    """A foreign key that the swap makes again; the schemas that hold its rows and those that they refer to.

    `child_schema` before the swap, `schema` after it, `parent_schema` before it (after it is the live one).
    """

    key: ForeignKey
    schema: str
    child_schema: str
    parent_schema: str


class Outside(model.Record, frozen=True, kw_only=True):
    """What follows: relations to be locked before live's own, what runs after the renames, keys to be validated.

    The statements are complete SQL with every name qualified.
    """

    relations: tuple[Relation, ...] = ()
    statements: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()

    @property
    def validations(self) -> list[str]:
        """What runs after the commit, so that nobody waits for a look at all rows."""
        return [followers.validate(each.schema, each.key) for each in self.references if each.key.validated]


def inspect(
    connection: db.Connection, live_schema: str, live_oid: int, shadow_schema: str, *, carried: Sequence[int] = ()
) -> Outside:
    """Find what hangs on live from outside, and how it will follow the swap with the release in `shadow_schema`.

    `carried` are the tables that stay live, by OID, which count as being outside.

    Raises:
        Refused: something cannot follow; names it all.
    """
    dependents = catalog.outside_dependents(connection, live_oid, carried=carried)
    if not dependents:
        return Outside()
    with connection.transaction():
        connection.execute("SET LOCAL search_path = ''")
        found = followers.find(connection, dependents)
        keys = followers.keys(connection, [d.oid for d in dependents if d.catalog == "pg_constraint"])
    followed = {*found, *(("pg_constraint", oid) for oid in keys)}
    _refuse([d for d in dependents if (d.catalog, d.oid) not in followed], live_schema)
    relations = [follower.relation for follower in found.values() if follower.relation is not None]
    relations += [relation for relation, _ in keys.values()]
    return Outside(
        # What lies in live is locked with the rest of it.
        relations=tuple({r.oid: r for r in relations if r.schema != live_schema}.values()),
        statements=(
            *(statement for follower in found.values() for statement in follower.statements),
            *(
                statement
                for relation, key in keys.values()
                for statement in (followers.drop(relation.schema, key), *followers.add(relation.schema, key))
            ),
        ),
        references=tuple(
            Reference(key=key, schema=relation.schema, child_schema=relation.schema, parent_schema=shadow_schema)
            for relation, key in keys.values()
        ),
    )


def treat_orphans(
    connection: db.Connection, outside: Outside, live_schema: str, on_orphans: OnOrphans
) -> list[tuple[str, sql.Composed]]:
    """Count the rows that refer to what will not be there after the swap.

    Returns what is to be done with them after it, each in words and as a statement.

    Raises:
        Refused: there are some that are to be refused, or cannot be set to null, or the release lacks a table.
    """
    found = []
    for reference in outside.references:
        count = _count(connection, reference) if reference.key.validated else 0
        if count:
            found.append(_treatment(reference, count, live_schema, on_orphans))
    return found


def _count(connection: db.Connection, reference: Reference) -> int:
    key = reference.key
    statement = followers.count_orphans(key, reference.child_schema, reference.parent_schema)
    try:
        row = connection.execute(statement).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        raise errors.Orphans(
            f"the release does not have {key.parent} ({', '.join(key.parent_columns)}), "
            f"which foreign key {key.name} of {names.quoted(reference.child_schema, key.table)} refers to",
            hint="Load a release that has it, or drop the foreign key first.",
        ) from error
    return row[0] if row else 0


def _treatment(reference: Reference, count: int, live_schema: str, on_orphans: OnOrphans) -> tuple[str, sql.Composed]:
    key = reference.key
    lacking = "live" if reference.parent_schema == live_schema else "the release"
    what = (
        f"{count} rows of {names.quoted(reference.child_schema, key.table)} refer to rows of {key.parent} that "
        f"{lacking} does not have (foreign key {key.name})"
    )
    if on_orphans == "refuse":
        hint = 'Load a release that fits, mend those rows first, or say [promote] on_orphans = "delete" or "null".'
        raise errors.Orphans(what, hint=hint)
    if on_orphans == "null" and not key.nullable:
        raise errors.Orphans(
            f"{what}, and a column of it is NOT NULL", hint='Mend those rows, or say [promote] on_orphans = "delete".'
        )
    if on_orphans == "null":
        return f"{what}: set to null", followers.null_orphans(key, reference.schema, live_schema)
    return f"{what}: deleted", followers.delete_orphans(key, reference.schema, live_schema)


def _refuse(left: Sequence[Dependent], live_schema: str) -> None:
    if left:
        listed = "; ".join(f"{d.type} {d.identity} on {d.on_type} {d.on_identity}" for d in left)
        raise errors.CannotFollow(
            f"{len(left)} objects outside of {live_schema} hang on it and would stay with the old release: {listed}",
            hint="Drop them before and re-create them after the cut-over, or move them into the schema.",
        )
