"""What a release is, compared with live: each part by its digest, so that every difference has a name."""

from typing import NamedTuple

from psycopg import sql

from bluegreen_etl import catalog, db, ledger
from bluegreen_etl.cutover import definition
from bluegreen_etl.cutover.definition import Part
from bluegreen_etl.model import ForeignKey, Release

_WAIT = 5.0  # seconds to wait for sessions that hold a relation of live exclusively


class Difference(NamedTuple):
    """A part of live that the release lacks, has in another form, or has in addition.

    Attributes:
        is_change: both sides have the object that the part is or describes.
    """

    part: Part
    in_live: bool
    in_release: bool
    is_change: bool


def differences(connection: db.Connection, release: Release, live_oid: int) -> list[Difference]:
    """Return the parts in which a release and live differ, without carried tables and the keys that refer to these.

    Raises:
        LockNotObtained: a session holds a relation of live exclusively.
    """
    carried = ledger.carried_tables(connection, release)
    left_out = [oid for schema in (live_oid, release.oid) for oid in catalog.belongings(connection, schema, carried)]
    schema = catalog.schema_name(connection, release.oid) or release.shadow_schema
    # The release has them once it is live.
    keys = {part for key in ledger.carried_keys(connection, release) for part in _parts(key)}
    with definition.deparsing(connection, release.live_schema, wait=_WAIT):
        before = _digests(connection, definition.digests(connection, live_oid, left_out=left_out))
        renamed = (schema, release.live_schema)
        after = _digests(connection, definition.digests(connection, release.oid, left_out=left_out, renamed=renamed))
    common = before.keys() & after.keys()
    described = {part.name for part in common if not _is_attribute(part)}
    return [
        Difference(
            part=part,
            in_live=part in before,
            in_release=part in after,
            is_change=part in common or (_is_attribute(part) and part.name in described),
        )
        for part in sorted(before.keys() | after.keys(), key=str)
        if before.get(part) != after.get(part) and part not in keys
    ]


def _is_attribute(part: Part) -> bool:
    """Return whether a part describes an object that has a part of its own: its columns, default or comment."""
    return part.kind.endswith(" of") or part.kind.startswith(("comment on ", "label of "))


def _digests(connection: db.Connection, query: sql.SQL) -> dict[Part, str]:
    return {Part(kind=kind, name=name): digest for kind, _oid, name, digest in connection.execute(query)}


def _parts(key: ForeignKey) -> list[Part]:
    triggers = (f"RI_ConstraintTrigger_{side} on {key.table}" for side in "ac")
    return [Part(kind="constraint", name=key.name), *(Part(kind="trigger", name=name) for name in triggers)]
