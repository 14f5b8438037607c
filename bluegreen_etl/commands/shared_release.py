"""A release that many processes fill, on any number of machines: opened by one, filled in parts, finished by one.

No process lives as long as such a release, so the ledger records until when it is open. The transaction that copies a
part also records it in the ledger, so that copying a part is idempotent, also if two processes copy it at once.
"""

import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial

import msgspec
import psycopg

from bluegreen_etl import catalog, db, errors, ledger, model, names, queries
from bluegreen_etl.commands import promote as promote_command
from bluegreen_etl.errors.unexpected import guarded
from bluegreen_etl.model import Release, Status, StructureFrom
from bluegreen_etl.releases import copy_data, drop, lookup, retention
from bluegreen_etl.releases.build import Build
from bluegreen_etl.releases.context import Context, count_jobs
from bluegreen_etl.releases.lifecycle import Loaded, check_built, failing_cleanly, make_ready, open_build, watch_live
from bluegreen_etl.releases.lookup import hold_load_lock
from bluegreen_etl.releases.plan import apply_own_settings, plan_load
from bluegreen_etl.shadow.dump import Entry
from bluegreen_etl.wording import counted
from bluegreen_etl.workers import Workers

# If a machine vanishes, the server waits for the rest of its COPY until TCP gives up: two hours by default.
_ABANDONED = {"tcp_keepalives_idle": "30", "tcp_keepalives_interval": "10", "tcp_keepalives_count": "6"}
_LOOK_EVERY = 0.2  # seconds
_GONE = frozenset({Status.FAILED, Status.PRUNED})
# The expected number of parts: of all tables together, or by table; or the keys of a table's parts.
Expected = int | Mapping[str, int | Collection[str]]


class Opened(model.Record, frozen=True, kw_only=True):
    """A release that is open for parts, and until when."""

    schema: str
    release: int
    shadow_schema: str
    open_until: datetime | None


class Copied(model.Record, frozen=True, kw_only=True):
    """A part of a release; `repeated`: an earlier call copied it, and this call changed nothing."""

    schema: str
    release: int
    part: model.Part
    repeated: bool


@guarded
def open_shared(context: Context) -> Opened:
    """Create an empty release that is open for parts, without the keys and indexes that `finish` builds.

    Raises:
        Refused: there is neither a live schema nor DDL to create its tables from.
        AnotherRun, StillOpen: another load is running, or another release is open.
    """
    with context.server.connect(f"open {context.schema}") as connection:
        _refuse_without_structure(context, connection)
        plan = plan_load(context, connection, None)
        with open_build(context, connection, plan) as build:
            build.create_structure()
            build.defer_indexes()
            build.stages.end()
            seconds = context.settings.load.open_for
            release = ledger.open_for_parts(connection, build.release, build.deferred, seconds=seconds)
    context.watcher.say(f"release {release.number} of {context.schema} is open for parts")
    return Opened(
        schema=context.schema,
        release=release.number,
        shadow_schema=release.shadow_schema,
        open_until=release.open_until,
    )


def copy_part(context: Context, number: int, table: str, data: copy_data.Data | copy_data.Files, *, key: str) -> Copied:
    """Copy a part of a table's rows into an open release, at most once.

    Args:
        key: identifies the part within its table; a retry uses the same key.

    Raises:
        BadSource, BadRow: nothing of the part was copied, and the release is still open.
        NoRelease, Refused: there is no such release, it is not open, or it has no such table.
    """
    # A command that drops the release ends the sessions of this name.
    purpose = names.program(context.schema, number).removeprefix("bluegreen ")
    with context.server.connect(purpose, _ABANDONED) as connection:
        apply_own_settings(context, connection)
        release = ledger.find(connection, context.schema, number)
        part = None if release.status in _GONE else ledger.find_part(connection, release, table, key)
        repeated = part is not None
        if part is None:
            with contextlib.closing(Workers(count_jobs(context))) as workers:
                copy = partial(copy_data.copy_into_table, context, connection, release, table, data, workers)
                part, repeated = _copy_once(connection, release, table, key, copy)
    if repeated:
        context.watcher.say(f"part {key} of table {table} is already copied: {counted(part.rows, 'row')}")
    return Copied(schema=context.schema, release=number, part=part, repeated=repeated)


