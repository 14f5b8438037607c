"""A cut-over as data. Promote and rollback are the same plan with the releases exchanged. Pure."""

from datetime import datetime
from uuid import UUID

from bluegreen_etl import model
from bluegreen_etl.catalog import Relation
from bluegreen_etl.cutover.dependents import Dependents
from bluegreen_etl.model import Direction, Release, Via


class Plan(model.Record, frozen=True, kw_only=True):
    """One cut-over: `incoming` becomes live, `outgoing` (None: no live schema) gets its own schema name back.

    Args:
        relations: the relations of live, views before tables.
        inspected: digest of everything that the plan was derived from: the value of the query `inspection`.
        fingerprint: digest of the part of it that can change until the locks are held.
        sequences: names of the sequences that both releases have, and whether each ascends.
        dependents: what the swap re-creates outside live, and what the `carried` tables need.
        repointing: the PL/pgSQL block that lets functions of the release find live; empty if none needs it.
        rehearsal: roll back instead of committing.
        distributed: Citus is installed, so that other nodes take part.
    """

    direction: Direction
    live_schema: str
    incoming: Release
    outgoing: Release | None
    relations: tuple[Relation, ...]
    inspected: str
    fingerprint: str
    inspection: str = ""
    sequences: tuple[tuple[str, bool], ...]
    dependents: Dependents = Dependents()
    carried: tuple[str, ...] = ()
    repointing: str = ""
    rehearsal: bool = False
    distributed: bool = False

    @property
    def locks(self) -> tuple[Relation, ...]:
        """The relations to lock, in the order in which readers and writers lock them."""
        return (*self.dependents.relations, *self.relations)


class Fence(model.Record, frozen=True, kw_only=True):
    """The conditions under which a swap without locks may commit.

    Args:
        until: readers may resume at this time of the server's clock.
        allowed: the pids that may be connected (None: any, because locks block them).
    """

    until: datetime
    allowed: tuple[int, ...] | None


class Terms(model.Record, frozen=True, kw_only=True):
    """How one attempt blocks readers.

    Args:
        timeout: seconds to wait for the locks; None does not wait.
        order: the relations to lock, in order.
        fence: what must still hold at the commit.
    """

    timeout: float | None
    order: tuple[Relation, ...]
    fence: Fence | None = None


class Try(model.Record, frozen=True, kw_only=True):
    """One attempt: the token that identifies its cut-over in the ledger, and its terms."""

    token: UUID
    number: int
    waited: float
    via: Via
    terms: Terms
