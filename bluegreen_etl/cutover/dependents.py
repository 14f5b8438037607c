"""What hangs on live from other schemas, and how it follows the swap.

It is bound to the old tables by OID (docs/how-it-works.md). Each is made again under the live name inside the swap, in
a way that keeps owner, grants and comments, and what hangs on it in turn needs nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from bluegreen_etl import catalog, db, errors, ledger, model, queries
from bluegreen_etl.catalog import Dependent, Relation
from bluegreen_etl.config import Promote
from bluegreen_etl.cutover import matviews, recreate
from bluegreen_etl.cutover.foreign_keys import Reference
from bluegreen_etl.cutover.matviews import Rebuilt
from bluegreen_etl.cutover.recreate import Recreation
from bluegreen_etl.model import ForeignKey

Publications = Literal["refuse", "follow"]


CATALOGS = frozenset({"pg_publication_rel", "pg_publication_namespace"})


class Publication(model.Record, frozen=True, kw_only=True):
    """A publication that lists something of live: `statement` makes its list again, of what bears the names then."""

    name: str
    schemas: bool
    statement: str


class Dependents(model.Record, frozen=True, kw_only=True):
    """What follows: relations to be locked before live's own, what runs after the renames, and what is among that.

    `dependents` are all that hangs on live. The statements are complete SQL with every name qualified.
    """

    objects: tuple[Dependent, ...] = ()
    relations: tuple[Relation, ...] = ()
    statements: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    rebuilt: tuple[Rebuilt, ...] = ()
    publications: tuple[str, ...] = ()


def find_dependents(
    connection: db.Connection,
    live_schema: str,
    live_oid: int,
    shadow_schema: str,
    wanted: Promote,
    *,
    carried: Sequence[int] = (),
) -> Dependents:
    """Find what hangs on live from outside, and how it will follow the swap with the release in `shadow_schema`.

    `carried` are the tables that stay live, by OID, which count as being outside; `wanted` says what may follow.

    Raises:
        Refused: something cannot follow; names it all.
    """
    dependents = catalog.outside_dependents(connection, live_oid, carried=carried)
    if not dependents:
        return Dependents()
    with connection.transaction():
        connection.execute("SET LOCAL search_path = ''")
        found = recreate.find(connection, dependents)
        constraints = [d.oid for d in dependents if d.catalog == "pg_constraint"]
        keys = recreate.keys(connection, constraints, owed=ledger.unvalidated(connection, live_schema))
        published = find_publications(connection, dependents)
        rebuilt = matviews.find(connection, dependents, wanted.materialized_views)
        grown = matviews.grown_on(connection, rebuilt)
        found |= recreate.find(connection, grown)
    followed = {*found, *(("pg_constraint", oid) for oid in keys), *(("pg_rewrite", each.rule) for each in rebuilt)}
    dependents += grown
    left = [d for d in dependents if (d.catalog, d.oid) not in followed and d.catalog not in CATALOGS]
    _refuse(left, live_schema)
    refuse_publications(connection, published, live_schema, wanted.publications)
    relations = [follower.relation for follower in found.values() if follower.relation is not None]
    relations += [relation for relation, _ in keys.values()]
    relations += [each.place for each in rebuilt]
    return Dependents(
        objects=tuple(dependents),
        # What lies in live is locked with the rest of it.
        relations=tuple({r.oid: r for r in relations if r.schema != live_schema}.values()),
        statements=tuple(_statements(found.values(), keys.values(), rebuilt, published)),
        rebuilt=tuple(rebuilt),
        publications=tuple(publication.name for publication in published),
        references=tuple(
            Reference(key=key, schema=relation.schema, child_schema=relation.schema, parent_schema=shadow_schema)
            for relation, key in keys.values()
        ),
    )


def _statements(
    found: Iterable[Recreation],
    keys: Iterable[tuple[Relation, ForeignKey]],
    rebuilt: Sequence[Rebuilt],
    published: Sequence[Publication],
) -> Iterator[str]:
    """Yield what runs after the renames: what was built takes its place, and the old goes when nothing hangs on it."""
    for each in rebuilt:
        yield from each.exchange
    for follower in found:
        yield from follower.statements
    for relation, key in keys:
        yield recreate.drop(relation.schema, key)
        yield from recreate.add(relation.schema, key)
    for each in rebuilt:
        yield from each.clear
    for publication in published:
        yield publication.statement


def _refuse(left: Sequence[Dependent], live_schema: str) -> None:
    if left:
        listed = "; ".join(f"{d.type} {d.identity} on {d.on_type} {d.on_identity}" for d in left)
        raise errors.CannotFollow(
            f"{len(left)} objects outside of {live_schema} hang on it and would stay with the old release: {listed}",
            hint="Drop them before and re-create them after the cut-over, or move them into the schema.",
        )


def find_publications(connection: db.Connection, dependents: Sequence[Dependent]) -> list[Publication]:
    """Return the publications whose lists are among the dependents; the texts want an empty search path."""
    oids = [dependent.oid for dependent in dependents if dependent.catalog in CATALOGS]
    rows = connection.execute(queries.get("cutover.publications"), {"members": oids}).fetchall() if oids else []
    return [Publication(name=row[0], schemas=row[1], statement=row[2]) for row in rows]


def refuse_publications(
    connection: db.Connection, found: Sequence[Publication], live_schema: str, wanted: Publications
) -> None:
    """Refuse what nobody has said should follow, or the role may not let follow.

    Raises:
        CannotFollow: there is such a publication; names it.
    """
    listed = ", ".join(each.name for each in found)
    if found and wanted == "refuse":
        raise errors.CannotFollow(
            f"publication {listed} publishes tables of {live_schema}: its subscribers would stay with the old release",
            hint='Say [promote] publications = "follow": the lists go along, and subscribers need a fresh copy of the '
            "tables (docs/objects.md). Or take the tables out of the publication.",
        )
    row = connection.execute(queries.get("session.is_superuser")).fetchone()
    if any(each.schemas for each in found) and not (row and row[0]):
        raise errors.CannotFollow(
            f"publication {listed} is for tables in schema {live_schema}, and only a superuser can let it follow",
            hint="Publish the tables by name (FOR TABLE …), or promote as a superuser.",
        )
