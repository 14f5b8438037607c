"""What hangs on live from other schemas, and how it follows the swap.

It is bound to the old tables by OID (docs/how-it-works.md). Each is made again under the live name inside the swap, in
a way that keeps owner, grants and comments, and what hangs on it in turn needs nothing.
"""

from collections.abc import Iterable, Iterator, Sequence

from bluegreen_etl import catalog, db, errors, followers, ledger, model
from bluegreen_etl.catalog import Dependent, Relation
from bluegreen_etl.config import Promote
from bluegreen_etl.cutover import matviews, publications
from bluegreen_etl.cutover.matviews import Rebuilt
from bluegreen_etl.cutover.publications import Publication
from bluegreen_etl.cutover.references import Reference
from bluegreen_etl.followers import Follower
from bluegreen_etl.model import ForeignKey


class Outside(model.Record, frozen=True, kw_only=True):
    """What follows: relations to be locked before live's own, what runs after the renames, and what is among that.

    `dependents` are all that hangs on live. The statements are complete SQL with every name qualified.
    """

    dependents: tuple[Dependent, ...] = ()
    relations: tuple[Relation, ...] = ()
    statements: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    rebuilt: tuple[Rebuilt, ...] = ()
    publications: tuple[str, ...] = ()


def inspect(
    connection: db.Connection,
    live_schema: str,
    live_oid: int,
    shadow_schema: str,
    wanted: Promote,
    *,
    carried: Sequence[int] = (),
) -> Outside:
    """Find what hangs on live from outside, and how it will follow the swap with the release in `shadow_schema`.

    `carried` are the tables that stay live, by OID, which count as being outside; `wanted` says what may follow.

    Raises:
        Refused: something cannot follow; names it all.
    """
    dependents = catalog.outside_dependents(connection, live_oid, carried=carried)
    if not dependents:
        return Outside()
    with connection.transaction():
        connection.execute("SET LOCAL search_path = ''")
        found = followers.find(connection, dependents)
        constraints = [d.oid for d in dependents if d.catalog == "pg_constraint"]
        keys = followers.keys(connection, constraints, owed=ledger.unvalidated(connection, live_schema))
        published = publications.find(connection, dependents)
        rebuilt = matviews.find(connection, dependents, wanted.materialized_views)
        grown = matviews.grown_on(connection, rebuilt)
        found |= followers.find(connection, grown)
    followed = {*found, *(("pg_constraint", oid) for oid in keys), *(("pg_rewrite", each.rule) for each in rebuilt)}
    dependents += grown
    left = [d for d in dependents if (d.catalog, d.oid) not in followed and d.catalog not in publications.CATALOGS]
    _refuse(left, live_schema)
    publications.refuse(connection, published, live_schema, wanted.publications)
    relations = [follower.relation for follower in found.values() if follower.relation is not None]
    relations += [relation for relation, _ in keys.values()]
    relations += [each.place for each in rebuilt]
    return Outside(
        dependents=tuple(dependents),
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
    found: Iterable[Follower],
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
        yield followers.drop(relation.schema, key)
        yield from followers.add(relation.schema, key)
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
