"""Privileges that a role lacks to load and promote, each with the statement that grants it (docs/privileges.md)."""

from collections.abc import Iterable, Iterator, Sequence

from psycopg.rows import scalar_row

from bluegreen_etl import catalog, db, errors, model, names, queries
from bluegreen_etl.catalog import Dependent, Owned
from bluegreen_etl.model import Release

_SHOWN = 3


class Lacking(model.Record, frozen=True, kw_only=True):
    """A sentence about a missing privilege, and the statements that grant it."""

    found: str
    statement: str


def to_load(connection: db.Connection, live_oid: int | None) -> Iterator[Lacking]:
    """Yield the privileges that the role lacks to create a release."""
    info = connection.info
    role, database = names.quoted(info.user), names.quoted(info.dbname)
    if not catalog.may_create_schema(connection):
        yield Lacking(
            found=f"role {role} may not create schemas in database {database}",
            statement=f"GRANT CREATE ON DATABASE {database} TO {role};",
        )
    if live_oid is None:
        return
    yield from of_schema(connection, live_oid)
    schema = names.quoted(catalog.schema_name(connection, live_oid) or "")
    for owner in catalog.owners_without_create(connection, live_oid):
        yield Lacking(
            found=f"role {names.quoted(owner)} owns objects in schema {schema} and could not create them in a clone",
            statement=f"GRANT CREATE ON SCHEMA {schema} TO {names.quoted(owner)};",
        )
    for other in queries.column(connection, str, "privileges.default_privileges_of_others", {"oid": live_oid}):
        yield Lacking(
            found=f"role {role} may not set the default privileges of {names.quoted(other)} in schema {schema}",
            statement=f"GRANT {names.quoted(other)} TO {role};",
        )
    forced = (
        connection.cursor(row_factory=scalar_row)
        .execute(queries.get("doctor.forced_policies"), {"oid": live_oid})
        .fetchall()
    )
    if forced:
        yield Lacking(
            found=f"policies are forced on {', '.join(forced)}, and role {role} would not see all rows",
            statement=f"ALTER ROLE {role} BYPASSRLS;",
        )


def to_swap(
    connection: db.Connection, incoming: Release, outgoing: Release | None, dependents: Iterable[Dependent]
) -> Iterator[Lacking]:
    """Yield the privileges that the role lacks to swap two releases and to re-create the dependents of live."""
    for release in filter(None, (incoming, outgoing)):
        yield from of_schema(connection, release.oid)
    yield from to_recreate(connection, dependents)


def to_recreate(connection: db.Connection, dependents: Iterable[Dependent]) -> Iterator[Lacking]:
    """Yield the privileges that the role lacks to re-create the dependents in other schemas."""
    owned, places = catalog.following_others(connection, dependents)
    yield from _of_others(connection, owned)
    role = names.quoted(connection.info.user)
    for place, wanted in places:
        yield Lacking(
            found=f"role {role} lacks {wanted} on schema {names.quoted(place)}, which contains dependents of live",
            statement=f"GRANT {wanted} ON SCHEMA {names.quoted(place)} TO {role};",
        )


def refuse(lacking: Iterable[Lacking]) -> None:
    """Refuse if a privilege is missing.

    Raises:
        NotPermitted: one is missing; the hint has the statements for all.
    """
    found = list(lacking)
    if found:
        more = f", and {len(found) - 1} more" if found[1:] else ""
        raise errors.NotPermitted(found[0].found + more, hint=statements(found))


def statements(lacking: Iterable[Lacking]) -> str:
    """Return the statements that grant everything that is missing."""
    return " ".join(item.statement for item in lacking)


def of_schema(connection: db.Connection, oid: int) -> Iterator[Lacking]:
    """Yield the memberships that the role lacks to have the rights of a schema's owners."""
    return _of_others(connection, catalog.belonging_to_others(connection, oid))


def _of_others(connection: db.Connection, owned: Sequence[Owned]) -> Iterator[Lacking]:
    """Yield for each owner the membership that the role lacks, or a change of owner if no membership is possible."""
    role = names.quoted(connection.info.user)
    for owner in dict.fromkeys(item.owner for item in owned):
        items = [item for item in owned if item.owner == owner]
        listed = ", ".join(f"{item.kind.lower()} {item.identity}" for item in items[:_SHOWN])
        more = f" and {len(items) - _SHOWN} more" if items[_SHOWN:] else ""
        if catalog.may_have_members(connection, owner):
            statement = f"GRANT {names.quoted(owner)} TO {role};"
        else:
            statement = " ".join(f"ALTER {item.kind} {item.identity} OWNER TO {role};" for item in items)
        yield Lacking(
            found=f"role {role} lacks the rights of {names.quoted(owner)}, the owner of {listed}{more}",
            statement=statement,
        )