def _copy_once(
    connection: db.Connection, release: Release, table: str, key: str, copy: Callable[[], copy_data.CopiedData]
) -> tuple[model.Part, bool]:
    """Copy a part and record it in one transaction; return it, and whether another session has copied it."""
    begun = time.monotonic()
    with connection.transaction():
        # Override the role's default: after waiting for another session, this one has to see its part.
        connection.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        if not ledger.keep_open(connection, release):
            raise _not_open(ledger.find(connection, release.live_schema, release.number))
        if not ledger.take_part(connection, release, table, key):
            existing = ledger.find_part(connection, release, table, key)
            assert existing is not None  # the session that held it has committed
            return existing, True
        copied = copy()
        # Files of different machines may have the same path.
        files = [msgspec.structs.replace(file, path=f"{file.path} (part {key})") for file in copied.files]
        ledger.record_sources(connection, release, files)
        part = model.Part(
            table=table,
            key=key,
            files=len(files),
            rows=copied.rows,
            bytes=copied.bytes,
            seconds=time.monotonic() - begun,
        )
        ledger.fill_part(connection, release, part)
        return part, False


@guarded
def finish(context: Context, number: int, *, expect: Expected | None = None) -> Loaded:
    """Close an open release for parts, build its keys and indexes, check it and make it ready.

    Args:
        expect: the parts that the release must have.

    Raises:
        NoRelease, WrongParts, LockNotObtained: the release is not open, lacks parts, or a part is still being copied;
            it is unchanged.
        BadRow, ChecksFailed, Refused, Conflict, ServerFailed: the release has failed, live is unchanged.
    """
    with context.server.connect(f"load {context.schema} r{number}") as connection:
        lookup.require_releases(connection, context.schema)
        release = _require_open(connection, context.schema, number)
        plan = plan_load(context, connection, None, structure=release.structure)
        hold_load_lock(connection, context.schema)
        kept = _close(context, connection, release, expect)
        parts = ledger.parts(connection, release)
        release = ledger.find(connection, context.schema, number)
        watch = watch_live(connection, plan, release)
        with failing_cleanly(context, connection, release, watch):
            build = Build(context, connection, plan, release, deferred=kept, watch=watch)
            built = build.finish_filled()
            built = built._replace(loads=tuple(_with_parts(load, parts) for load in built.loads))
            checks = check_built(build, built)
            return make_ready(build, built, checks)


@guarded
def finish_and_promote(context: Context, number: int, *, expect: Expected | None = None) -> promote_command.Released:
    """Finish an open release and make it live at once.

    Raises:
        BluegreenError: of finish or promote; if promote failed, the release stays ready.
    """
    return promote_command.and_promote(context, "promote", partial(finish, number=number, expect=expect))


@guarded
def abort(context: Context, number: int) -> retention.Pruned:
    """Drop a release that is open for parts or stale; end the sessions that fill it first.

    Raises:
        NoRelease: the release is neither open nor stale.
        AnotherRun: another session is finishing it.
    """
    with context.server.connect(f"abort {context.schema}") as connection:
        lookup.require_releases(connection, context.schema)
        hold_load_lock(connection, context.schema)
        release = ledger.find(connection, context.schema, number)
        if release.status is not Status.LOADING:
            raise _not_open(release)
        release = ledger.advance(connection, release, Status.FAILED, "aborted")
        ledger.note(connection, release, model.EventKind.ABORTED)
        drop.drop_release(context.server, connection, release)
        kept = [r.number for r in ledger.releases(connection, context.schema) if r.status is Status.PREVIOUS]
        return retention.Pruned(schema=context.schema, dropped=(number,), kept=tuple(kept), refused={})


