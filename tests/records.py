"""Complete records for tests; a test gives only the fields that matter to it."""

from datetime import UTC, datetime, timedelta

from bluegreen_etl.model import Origin, Release, Status, StructureFrom

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def release(
    number: int, status: Status = Status.READY, *, retired: int | None = None, base: int | None = None
) -> Release:
    """Return a release of `league`; `retired` is in minutes after noon, `base` is the OID of live."""
    return Release(
        id=100 + number,
        live_schema="league",
        number=number,
        status=status,
        origin=Origin.LOADED,
        schema_oid=1000 + number,
        base_oid=base,
        structure=StructureFrom.LIVE,
        created_at=NOON,
        created_by="ann",
        retired_at=None if retired is None else NOON + timedelta(minutes=retired),
    )
