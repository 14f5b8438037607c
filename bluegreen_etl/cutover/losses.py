"""Finds what live has and a release has not: its tables, columns, indexes, functions and the rest would be gone.

A clone of live lacks nothing. DDL, files and programs make what they make, and nobody may have meant to drop the rest.
"""

from collections.abc import Iterable

from bluegreen_etl import catalog, db, errors, ledger
from bluegreen_etl.catalog import Object
from bluegreen_etl.model import Release

_SHOWN = 10


def only_in(first: Iterable[Object], second: Iterable[Object]) -> list[Object]:
    """Return what the first schema has and the second lacks; of a table that is gone nothing but itself."""
    there = set(second)
    lost = [item for item in first if item not in there]
    gone = {item.name for item in lost if item.table is None}
    return [item for item in lost if item.table not in gone]


def sides(connection: db.Connection, incoming: Release, live_oid: int) -> tuple[list[Object], list[Object]]:
    """Return what live holds, and what the release will hold when it is live, but for the tables that are carried."""
    carried = set(ledger.carried_tables(connection, incoming))
    live, own = (
        [
            item
            for item in catalog.objects(connection, oid)
            if item.table not in carried and not (item.table is None and item.name in carried)
        ]
        for oid in (live_oid, incoming.schema_oid or 0)
    )
    keys = ledger.carried_keys(connection, incoming)
    return live, [*own, *(Object(kind="constraint", table=key.table, name=key.definition) for key in keys)]


def refuse(connection: db.Connection, incoming: Release, outgoing: Release) -> None:
    """Refuse to drop what nobody has said may go.

    Raises:
        Refused: the release lacks something; names it.
    """
    live, own = sides(connection, incoming, outgoing.schema_oid or 0)
    lost = only_in(live, own)
    # One whose schema is gone lacks everything, and is a conflict that the swap tells of.
    if lost and catalog.schema_name(connection, incoming.schema_oid or 0) is not None:
        more = f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
        raise errors.WouldLose(
            f"release {incoming.number} of {incoming.live_schema} lacks what live has: "
            f"{', '.join(map(str, lost[:_SHOWN]))}{more}",
            hint="Look with `bluegreen diff`; --allow-drop goes without.",
        )
