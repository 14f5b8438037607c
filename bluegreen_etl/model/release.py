"""A release: where it is in its life, and how it came to be."""

from datetime import datetime
from enum import StrEnum

from bluegreen_etl import errors, names
from bluegreen_etl.model.record import Record


class Status(StrEnum):
    """Where a release is in its life; MOVES holds the legal moves between them."""

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
    """How a release came to be."""

    LOADED = "loaded"
    ADOPTED = "adopted"  # it was live before the tool first saw it


class StructureFrom(StrEnum):
    """Where the shadow's tables come from."""

    LIVE = "live"
    DDL = "ddl"
    FILES = "files"
    COMMAND = "command"  # the schema is empty, and the program that fills it makes them
    BACKUP = "backup"


class Isolation(StrEnum):
    """What keeps a program that fills a release away from live."""

    SCHEMA = "schema"  # names without a schema lead into the release
    DATABASE = "database"  # a scratch database, where the live schema's name leads into it as well


class Release(Record, frozen=True, kw_only=True):
    """One generation of the data, as the ledger has it.

    `schema_oid` identifies its schema whatever the schema is called; `base_oid` is the OID of the schema that was
    live when the load began (None: there was none). `open_until`: when it is dead if nobody finishes it; None where it
    is not open for parts.
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
            NoRelease: the ledger knows no schema of this release.
        """
        if self.schema_oid is None:
            raise errors.NoRelease(
                f"release {self.number} of {self.live_schema} is {self.status} and has no schema",
                hint="Run `bluegreen status` to see which releases have one.",
            )
        return self.schema_oid

    @property
    def purpose(self) -> str:
        """Return the purpose of the sessions that load the release, as `db.Server.connect` takes it."""
        return f"load {self.live_schema} r{self.number}"

    @property
    def session_name(self) -> str:
        """Return the application name of the sessions that load the release."""
        return f"bluegreen {self.purpose}"

    @property
    def shadow_schema(self) -> str:
        """The schema's name while the release is not live."""
        return names.shadow_schema(self.live_schema, self.number)
