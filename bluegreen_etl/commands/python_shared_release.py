"""A shared release as a program sees it: a handle that can be sent to other processes, which copy parts by it."""

from collections.abc import Mapping
from typing import Any

from bluegreen_etl import config, model
from bluegreen_etl.commands import promote as promote_command
from bluegreen_etl.commands import shared_release
from bluegreen_etl.commands.python_release import Logged
from bluegreen_etl.releases import copy_data, retention
from bluegreen_etl.releases.context import Context
from bluegreen_etl.releases.lifecycle import Loaded


class SharedRelease:
    """A release that many processes fill. It holds no connection: pickle it, or make it again by its number.

    Args:
        number: the release, as `open` has returned it.
        dsn: a connection string or URL; None goes by bluegreen.toml, DATABASE_URL or PG* of the process that uses it.
        schema: the live schema's name.
        environment: a section [environments.NAME] of bluegreen.toml.
        settings: as in bluegreen.toml, over what that says: `{"checks": {"path": "checks"}}`.
    """

    def __init__(
        self,
        number: int,
        dsn: str | None = None,
        *,
        schema: str | None = None,
        environment: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.number = number
        self._flags = {**(settings or {}), "schema": schema, "dsn": dsn}
        self._environment = environment

    @classmethod
    def open(
        cls,
        dsn: str | None = None,
        *,
        schema: str | None = None,
        environment: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> "SharedRelease":
        """Make a release that is empty and open for parts.

        Raises:
            BluegreenError: see shared_release.open_shared; live is unchanged.
        """
        own = cls(0, dsn, schema=schema, environment=environment, settings=settings)
        own.number = shared_release.open_shared(own._context()).release
        return own

    def part(self, table: str, data: copy_data.Data, *, key: str) -> model.Part:
        """Bring a part of a table's rows into the release, unless it is there already; return what of it is there.

        Args:
            table: one of the release's tables.
            data: a path, rows or Arrow data, as `release.copy` takes them.
            key: what tells this part of the table from every other one, and is the same when it is tried again.

        Raises:
            BadSource, BadRow: nothing of the part is there, and the release is still open.
            NoRelease, Refused: it is open no more, or has no such table.
        """
        return shared_release.copy_part(self._context(), self.number, table, data, key=key).part

    def finish(self, *, expect: shared_release.Expected | None = None) -> Loaded:
        """Build keys, indexes and statistics, check the release and make it ready; no part can come any more.

        Args:
            expect: how many parts there have to be, of all tables or by table; or by table their keys.

        Raises:
            WrongParts, LockNotObtained: parts are missing or under way, and the release is still open.
            BluegreenError: any other: it has failed, and live is unchanged.
        """
        return shared_release.finish(self._context(), self.number, expect=expect)

    def promote(self, *, force: bool = False) -> promote_command.Promoted:
        """Make the release live, once it is finished.

        Raises:
            BluegreenError: see promote.promote.
        """
        return promote_command.promote(self._context(force=force), number=self.number)

    def abort(self) -> retention.Pruned:
        """Give the release up: end the sessions that fill it, and drop it."""
        return shared_release.abort(self._context(), self.number)

    def _context(self, *, force: bool = False) -> Context:
        resolved = config.resolve(self._flags, environment=self._environment)
        return Context(resolved, Logged(), force=force)
