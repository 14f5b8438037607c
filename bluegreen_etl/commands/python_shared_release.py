"""A handle of a shared release for Python programs: other processes receive it and copy parts with it."""

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
    """A release that many processes fill. It holds no connection: pickle it, or construct it from its number.

    Args:
        number: the release's number, from `open`.
        dsn: a connection string or URL; None means bluegreen.toml, DATABASE_URL or PG* of the process that uses it.
        schema: the live schema's name.
        environment: a section [environments.NAME] of bluegreen.toml.
        settings: override bluegreen.toml, with the same keys: `{"checks": {"path": "checks"}}`.
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
        """Create an empty release that is open for parts.

        Raises:
            BluegreenError: see shared_release.open_shared; live is unchanged.
        """
        own = cls(0, dsn, schema=schema, environment=environment, settings=settings)
        own.number = shared_release.open_shared(own._context()).release
        return own

    def part(self, table: str, data: copy_data.Data, *, key: str) -> model.Part:
        """Copy a part of a table's rows into the release, at most once; return the part.

        Args:
            table: one of the release's tables.
            data: a path, rows or Arrow data, as `release.copy` takes them.
            key: identifies the part within its table; a retry uses the same key.

        Raises:
            BadSource, BadRow: nothing of the part was copied, and the release is still open.
            NoRelease, Refused: the release is not open, or has no such table.
        """
        return shared_release.copy_part(self._context(), self.number, table, data, key=key).part

    def finish(self, *, expect: shared_release.Expected | None = None) -> Loaded:
        """Close the release for parts, build keys, indexes and statistics, check it and make it ready.

        Args:
            expect: the number of parts of all tables, or by table; or the keys of each table's parts.

        Raises:
            WrongParts, LockNotObtained: parts are missing or being copied, and the release is still open.
            BluegreenError: any other: the release has failed, and live is unchanged.
        """
        return shared_release.finish(self._context(), self.number, expect=expect)

    def promote(self, *, force: bool = False) -> promote_command.Promoted:
        """Make the finished release live.

        Raises:
            BluegreenError: see promote.promote.
        """
        return promote_command.promote(self._context(force=force), number=self.number)

    def abort(self) -> retention.Pruned:
        """Drop the release; end the sessions that fill it first."""
        return shared_release.abort(self._context(), self.number)

    def _context(self, *, force: bool = False) -> Context:
        resolved = config.resolve(self._flags, environment=self._environment)
        return Context(resolved, Logged(), force=force)
