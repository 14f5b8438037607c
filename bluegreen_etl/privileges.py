"""What a role lacks to load and promote, each with the statement that mends it; docs/privileges.md says why."""

from collections.abc import Iterable, Iterator, Sequence

from bluegreen_etl import catalog, db, errors, model, names, queries
from bluegreen_etl.catalog import Dependent, Owned
from bluegreen_etl.model import Release

_SHOWN = 3


class Lacking(model.Record, frozen=True, kw_only=True):
    """A privilege that the role does not have, in words, and the statements for somebody who can give it."""

    found: str
    statement: str


def to_load(connection: db.Connection, live_oid: int | None) -> Iterator[Lacking]:
    """Yield what the role lacks to make a release beside the live schema."""
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
    forced = [row[0] for row in connection.execute(queries.get("doctor.forced_policies"), {"oid": live_oid})]
    if forced:
        yield Lacking(
            found=f"policies are forced on {', '.join(forced)}, and role {role} would not see all rows",
            statement=f"ALTER ROLE {role} BYPASSRLS;",
        )


def to_swap(
    connection: db.Connection, incoming: Release, outgoing: Release | None, dependents: Iterable[Dependent]
) -> Iterator[Lacking]:
    """Yield what the role lacks to exchange two releases, and to make again what hangs on the outgoing one."""
    for release in filter(None, (incoming, outgoing)):
        yield from of_schema(connection, release.oid)
    yield from to_follow(connection, dependents)


def to_follow(connection: db.Connection, dependents: Iterable[Dependent]) -> Iterator[Lacking]:
    """Yield what the role lacks to make again what follows a swap from other schemas."""
    owned, places = catalog.following_others(connection, dependents)
    yield from _of_others(connection, owned)
    role = names.quoted(connection.info.user)
    for place, wanted in places:
        yield Lacking(
            found=f"role {role} lacks {wanted} on schema {names.quoted(place)}, where something follows",
            statement=f"GRANT {wanted} ON SCHEMA {names.quoted(place)} TO {role};",
        )


def refuse(lacking: Iterable[Lacking]) -> None:
    """Refuse where something is lacking.

    Raises:
        NotPermitted: with the statements that mend it all.
    """
    found = list(lacking)
    if found:
        more = f", and {len(found) - 1} more" if found[1:] else ""
        raise errors.NotPermitted(found[0].found + more, hint=statements(found))


def statements(lacking: Iterable[Lacking]) -> str:
    """Return what gives a role all that it lacks."""
    return " ".join(item.statement for item in lacking)


def of_schema(connection: db.Connection, oid: int) -> Iterator[Lacking]:
    """Yield what the role lacks to do with a schema as its owner may."""
    return _of_others(connection, catalog.belonging_to_others(connection, oid))


def _of_others(connection: db.Connection, owned: Sequence[Owned]) -> Iterator[Lacking]:
    """Yield for each owner that the role should be a member of it; where nobody can be, that it should own itself."""
    role = names.quoted(connection.info.user)
    for owner in dict.fromkeys(item.owner for item in owned):
        own = [item for item in owned if item.owner == owner]
        listed = ", ".join(f"{item.kind.lower()} {item.identity}" for item in own[:_SHOWN])
        more = f" and {len(own) - _SHOWN} more" if own[_SHOWN:] else ""
        if catalog.may_have_members(connection, owner):
            statement = f"GRANT {names.quoted(owner)} TO {role};"
        else:
            statement = " ".join(f"ALTER {item.kind} {item.identity} OWNER TO {role};" for item in own)
        yield Lacking(
            found=f"role {role} does not have the rights of {names.quoted(owner)}, who owns {listed}{more}",
            statement=statement,
        )
