"""A release that the caller's own Python fills: opened, handed out, and then finished, checked and promoted."""

import contextlib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg

from bluegreen_etl import catalog, config, db, errors, model
from bluegreen_etl.commands import promote as promote_command
from bluegreen_etl.model import Release, SourceFile
from bluegreen_etl.releases import build, copy_data
from bluegreen_etl.releases.context import Context, refuse_if_protected
from bluegreen_etl.releases.lifecycle import Loaded, complete, failing_cleanly, open_release
from bluegreen_etl.releases.plan import plan_load
from bluegreen_etl.releases.progress import Stages
from bluegreen_etl.workers import Workers


class OpenRelease:
    """A release that is being filled.

    `connection` leads into it, in autocommit mode: names without a schema are the release's. `loaded` and `promoted`
    are what was done, once the release is left.
    """

    def __init__(self, context: Context, connection: db.Connection, release: Release, workers: Workers) -> None:
        self.connection = connection
        self.number = release.number
        self.schema = release.shadow_schema
        self.loaded: Loaded | None = None
        self.promoted: promote_command.Promoted | None = None
        self.files: list[SourceFile] = []
        self._context = context
        self._release = release
        self._workers = workers

    def copy(self, table: str, data: copy_data.Data) -> int:
        """Bring rows into a table by COPY, beside those that it has; return how many.

        Args:
            table: one of the release's tables.
            data: the path of a data file, a glob or a URL, as `bluegreen load` takes them; Arrow data (a table of
                pyarrow, polars, DuckDB or whatever has `__arrow_c_stream__`); or rows, either mappings or sequences.

        Raises:
            BadSource: a file cannot be read, or its columns do not fit.
            BadRow: a value is refused; names its row.
            Refused: the release has no such table.
        """
        brought = copy_data.bring(self._context, self.connection, self._release, table, data, self._workers)
        self.files += brought.files
        return brought.rows


class Logged:
    """The watcher of a program that has given none: the log of the package."""

    def __init__(self) -> None:
        self._log = logging.getLogger("bluegreen_etl")

    def say(self, text: str) -> None:
        """Log a line."""
        self._log.info(text)

    def stage(self, name: str, *, total: int = 0) -> None:
        """Log a stage."""
        self._log.info("%s, %d bytes", name, total) if total else self._log.info(name)

    def copied(self, table: str, size: int) -> None:
        """Log how far a table is."""
        self._log.debug("%s: %d bytes", table, size)

    def confirm(self, question: str, answer: str) -> bool:
        """Nobody can be asked: only `force` confirms."""
        self._log.info("%s (%s): nobody to ask", question, answer)
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
    """Fill a new release from Python; finish, check and promote it when the body ends, discard it when that raises.

    Args:
        dsn: a connection string or URL; None goes by bluegreen.toml, DATABASE_URL or PG*.
        schema: the live schema's name.
        promote: make it live; False leaves it ready.
        force: go on although the database is protected or live has changed.
        environment: a section [environments.NAME] of bluegreen.toml.
        settings: as in bluegreen.toml, over what that says: `{"checks": {"path": "checks"}}`.
        watcher: who is told how the work goes; the log `bluegreen_etl` by default.

    Raises:
        BluegreenError: what `load` and `promote` raise; and whatever the body raises.
    """
    resolved = config.resolve({**(settings or {}), "schema": schema, "dsn": dsn}, environment=environment)
    context = Context(resolved, watcher or Logged(), force=force)
    failure: BaseException | None = None
    try:
        with _opened(context, ask=promote) as opened:
            try:
                yield opened
            except BaseException as error:
                failure = error
                raise
    except errors.BluegreenError:
        # What the body raised is the caller's own, also where the driver raised it.
        if failure is not None:
            raise failure from failure.__cause__
        raise
    if promote:
        opened.promoted = promote_command.promote(context, number=opened.number)


@contextmanager
def _opened(context: Context, *, ask: bool) -> Iterator[OpenRelease]:
    """Open a release for the body, and make it ready after it; on failure take it back."""
    with context.server.connect(f"load {context.schema}") as connection:
        plan = plan_load(context, connection, None)
        if ask:
            refuse_if_protected(context, connection, "promote")
        begun = open_release(context, connection, plan)
        with failing_cleanly(context, connection, begun):
            stages = Stages(context.watcher, connection, begun)
            stages.begin("structure")
            begun = build.make_structure(context, connection, plan, begun)
            begun, put_off = build.put_off_keys(context, connection, plan, begun)
            stages.begin("copy")
            with (
                context.server.connect(f"load {plan.schema} r{begun.number}", plan.session) as own,
                contextlib.closing(Workers(plan.jobs)) as workers,
            ):
                path = catalog.search_path_into(own, begun.shadow_schema, live=begun.live_schema)
                db.apply_settings(own, {"search_path": path})
                opened = OpenRelease(context, own, begun, workers)
                yield opened
                if own.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                    own.commit()
            built = build.finish_filled(context, connection, plan, begun, put_off, stages)
            files = {(file.table, file.path): file for file in opened.files}
            built = built._replace(files=tuple(files.values()))
            opened.loaded = complete(context, connection, plan, built, stages)
