"""The plan of a cut-over: everything that it needs to know about the database."""

from psycopg import sql

from bluegreen_etl import catalog, citus, db, errors, names, queries
from bluegreen_etl.config import Promote
from bluegreen_etl.cutover import carried as carrying
from bluegreen_etl.cutover import dependents
from bluegreen_etl.cutover.plan import Plan
from bluegreen_etl.model import Direction, Release


def plan(
    connection: db.Connection, direction: Direction, incoming: Release, outgoing: Release | None, wanted: Promote
) -> Plan:
    """Return the plan of a cut-over; `wanted` are the settings for it.

    Raises:
        Refused: something blocks the cut-over, or would be lost.
    """
    oid = outgoing.schema_oid if outgoing else None
    if outgoing is not None and catalog.schema_oid(connection, outgoing.shadow_schema) is not None:
        raise errors.NameTaken(
            f"schema {names.quoted(outgoing.shadow_schema)} exists: release {outgoing.number} needs that name",
            hint="Rename or drop that schema; bluegreen did not create it.",
        )
    # First of all: the swap compares both under its locks, and notices whatever has changed since.
    inspected: str = db.fetch_value(connection, queries.get("cutover.inspected", oid=sql.Literal(oid)))
    fingerprint: str = db.fetch_value(connection, queries.get("cutover.fingerprint", oid=sql.Literal(oid)))
    live = {s.name for s in catalog.sequences(connection, oid)} if oid else set()
    own = catalog.sequences(connection, incoming.schema_oid or 0)
    carried = carrying.tables(connection, incoming, outgoing, leave=wanted.discard_writes) if outgoing else {}
    found = dependents.Dependents()
    if outgoing is not None and oid:
        live_schema, shadow = incoming.live_schema, incoming.shadow_schema
        found = dependents.find_dependents(connection, live_schema, oid, shadow, wanted, carried=list(carried.values()))
        found = carrying.add_carried(connection, incoming, outgoing, carried, found)
    return Plan(
        direction=direction,
        live_schema=incoming.live_schema,
        incoming=incoming,
        outgoing=outgoing,
        relations=tuple(catalog.relations(connection, oid)) if oid else (),
        inspected=inspected,
        fingerprint=fingerprint,
        sequences=tuple((s.name, s.ascending) for s in own if s.name in live),
        dependents=found,
        carried=tuple(carried),
        distributed=citus.is_there(connection),
    )
