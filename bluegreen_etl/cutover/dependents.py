"""Dependents: objects in other schemas that depend on live, and how the swap re-points them to the release.

They refer to the old tables by OID (docs/how-it-works.md). The swap re-creates each in place, which keeps its owner,
grants and comments, and needs no change to the objects that depend on it.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from bluegreen_etl import catalog, db, errors, ledger, model, queries
from bluegreen_etl.catalog import Dependent, Relation
from bluegreen_etl.config import Promote
from bluegreen_etl.cutover import matviews, recreate, temporary_objects
from bluegreen_etl.cutover.foreign_keys import Reference
from bluegreen_etl.cutover.matviews import Rebuilt
from bluegreen_etl.cutover.recreate import Recreation
from bluegreen_etl.model import ForeignKey

Publications = Literal["refuse", "follow"]

# The catalogs of what publications publish.
CATALOGS = frozenset({"pg_publication_rel", "pg_publication_namespace"})


class Publication(model.Record, frozen=True, kw_only=True):
    """A publication of live's tables or schema; `statement` sets its list again, by the names at that moment."""

    name: str
    schemas: bool
    statement: str


class Dependents(model.Record, frozen=True, kw_only=True):
    """What the swap re-creates outside live.

    Args:
        objects: everything outside that depends on live.
        relations: the relations to lock before those of live.
        statements: what runs after the renames; every name is qualified.
        references: the foreign keys among them.
        rebuilt: the materialized views among them.
        publications: the names of the publications among them.
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
    """Return the dependents of live, and how the swap with the release in `shadow_schema` re-creates those `wanted`.

    Args:
        carried: OIDs of the carried tables, which stay live and so count as outside.

    Raises:
        CannotFollow: some cannot be re-created; names them all.
    """
    dependents = temporary_objects.without(catalog.outside_dependents(connection, live_oid, carried=carried))
    if not dependents:
        return Dependents()
    with connection.transaction():
        connection.execute("SET LOCAL search_path = ''")
        found = recreate.find(connection, dependents)
        keys = _keys(connection, dependents, live_schema)
        published = find_publications(connection, dependents)
        rebuilt = matviews.find(connection, dependents, wanted.materialized_views)
        grown = matviews.grown_on(connection, rebuilt)
        found |= recreate.find(connection, grown)
    dependents += grown
    handled = {*found, *(("pg_constraint", oid) for oid in keys), *(("pg_rewrite", each.rule) for each in rebuilt)}
    _refuse([d for d in dependents if (d.catalog, d.oid) not in handled and d.catalog not in CATALOGS], live_schema)
    refuse_publications(connection, published, live_schema, wanted.publications)
    return Dependents(
        objects=tuple(dependents),
        relations=tuple(_to_lock(live_schema, found.values(), keys.values(), rebuilt)),
        statements=tuple(_statements(found.values(), keys.values(), rebuilt, published)),
        rebuilt=tuple(rebuilt),
        publications=tuple(publication.name for publication in published),
        references=tuple(_references(keys.values(), shadow_schema)),
    )


def _keys(
    connection: db.Connection, dependents: Iterable[Dependent], live_schema: str
) -> dict[int, tuple[Relation, ForeignKey]]:
    constraints = [d.oid for d in dependents if d.catalog == "pg_constraint"]
    return recreate.keys(connection, constraints, owed=ledger.unvalidated(connection, live_schema))


def _references(keys: Iterable[tuple[Relation, ForeignKey]], shadow_schema: str) -> Iterator[Reference]:
    for relation, key in keys:
        yield Reference(key=key, schema=relation.schema, child_schema=relation.schema, parent_schema=shadow_schema)


def _to_lock(
    live_schema: str,
    found: Iterable[Recreation],
    keys: Iterable[tuple[Relation, ForeignKey]],
    rebuilt: Iterable[Rebuilt],
) -> list[Relation]:
    """Return the relations outside live that the swap changes; those in live are locked with the rest of it."""
    relations = [recreation.relation for recreation in found if recreation.relation is not None]
    relations += [relation for relation, _ in keys]
    relations += [each.place for each in rebuilt]
    return list({r.oid: r for r in relations if r.schema != live_schema}.values())


def _statements(
    found: Iterable[Recreation],
    keys: Iterable[tuple[Relation, ForeignKey]],
    rebuilt: Sequence[Rebuilt],
    published: Sequence[Publication],
) -> Iterator[str]:
    """Yield what runs after the renames: exchange what was built, re-create, and drop the old when nothing uses it."""
    for each in rebuilt:
        yield from each.exchange
    for recreation in found:
        yield from recreation.statements
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
            f"{len(left)} objects outside schema {live_schema} depend on it and cannot be moved to the new release: "
            f"{listed}",
            hint="Drop them before the cut-over and re-create them after it, or move them into the schema.",
        )


def find_publications(connection: db.Connection, dependents: Sequence[Dependent]) -> list[Publication]:
    """Return the publications among the dependents; requires an empty search path."""
    oids = [dependent.oid for dependent in dependents if dependent.catalog in CATALOGS]
    rows = connection.execute(queries.get("cutover.publications"), {"members": oids}).fetchall() if oids else []
    return [Publication(name=row[0], schemas=row[1], statement=row[2]) for row in rows]


def refuse_publications(
    connection: db.Connection, found: Sequence[Publication], live_schema: str, wanted: Publications
) -> None:
    """Refuse publications that the settings do not move to the release, or that the role may not change.

    Raises:
        CannotFollow: there is such a publication; names it.
    """
    listed = ", ".join(each.name for each in found)
    if found and wanted == "refuse":
        raise errors.CannotFollow(
            f"publication {listed} publishes tables of {live_schema}: its subscribers would stay with the old release",
            hint='Set `publications = "follow"` under [promote]: the publication moves to the new tables, and '
            "subscribers need a fresh copy of them (docs/objects.md). Or remove the tables from the publication.",
        )
    if any(each.schemas for each in found) and not queries.value(connection, bool, "session.is_superuser"):
        raise errors.CannotFollow(
            f"publication {listed} is for tables in schema {live_schema}: only a superuser can move it to a release",
            hint="Publish the tables by name (`FOR TABLE …`), or promote as a superuser.",
        )
