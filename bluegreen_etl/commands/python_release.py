"""A release that the caller's Python fills: opened, filled by the body, then finished, checked and promoted."""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg

from bluegreen_etl import catalog, config, db, errors, model, search_path
from bluegreen_etl.commands import promote as promote_command
from bluegreen_etl.errors import unexpected
from bluegreen_etl.model import SourceFile
from bluegreen_etl.releases import copy_data
from bluegreen_etl.releases.build import Build
from bluegreen_etl.releases.context import Context, confirm
from bluegreen_etl.releases.lifecycle import Loaded, check_built, make_ready, open_build
from bluegreen_etl.releases.plan import plan_load
from bluegreen_etl.workers import Workers


class OpenRelease:
    """A release that is being filled.

    Attributes:
        connection: a session in autocommit mode; names without a schema are the release's.
        loaded: what the load did, after the body has ended.
        promoted: what the promote did, after the body has ended.
    """

    def __init__(self, build: Build, connection: db.Connection, workers: Workers) -> None:
        self.connection = connection
        self.number = build.release.number
        self.schema = build.release.shadow_schema
        self.loaded: Loaded | None = None
        self.promoted: promote_command.Promoted | None = None
        self.files: list[SourceFile] = []
        self._build = build
        self._workers = workers

    def copy(self, table: str, data: copy_data.Data) -> int:
        """Copy rows into a table, in addition to those that it has; return how many.

        Args:
            table: one of the release's tables.
            data: the path of a data file, a glob or a URL, as `bluegreen load` takes them; Arrow data (a table of
                pyarrow, polars, DuckDB or whatever has `__arrow_c_stream__`); or rows, either mappings or sequences.

        Raises:
            BadSource: a file cannot be read, or its columns do not fit.
            BadRow: a value is refused; names its row.
            Refused: the release has no such table.
        """
        build = self._build
        with search_path.pinned(self.connection) as own:
            copied = copy_data.copy_into_table(build.context, own, build.release, table, data, self._workers)
        self.files += copied.files
        return copied.rows


class Logged:
    """The default watcher: writes into the log of the package."""

    def __init__(self) -> None:
        self._log = logging.getLogger("bluegreen_etl")

    def say(self, text: str) -> None:
        """Log a line."""
        self._log.info(text)

    def stage(self, name: str, *, total: int = 0) -> None:
        """Log a stage."""
        self._log.info("%s, %d bytes", name, total) if total else self._log.info(name)

    def copied(self, table: str, size: int) -> None:
        """Log how many bytes of a table's files were read."""
        self._log.debug("%s: %d bytes", table, size)

    def confirm(self, question: str, answer: str) -> bool:
        """Return False: a program can confirm only by `force`."""
        self._log.info("%s (%s): no terminal to ask on", question, answer)
        return False


@contextmanager
def release(
    dsn: str | None = None,
    *,
    schema: str | None = None,
    promote: bool = True,
    force: bool = False,
    environment: str | None = None,
    settings: Mapping[str, Any] | None = None,
    watcher: model.Watcher | None = None,
) -> Iterator[OpenRelease]:
    """Fill a new release from Python; finish, check and promote it when the body ends, drop it if the body raises.

    Args:
        dsn: a connection string or URL; None means bluegreen.toml, DATABASE_URL or PG*.
        schema: the live schema's name.
        promote: make it live; False leaves it ready.
        force: go on although the database is protected or live has changed.
        environment: a section [environments.NAME] of bluegreen.toml.
        settings: override bluegreen.toml, with the same keys: `{"checks": {"path": "checks"}}`.
        watcher: receives messages and progress; the log `bluegreen_etl` by default.

    Raises:
        BluegreenError: what `load` and `promote` raise; and whatever the body raises.
        LiveWritten: the body raised after live was written to; its exception is the cause.
    """
    resolved = config.resolve({**(settings or {}), "schema": schema, "dsn": dsn}, environment=environment)
    context = Context(resolved, watcher or Logged(), force=force)
    if promote:
        context = confirm(context, "promote")
    with _open_for_caller(context) as opened:
        yield opened
    if promote:
        opened.promoted = promote_command.promote(context, number=opened.number)


@contextmanager
def _open_for_caller(context: Context) -> Iterator[OpenRelease]:
    """Open a release for the body, and raise the exceptions of the body unchanged, unless live was written to."""
    failure: BaseException | None = None
    try:
        with _open(context) as opened:
            try:
                yield opened
            except BaseException as error:
                failure = error
                raise
    except Exception as error:
        # An exception of the body goes to the caller unchanged, also one that the driver raised.
        if failure is not None and not isinstance(error, errors.LiveWritten):
            raise failure from failure.__cause__
        if isinstance(error, errors.BluegreenError):
            raise
        raise unexpected.explain(error) from error


@contextmanager
def _open(context: Context) -> Iterator[OpenRelease]:
    """Open a release for the body, and make it ready after it; if the body raises, drop the release."""
    with context.server.connect(f"load {context.schema}") as connection:
        plan = plan_load(context, connection, None)
        with open_build(context, connection, plan) as build:
            build.create_structure()
            build.defer_indexes()
            build.stages.begin("copy")
            with build.connect() as own, contextlib.closing(Workers(plan.jobs)) as workers:
                path = catalog.search_path_into(own, build.release.shadow_schema, live=plan.schema)
                search_path.hand_over(own, path)
                opened = OpenRelease(build, own, workers)
                yield opened
                if own.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                    own.commit()
            # A file that was copied twice is one source.
            build.files = tuple({(file.table, file.path): file for file in opened.files}.values())
            built = build.finish_filled()
            checks = check_built(build, built)
            opened.loaded = make_ready(build, built, checks)
