"""Give the objects of a release the privileges of live's objects, whatever default privileges there are.

pg_dump writes privileges as the difference from the built-in defaults. Default privileges of a role (ALTER DEFAULT
PRIVILEGES) change what a new object starts with, so its statements alone give too much or too little.
"""

import psycopg

from bluegreen_etl import db, errors, model, queries

_SHOWN = 5


class Grant(model.Record, frozen=True, kw_only=True):
    """A GRANT statement; `grantor` is the role that must run it, None for the owner."""

    grantor: str | None
    statement: str


class Difference(model.Record, frozen=True, kw_only=True):
    """An object of a release whose privileges or owner differ from live's.

    Attributes:
        name: the column; empty for other objects.
        revoke: the statement that revokes all privileges; None if there are none.
        grants: what live's object has, in its order.
        effective: a role may do more or less than on live; otherwise only a grantor or the order differs.
    """

    kind: str
    target: str
    name: str
    owner: str
    live_owner: str
    revoke: str | None
    grants: tuple[Grant, ...]
    effective: bool

    def __str__(self) -> str:
        place = f"{self.target}.{self.name}" if self.name else self.target
        what = "owner" if self.owner != self.live_owner else "privileges"
        return f"{what} of {self.kind.lower()} {place}"


def give(connection: db.Connection, release: model.Release) -> None:
    """Give the objects of a release the privileges of live's objects of the same name; others stay as they are."""
    if release.base_oid is None:
        return
    with connection.transaction():
        found = differences(connection, release)
        for difference in found:
            if difference.kind != "COLUMN":
                _give(connection, difference)
        # What is revoked on a table is revoked on its columns too.
        for difference in differences(connection, release) if found else ():
            if difference.kind == "COLUMN":
                _give(connection, difference)


def differences(connection: db.Connection, release: model.Release) -> list[Difference]:
    """Return the objects of a release whose privileges or owners differ from live's of the same name."""
    values = {"own": release.oid, "live": release.base_oid}
    return queries.records(connection, Difference, "privileges.differences", values)


def verify(connection: db.Connection, release: model.Release) -> list[Difference]:
    """Give a finished release the privileges of live's objects; return those whose grantor could not be kept.

    Raises:
        Refused: a role could do more or less than on live; names the objects.
    """
    if release.base_oid is None or not differences(connection, release):
        return []
    give(connection, release)
    found = differences(connection, release)
    wrong = [str(each) for each in found if each.effective]
    if wrong:
        more = f" and {len(wrong) - _SHOWN} more" if wrong[_SHOWN:] else ""
        raise errors.Refused(
            f"release {release.number} differs from {release.live_schema} in the {', '.join(wrong[:_SHOWN])}{more}",
            hint="Load as a role that has the rights of the owners and grantors: run `bluegreen doctor`.",
        )
    return [each for each in found if any(grant.grantor for grant in each.grants)]


def _give(connection: db.Connection, difference: Difference) -> None:
    if difference.revoke is not None:
        connection.execute(difference.revoke.encode())
    for grant in difference.grants:
        if grant.grantor is None or not _grant_as(connection, grant.grantor, grant.statement):
            connection.execute(grant.statement.encode())


def _grant_as(connection: db.Connection, grantor: str, statement: str) -> bool:
    """Grant as another role; return whether that role exists for us and may grant."""
    before = queries.value(connection, str, "privileges.role")
    try:
        with connection.transaction():
            connection.execute(queries.get("privileges.set_role"), {"role": grantor})
            connection.execute(statement.encode())
            connection.execute(queries.get("privileges.set_role"), {"role": before})
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True


def describe(found: list[Difference]) -> str:
    """Return a sentence about the objects whose privileges the owner has granted in place of another role."""
    listed = ", ".join(str(each) for each in found[:_SHOWN])
    return f"granted by the owner, because this role cannot act as the grantor on live: {listed}"
