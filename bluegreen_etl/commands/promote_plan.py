"""What a cut-over needs to know of the world, as its plan."""

from psycopg import sql

from bluegreen_etl import catalog, citus, db, errors, names, queries
from bluegreen_etl.config import Promote
from bluegreen_etl.cutover import carried as carrying
from bluegreen_etl.cutover import definition, dependents
from bluegreen_etl.cutover.plan import Plan
from bluegreen_etl.model import Direction, Release


def plan(
    connection: db.Connection, direction: Direction, incoming: Release, outgoing: Release | None, wanted: Promote
) -> Plan:
    """Inspect what the swap needs to know; `wanted` says what may stay behind.

    Raises:
        Refused: something would be in the way, or be left behind.
    """
    oid = outgoing.schema_oid if outgoing else None
    if outgoing is not None and catalog.schema_oid(connection, outgoing.shadow_schema) is not None:
        raise errors.NameTaken(
            f"a schema {names.quoted(outgoing.shadow_schema)} is in the way: release {outgoing.number} goes back there",
            hint="Rename or drop that schema; bluegreen has not made it.",
        )
    # Before anything is looked at: whatever is changed later is noticed under the locks.
    inspection = definition.inspection(connection, oid) if oid else None
    inspected = definition.inspect(connection, inspection) if inspection else ""
    fingerprint = queries.value(connection, str, queries.get("cutover.fingerprint", oid=sql.Literal(oid))) or ""
    live = {s.name for s in catalog.sequences(connection, oid)} if oid else set()
    own = catalog.sequences(connection, incoming.schema_oid or 0)
    carried = carrying.tables(connection, incoming, outgoing, leave=wanted.discard_writes) if outgoing else {}
    following = dependents.Outside()
    if outgoing is not None and oid:
        live_schema, shadow = incoming.live_schema, incoming.shadow_schema
        following = dependents.inspect(connection, live_schema, oid, shadow, wanted, carried=list(carried.values()))
        following = carrying.follow(connection, incoming, outgoing, carried, following)
    return Plan(
        direction=direction,
        live_schema=incoming.live_schema,
        incoming=incoming,
        outgoing=outgoing,
        relations=tuple(catalog.relations(connection, oid)) if oid else (),
        inspected=inspected,
        fingerprint=fingerprint,
        inspection=inspection.as_string() if inspection else "",
        sequences=tuple((s.name, s.ascending) for s in own if s.name in live),
        outside=following,
        carried=tuple(carried),
        distributed=citus.is_there(connection),
    )
