"""What the releases of the schema `league` should be after each command: the documented rules, without a server.

A method does what the command of its name should do, and raises the error that the command should raise.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto

from bluegreen_etl import errors
from bluegreen_etl.model import Direction, Status

LIVE = "league"
BY_HAND = "league_by_hand"


class Ending(Enum):
    """How a load ends."""

    READY = auto()
    BAD_ROW = auto()
    CHECK_FAILED = auto()
    CONNECTION_LOST = auto()  # the load can clean up
    DIED = auto()


@dataclass(eq=False)
class Schema:
    """A schema whose rows are all of one generation; `writes` counts the writes by hand."""

    generation: int
    rows: int
    writes: int = 0


@dataclass(eq=False)
class Release:
    """A release as the ledger should have it; `seen` is the number of writes to `base` when the load began."""

    number: int
    status: Status
    schema: Schema | None = None
    base: Schema | None = None
    seen: int = 0
    replaced: "Release | None" = None
    retired: int = 0

    @property
    def own_name(self) -> str:
        """The name of the release's schema while it is not live."""
        return f"{LIVE}__r{self.number}"


@dataclass
class League:
    """All schemas by name and all releases by number."""

    keep: int
    schemas: dict[str, Schema] = field(default_factory=dict)
    releases: dict[int, Release] = field(default_factory=dict)
    clock: int = 0

    @property
    def live(self) -> Release | None:
        """The release that the ledger says is live."""
        return next(iter(self.having(Status.LIVE)), None)

    @property
    def current(self) -> Schema | None:
        """The schema under the live name."""
        return self.schemas.get(LIVE)

    @property
    def drifted(self) -> bool:
        """Whether live was replaced by hand."""
        return bool(self.releases) and (self.live.schema if self.live else None) is not self.current

    def having(self, *statuses: Status) -> list[Release]:
        """Return the releases of some statuses by number."""
        return [release for release in self.releases.values() if release.status in statuses]

    def where(self, schema: Schema | None) -> str | None:
        """Return the current name of a schema."""
        return next((name for name, other in self.schemas.items() if other is schema), None)

    # ---- commands

    def load(self, schema: Schema, ending: Ending = Ending.READY) -> Release:
        """Add a release with the contents of the files."""
        self._refuse_taken_names()
        for dead in self.having(Status.LOADING, Status.FAILED):
            self._drop(dead)
        if self.live is None and self.current is not None:
            self._adopt(self.current)
        release = self._add(Status.LOADING, base=self.current, seen=self.current.writes if self.current else 0)
        if ending is Ending.DIED:
            raise errors.ServerFailed("died")
        release.status = Status.READY if ending is Ending.READY else Status.FAILED
        if ending in {Ending.READY, Ending.CHECK_FAILED}:
            release.schema = self.schemas[release.own_name] = schema
        if ending is not Ending.READY:
            raise _ERRORS[ending](str(ending))
        return release

    def promote(self, number: int | None, *, force: bool, discard: bool = False, dies: bool = False) -> None:
        """Make the newest ready release live, or the one of this number; `dies`: just before the swap."""
        with self._refused_without_releases():
            ready = self.having(Status.READY)
            incoming = ready[-1] if number is None else self.releases[number]
        if incoming.status not in {Status.READY, Status.PREVIOUS}:
            raise errors.Refused("not to be promoted")
        self._cut_over(Direction.PROMOTE, incoming, force=force, discard=discard, dies=dies)

    def rollback(self, number: int | None, *, force: bool) -> None:
        """Make the previous release live, or the one of this number."""
        if self.live is None:
            raise errors.Refused("nothing is live")
        with self._refused_without_releases():
            incoming = self.live.replaced if number is None else self.releases[number]
        if incoming is None or incoming.status is not Status.PREVIOUS:
            raise errors.Refused("not to be gone back to")
        self._cut_over(Direction.ROLLBACK, incoming, force=force)

    def prune(self, keep: int) -> tuple[list[int], list[int]]:
        """Drop what is not needed; return the numbers dropped, and those that could not be dropped."""
        if not self.releases:
            raise errors.Refused("no releases")
        live = self.live.number if self.live else 0
        previous = sorted(self.having(Status.PREVIOUS), key=lambda release: release.retired, reverse=True)
        chosen = [
            *self.having(Status.FAILED, Status.LOADING),
            *(release for release in self.having(Status.READY) if release.number < live),
            *previous[keep:],
        ]
        dropped = [release.number for release in chosen if self._drop(release)]
        return sorted(dropped), sorted({release.number for release in chosen} - set(dropped))

    # ---- by hand

    def rename(self, old: str, new: str) -> None:
        """Rename a schema by hand."""
        self.schemas[new] = self.schemas.pop(old)

    # ---- shared by the commands

    def _cut_over(
        self, direction: Direction, incoming: Release, *, force: bool, discard: bool = False, dies: bool = False
    ) -> None:
        outgoing = self._outgoing(incoming, force=force)
        base = incoming.base
        fresh = incoming.status is Status.READY and not discard
        if fresh and base and self.where(base) and base.writes > incoming.seen:
            raise errors.Refused("rows were written")
        if dies:
            raise errors.ServerFailed("died")
        if incoming.schema is None or self.where(incoming.schema) != incoming.own_name:
            raise errors.Conflict("not where the ledger says")
        if outgoing:
            self._retire(outgoing)
            self.rename(LIVE, outgoing.own_name)
        self.rename(incoming.own_name, LIVE)
        incoming.status = Status.LIVE
        if direction is Direction.PROMOTE:
            incoming.replaced = outgoing
        self.prune(self.keep)

    def _outgoing(self, incoming: Release, *, force: bool) -> Release | None:
        if self.drifted:
            if not force:
                raise errors.Conflict("replaced by hand")
            if self.live:
                gone = self.live
                self._retire(gone)
                if self.where(gone.schema) is None:
                    gone.status, gone.schema = Status.PRUNED, None
            if self.current:
                self._adopt(self.current)
            if incoming is self.live:
                raise errors.Refused("live already")
        if incoming.status is Status.READY and incoming.base is not self.current and not force:
            raise errors.Conflict("not what the load saw")
        return self.live

    def _adopt(self, schema: Schema) -> None:
        known = [release for release in self.having(Status.READY, Status.PREVIOUS) if release.schema is schema]
        release = known[0] if known else self._add(Status.LOADING, schema=schema)
        release.status = Status.LIVE

    def _add(
        self, status: Status, *, schema: Schema | None = None, base: Schema | None = None, seen: int = 0
    ) -> Release:
        number = len(self.releases) + 1
        self.releases[number] = Release(number, status, schema=schema, base=base, seen=seen)
        return self.releases[number]

    def _retire(self, release: Release) -> None:
        self.clock += 1
        release.status, release.retired = Status.PREVIOUS, self.clock

    def _drop(self, release: Release) -> bool:
        """Drop a release unless its schema was renamed by hand."""
        if release.schema and self.where(release.schema) not in {None, release.own_name}:
            return False
        self.schemas.pop(release.own_name, None)
        release.status, release.schema = Status.PRUNED, None
        return True

    def _refuse_taken_names(self) -> None:
        coming = len(self.releases) + 1
        if self.live:
            names = [self.live.own_name, f"{LIVE}__r{coming}"]
        else:
            names = [f"{LIVE}__r{coming}", f"{LIVE}__r{coming + 1}"]
        if any(name in self.schemas for name in names):
            raise errors.Refused("the name is taken")

    @contextmanager
    def _refused_without_releases(self) -> Iterator[None]:
        try:
            yield
        except LookupError:
            raise errors.Refused("no such release") from None


_ERRORS: dict[Ending, type[errors.BluegreenError]] = {
    Ending.BAD_ROW: errors.BadRow,
    Ending.CHECK_FAILED: errors.ChecksFailed,
    Ending.CONNECTION_LOST: errors.ServerFailed,
}
