"""A release: its status and its origin."""

from datetime import datetime
from enum import StrEnum

from bluegreen_etl import errors, names
from bluegreen_etl.model.record import Record


class Status(StrEnum):
    """The status of a release; MOVES holds the legal transitions."""

    LOADING = "loading"
    READY = "ready"
    LIVE = "live"
    PREVIOUS = "previous"
    FAILED = "failed"
    PRUNED = "pruned"


MOVES: dict[Status, frozenset[Status]] = {
    Status.LOADING: frozenset({Status.READY, Status.FAILED}),
    Status.READY: frozenset({Status.LIVE, Status.PRUNED, Status.FAILED}),
    Status.LIVE: frozenset({Status.PREVIOUS}),
    Status.PREVIOUS: frozenset({Status.LIVE, Status.PRUNED, Status.FAILED}),
    Status.FAILED: frozenset({Status.PRUNED}),
    Status.PRUNED: frozenset(),
}


class Origin(StrEnum):
    """How a release was created."""

    LOADED = "loaded"
    ADOPTED = "adopted"  # live before bluegreen first saw the schema


class StructureFrom(StrEnum):
    """The source of the shadow schema's tables."""

    LIVE = "live"
    DDL = "ddl"
    FILES = "files"
    COMMAND = "command"  # the schema starts empty, and the program creates the tables
    BACKUP = "backup"


class Isolation(StrEnum):
    """How a program that fills a release is kept from changing live."""

    SCHEMA = "schema"  # names without a schema resolve in the release
    DATABASE = "database"  # a scratch database, in which the live schema's name is the release too


class Release(Record, frozen=True, kw_only=True):
    """One generation of the data, as the ledger records it.

    `schema_oid` identifies the schema under any name; `base_oid` is the OID of the schema that was live when the load
    began (None: no schema was live). `open_until`: when an unfinished release becomes stale; None if the release is
    not open for parts.
    """

    id: int
    live_schema: str
    number: int
    status: Status
    origin: Origin
    schema_oid: int | None
    base_oid: int | None
    structure: StructureFrom | None
    created_at: datetime
    created_by: str
    ready_at: datetime | None = None
    promoted_at: datetime | None = None
    retired_at: datetime | None = None
    failure: str | None = None
    open_until: datetime | None = None

    @property
    def oid(self) -> int:
        """Return the OID of the release's schema.

        Raises:
            NoRelease: the ledger has no schema for this release.
        """
        if self.schema_oid is None:
            raise errors.NoRelease(
                f"release {self.number} of {self.live_schema} is {self.status} and has no schema",
                hint="Run `bluegreen status` to see which releases have one.",
            )
        return self.schema_oid

    @property
    def purpose(self) -> str:
        """Return the purpose of the sessions that load the release, for `db.Server.connect`."""
        return f"load {self.live_schema} r{self.number}"

    @property
    def session_name(self) -> str:
        """Return the application name of the sessions that load the release."""
        return f"bluegreen {self.purpose}"

    @property
    def shadow_schema(self) -> str:
        """Return the name of the schema while the release is not live."""
        return names.shadow_schema(self.live_schema, self.number)
