"""Publications of live's tables, or of the schema: whether they follow, and how.

A publication lists tables and schemas by OID. Whoever subscribes would stay with the old release for ever, and nobody
would tell; and where the list follows, rows that a load has brought were never sent: subscribers need a fresh copy.
"""

from collections.abc import Sequence
from typing import Literal

from bluegreen_etl import db, errors, model, queries
from bluegreen_etl.catalog import Dependent

Publications = Literal["refuse", "follow"]
CATALOGS = frozenset({"pg_publication_rel", "pg_publication_namespace"})


class Publication(model.Record, frozen=True, kw_only=True):
    """A publication that lists something of live: `statement` makes its list again, of what bears the names then."""

    name: str
    schemas: bool
    statement: str


def find(connection: db.Connection, dependents: Sequence[Dependent]) -> list[Publication]:
    """Return the publications whose lists are among the dependents; the texts want an empty search path."""
    oids = [dependent.oid for dependent in dependents if dependent.catalog in CATALOGS]
    rows = connection.execute(queries.get("publications"), {"members": oids}).fetchall() if oids else []
    return [Publication(name=row[0], schemas=row[1], statement=row[2]) for row in rows]


def refuse(connection: db.Connection, found: Sequence[Publication], live_schema: str, wanted: Publications) -> None:
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
    row = connection.execute(queries.get("is_superuser")).fetchone()
    if any(each.schemas for each in found) and not (row and row[0]):
        raise errors.CannotFollow(
            f"publication {listed} is for tables in schema {live_schema}, and only a superuser can let it follow",
            hint="Publish the tables by name (FOR TABLE …), or promote as a superuser.",
        )