def _refuse_without_structure(context: Context, connection: db.Connection) -> None:
    wanted, oid = context.settings.structure, catalog.schema_oid(connection, context.schema)
    from_live = oid is not None and catalog.tables(connection, oid)
    if wanted.source is StructureFrom.COMMAND or not (wanted.ddl or from_live):
        raise errors.Refused(
            f"cannot create the tables of a release: there is neither a schema {context.schema} with tables nor DDL",
            hint='Run `bluegreen init DATA` to write DDL, or name existing DDL: `[structure] ddl = ["schema.sql"]`.',
        )


def _require_open(connection: db.Connection, schema: str, number: int) -> Release:
    release = ledger.find(connection, schema, number)
    if release.open_until is None:
        raise _not_open(release)
    return release


def _not_open(release: Release) -> errors.NoRelease:
    reason = f": {release.failure}" if release.failure else ""
    return errors.NoRelease(
        f"release {release.number} of {release.live_schema} is {release.status}, and not open for parts{reason}",
        hint="Run `bluegreen open` to open a new release.",
    )


def _close(context: Context, connection: db.Connection, release: Release, expect: Expected | None) -> list[Entry]:
    """Close a release for parts when no part is being copied and none is missing; return the deferred entries."""

    def attempt(_number: int) -> list[Entry]:
        with connection.transaction():
            deferred = ledger.close(connection, release)
            if deferred is None:
                raise _not_open(ledger.find(connection, release.live_schema, release.number))
            _refuse_unexpected(ledger.parts(connection, release), expect)
            return queries.from_ledger(deferred, list[Entry])

    def report(number: int, _error: BaseException) -> None:
        if number == 1:
            context.watcher.say(f"waiting for parts that are being copied: {_describe_sessions(connection, release)}")

    max_wait = context.settings.promote.max_wait
    try:
        return db.retry(attempt, max_wait=max_wait, pause=lambda _number: _LOOK_EVERY, on_retry=report)
    except psycopg.errors.LockNotAvailable as error:
        raise errors.LockNotObtained(
            f"parts of release {release.number} are still being copied after {max_wait:g} s: "
            f"{_describe_sessions(connection, release)}",
            hint="The release is still open. Run it again when these sessions have ended, or raise `--max-wait`.",
        ) from error


def _describe_sessions(connection: db.Connection, release: Release) -> str:
    return model.sessions_shown(ledger.parts_under_way(connection, release))


def _refuse_unexpected(parts: Sequence[model.Part], expect: Expected | None) -> None:
    """Refuse a release that has other parts than expected.

    Raises:
        WrongParts: names the tables with wrong numbers of parts, or the missing parts.
    """
    if isinstance(expect, int):
        wrong = [_compare_number("the release", len(parts), expect)]
    else:
        wrong = [_compare(parts, table, wanted) for table, wanted in (expect or {}).items()]
    found = [text for text in wrong if text]
    if found:
        raise errors.WrongParts(
            "; ".join(found),
            hint="It is still open. Copy the missing parts, then run `bluegreen finish` again; or `bluegreen abort`.",
        )


def _compare(parts: Iterable[model.Part], table: str, wanted: int | Collection[str]) -> str | None:
    existing = {part.key for part in parts if part.table == table}
    if isinstance(wanted, int):
        return _compare_number(f"table {table}", len(existing), wanted)
    missing, strange = sorted(set(wanted) - existing), sorted(existing - set(wanted))
    words = [
        f"{what} {', '.join(keys)}"
        for what, keys in (("lacks part", missing), ("has unexpected part", strange))
        if keys
    ]
    return f"table {table} {' and '.join(words)}" if words else None


def _compare_number(what: str, existing: int, wanted: int) -> str | None:
    return None if existing == wanted else f"{what} has {counted(existing, 'part')}, {wanted} expected"


def _with_parts(load: model.TableLoad, parts: Iterable[model.Part]) -> model.TableLoad:
    own = [part for part in parts if part.table == load.table]
    return msgspec.structs.replace(
        load,
        files=sum(part.files for part in own),
        bytes=sum(part.bytes for part in own),
        seconds=sum(part.seconds for part in own),
    )
