"""Look up releases in the ledger, and whether a release is stale: its process is gone."""

from typing import Literal

from bluegreen_etl import catalog, db, errors, ledger
from bluegreen_etl.cutover import blockers
from bluegreen_etl.model import Release, Status

LOAD_LOCK = "load"


def hold_load_lock(connection: db.Connection, schema: str) -> None:
    """Take the lock that blocks other loads of the same live schema until the connection ends.

    Raises:
        AnotherRun: another load is running.
    """
    if not db.try_lock(connection, LOAD_LOCK, schema):
        raise errors.AnotherRun(
            f"another load of {schema} is running; its lock is held by: "
            f"{blockers.show_lock_holders(connection, LOAD_LOCK, schema)}",
            hint="Run it again when that session has ended; `bluegreen status` shows its progress.",
        )


def is_stale(release: Release, *, loading: bool) -> bool:
    """Return whether the process that loads a release is gone; `loading`: some process holds the load lock."""
    return release.status is Status.LOADING and not loading and release.open_until is None


def known_releases(connection: db.Connection, schema: str, *, to: Literal["read", "write"] = "read") -> list[Release]:
    """Return the releases of a live schema; upgrade an older ledger first if this session may write."""
    if ledger.exists(connection):
        ledger.ensure(connection, to=to)
    return ledger.releases(connection, schema)


def require_releases(connection: db.Connection, schema: str, *, to: Literal["read", "write"] = "write") -> None:
    """Refuse a live schema without releases; `to` is what the command will do with the ledger.

    Raises:
        NoRelease: this database has no ledger, or no release of this schema.
    """
    if not known_releases(connection, schema, to=to):
        raise errors.NoRelease(
            f"database {connection.info.dbname} has no release of schema {schema}",
            hint="Run `bluegreen load` first, or correct `--schema` or the connection.",
        )


def find_schema_name(connection: db.Connection, release: Release) -> str:
    """Return the present name of a release's schema.

    Raises:
        NoRelease: the schema is gone.
    """
    schema = catalog.schema_name(connection, release.schema_oid) if release.schema_oid else None
    if schema is None:
        raise errors.NoRelease(
            f"release {release.number} of {release.live_schema} is {release.status}, and its schema is gone",
            hint="Run `bluegreen status` to see which releases have a schema.",
        )
    return schema
