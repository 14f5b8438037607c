"""The plan of a cut-over: what the catalogs say about both releases and their dependents."""

from psycopg import sql

from bluegreen_etl import catalog, citus, db, errors, names, queries
from bluegreen_etl.config import Promote
from bluegreen_etl.cutover import carried as carrying
from bluegreen_etl.cutover import definition, dependents
from bluegreen_etl.cutover.plan import Plan
from bluegreen_etl.model import Direction, Release
from bluegreen_etl.shadow import function_paths


def make_plan(
    connection: db.Connection, direction: Direction, incoming: Release, outgoing: Release | None, wanted: Promote
) -> Plan:
    """Return the plan of a cut-over; `wanted` are the settings of promote.

    Raises:
        Refused: a schema blocks a rename, or a dependent cannot be moved to the new release.
    """
    oid = outgoing.schema_oid if outgoing else None
    if outgoing is not None and catalog.schema_oid(connection, outgoing.shadow_schema) is not None:
        raise errors.NameTaken(
            f"schema {names.quoted(outgoing.shadow_schema)} already exists: release {outgoing.number} needs this name",
            hint="Rename the schema or drop it; bluegreen did not create it.",
        )
    # Before the catalogs are read: the swap detects every later change under its locks.
    inspection = definition.inspection(connection, oid) if oid else None
    inspected = definition.inspect(connection, inspection) if inspection else ""
    fingerprint = queries.value(connection, str, queries.get("cutover.fingerprint", oid=sql.Literal(oid)))
    live = {s.name for s in catalog.sequences(connection, oid)} if oid else set()
    own = catalog.sequences(connection, incoming.oid)
    carried, found = dict[str, int](), dependents.Dependents()
    if outgoing is not None and oid:
        carried = carrying.tables(connection, incoming, outgoing, leave=wanted.discard_writes)
        found = _dependents(connection, incoming, oid, wanted, list(carried.values()))
        found = carrying.add_carried(connection, incoming, outgoing, carried, found)
    return Plan(
        direction=direction,
        live_schema=incoming.live_schema,
        incoming=incoming,
        outgoing=outgoing,
        relations=tuple(catalog.relations(connection, oid)) if oid else (),
        inspected=inspected,
        fingerprint=fingerprint or "",
        inspection=inspection.as_string() if inspection else "",
        sequences=tuple((s.name, s.ascending) for s in own if s.name in live),
        dependents=found,
        carried=tuple(carried),
        repointing=_repointing(connection, incoming),
        distributed=citus.is_there(connection),
    )


def _dependents(
    connection: db.Connection, incoming: Release, live_oid: int, wanted: Promote, carried: list[int]
) -> dependents.Dependents:
    live, shadow = incoming.live_schema, incoming.shadow_schema
    return dependents.find_dependents(connection, live, live_oid, shadow, wanted, carried=carried)


def _repointing(connection: db.Connection, incoming: Release) -> str:
    """Return the block that lets the release's functions find live instead of its shadow; empty if none needs it."""
    if not function_paths.names_shadow(connection, incoming):
        return ""
    block = function_paths.repointing(connection, incoming, old=incoming.shadow_schema, new=incoming.live_schema)
    return block.as_string()
