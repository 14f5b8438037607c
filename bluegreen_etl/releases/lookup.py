"""Look up releases in the ledger, and whether one is stale: its process is gone."""

from typing import Literal

from bluegreen_etl import catalog, db, errors, ledger
from bluegreen_etl.cutover import blockers
from bluegreen_etl.model import Release, Status
from bluegreen_etl.releases import lookup


def hold_load_lock(connection: db.Connection, schema: str) -> None:
    """Keep other loads of the same live schema away until the connection ends.

    Raises:
        Conflict: one is running.
    """
    if not db.try_lock(connection, lookup.LOAD_LOCK, schema):
        raise errors.AnotherRun(
            f"another load of {schema} is running; its lock is held by: "
            f"{blockers.show_lock_holders(connection, lookup.LOAD_LOCK, schema)}",
            hint="Run it again when that session has ended; `bluegreen status` shows its progress.",
        )


LOAD_LOCK = "load"


def is_stale(release: Release, *, loading: bool) -> bool:
    """Say whether nobody will make a release ready; `loading`: somebody loads, or finishes one that was open."""
    return release.status is Status.LOADING and not loading and release.open_until is None


def known_releases(connection: db.Connection, schema: str, *, to: Literal["read", "write"] = "read") -> list[Release]:
    """Return the releases of a live schema, out of a ledger that this version of the tool can read."""
    if ledger.exists(connection):
        ledger.ensure(connection, to=to)
    return ledger.releases(connection, schema)


def require_releases(connection: db.Connection, schema: str, *, to: Literal["read", "write"] = "write") -> None:
    """Refuse where no release was ever made; `to` is what the command wants to do with the ledger.

    Raises:
        Refused: this database has no ledger, or no release of this schema.
    """
    if not known_releases(connection, schema, to=to):
        raise errors.NoRelease(
            f"database {connection.info.dbname} has no release of schema {schema}",
            hint="Make one with `bluegreen load`, or look at --schema and the connection.",
        )


def schema_of(connection: db.Connection, release: Release) -> str:
    """Return what the schema of a release is called now.

    Raises:
        Refused: it is gone.
    """
    schema = catalog.schema_name(connection, release.schema_oid) if release.schema_oid else None
    if schema is None:
        raise errors.NoRelease(
            f"release {release.number} of {release.live_schema} is {release.status}, its schema is gone",
            hint="Look with `bluegreen status`.",
        )
    return schema
