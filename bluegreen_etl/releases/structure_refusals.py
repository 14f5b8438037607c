"""Refuse a live schema whose release could not be promoted, or would change something outside of it."""

import json
from collections.abc import Iterable

from bluegreen_etl import catalog, db, errors, model, names, queries
from bluegreen_etl.config import Promote
from bluegreen_etl.cutover import definition, dependents
from bluegreen_etl.releases import live_names


def refuse_to_replace(
    connection: db.Connection, schema: str, live_oid: int, wanted: Promote, *, carried: Iterable[str] = ()
) -> dependents.Dependents:
    """Refuse live if a later promote would refuse it; return the dependents that the promote will re-create.

    Args:
        carried: names of the tables that stay live.

    Raises:
        CannotFollow: objects outside cannot be moved to a release; names them all.
        NotReplaceable: a subscription fills a table of live, or a table is part of one outside.
        LockNotObtained: a session holds a relation of live or a dependent exclusively.
    """
    plain = catalog.plain_tables(connection, live_oid)
    staying = [plain[name] for name in carried if name in plain]
    refuse_subscriptions(connection, schema, live_oid, carried=staying)
    for child, parent in catalog.outside_parents(connection, live_oid):
        raise errors.NotReplaceable(
            f"table {child} of {schema} inherits from {parent} or is a partition of it: the rows "
            "of every release would be seen there",
            hint="Detach it (NO INHERIT, DETACH PARTITION), or move its parent into the schema.",
        )
    with definition.deparsing(connection, schema, wait=db.OUTSIDE_WAIT):
        return dependents.find_dependents(connection, schema, live_oid, schema, wanted, carried=staying)


class UsedBody(model.Record, frozen=True, kw_only=True):
    """A function of live with its text, and an object that calls it while rows are loaded."""

    routine: str
    body: str
    type: str
    identity: str


def find_named_live(connection: db.Connection, schema: str, live_oid: int) -> list[str]:
    """Return the functions that write out live's name and are called while a release is built, and what calls them.

    The release is not live then: they would read the old one.
    """
    found = queries.records(connection, UsedBody, "functions.used_bodies", {"oid": live_oid})
    return [
        f"function {each.routine} names {name[1]}, and {each.type} {each.identity} calls it"
        for each in found
        if (name := live_names.first(each.body, schema))
    ]


def refuse_named_live(connection: db.Connection, schema: str, live_oid: int) -> None:
    """Refuse functions that would read the old release while the new one is built.

    Raises:
        NotReplaceable: names the first, and what calls it.
    """
    if found := find_named_live(connection, schema, live_oid):
        more = f"; and {len(found) - 1} more" if found[1:] else ""
        raise errors.NotReplaceable(
            f"{found[0]}: it would read the old release while the new one is built{more}",
            hint=f"Write its names without a schema and `ALTER ROUTINE … SET search_path = {names.quoted(schema)}`, or "
            'accept it: `[structure] functions_that_name_live = "warn"`.',
        )


def refuse_subscriptions(connection: db.Connection, schema: str, live_oid: int, *, carried: Iterable[int] = ()) -> None:
    """Refuse subscriptions that fill tables of live: they would go on with the old release's.

    Raises:
        NotReplaceable: there is one; names it and its tables.
    """
    for subscription, tables in catalog.subscribed_tables(connection, live_oid, carried=carried):
        listed = ", ".join(tables)
        raise errors.NotReplaceable(
            f"subscription {subscription} fills {listed} of {schema}: it would fill the old release after a promote",
            hint=f"Carry the tables: `[carry] tables = {json.dumps(tables)}`. Or run "
            f"`DROP SUBSCRIPTION {names.quoted(subscription)};`, or subscribe into another schema.",
        )
