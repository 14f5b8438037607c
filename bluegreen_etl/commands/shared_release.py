"""A release that many processes fill, on any number of machines: opened by one, filled in parts, finished by one.

No process lives as long as such a release, so the ledger says that it is open, and until when. A part is written into
the ledger by the transaction that brings its rows, so that one that comes again, or twice at once, is there once.
"""

import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial

import msgspec
import psycopg

from bluegreen_etl import catalog, db, errors, ledger, model, names
from bluegreen_etl.commands import promote as promote_command
from bluegreen_etl.model import Release, Status, StructureFrom
from bluegreen_etl.releases import build, copy_data, drop, lookup, retention
from bluegreen_etl.releases.context import Context, connections, refuse_if_protected
from bluegreen_etl.releases.lifecycle import Loaded, complete, failing_cleanly, open_release
from bluegreen_etl.releases.lookup import hold_load_lock
from bluegreen_etl.releases.plan import plan_load
from bluegreen_etl.releases.progress import Stages
from bluegreen_etl.shadow.dump import Entry
from bluegreen_etl.workers import Workers

# A server waits for the rest of a COPY from a machine that has vanished as long as TCP does: two hours, unless told.
_ABANDONED = {"tcp_keepalives_idle": "30", "tcp_keepalives_interval": "10", "tcp_keepalives_count": "6"}
_LOOK_EVERY = 0.2  # seconds
_GONE = frozenset({Status.FAILED, Status.PRUNED})
# How many parts there have to be: of all tables together, or by table, where the keys may be given too.
Expected = int | Mapping[str, int | Collection[str]]


class Opened(model.Record, frozen=True, kw_only=True):
    """A release that is open for parts until a moment, in a schema of its own."""

    schema: str
    release: int
    shadow_schema: str
    open_until: datetime | None


class Copied(model.Record, frozen=True, kw_only=True):
    """A part that is in the release; `repeated`: it was there already, and nothing was done."""

    schema: str
    release: int
    part: model.Part
    repeated: bool


def open_shared(context: Context) -> Opened:
    """Make a release that is empty and open for parts, without the keys and indexes that `finish` builds.

    Raises:
        Refused: there is nothing that its tables could be made from.
        AnotherRun, StillOpen: another load is running, or another release is open.
    """
    with context.server.connect(f"open {context.schema}") as connection:
        _refuse_without_structure(context, connection)
        plan = plan_load(context, connection, None)
        release = open_release(context, connection, plan)
        with failing_cleanly(context, connection, release):
            stages = Stages(context.watcher, connection, release)
            stages.begin("structure")
            release = build.make_structure(context, connection, plan, release)
            release, put_off = build.put_off_keys(context, connection, plan, release)
            stages.end()
            release = ledger.open_for_parts(connection, release, put_off, seconds=context.settings.load.open_for)
    context.watcher.say(f"release {release.number} of {context.schema} is open for parts")
    return Opened(
        schema=context.schema,
        release=release.number,
        shadow_schema=release.shadow_schema,
        open_until=release.open_until,
    )


def copy_part(context: Context, number: int, table: str, data: copy_data.Data | copy_data.Files, *, key: str) -> Copied:
    """Bring a part of a table's rows into an open release, unless it is there already.

    Args:
        key: what tells this part of the table from every other one, and is the same when it is tried again.

    Raises:
        BadSource, BadRow: nothing of the part is there, and the release is still open.
        NoRelease, Refused: no such release, open no more, or without such a table.
    """
    # Whoever drops the release ends the sessions of this name.
    purpose = names.program(context.schema, number).removeprefix("bluegreen ")
    with context.server.connect(purpose, {**_ABANDONED, **context.settings.load.session}) as connection:
        release = ledger.find(connection, context.schema, number)
        part = None if release.status in _GONE else ledger.find_part(connection, release, table, key)
        repeated = part is not None
        if part is None:
            with contextlib.closing(Workers(connections(context))) as workers:
                bring = partial(copy_data.bring, context, connection, release, table, data, workers)
                part, repeated = _taken(connection, release, table, key, bring)
    if repeated:
        context.watcher.say(f"part {key} of table {table} is there already: {part.rows} rows")
    return Copied(schema=context.schema, release=number, part=part, repeated=repeated)


def _taken(
    connection: db.Connection, release: Release, table: str, key: str, bring: Callable[[], copy_data.Brought]
) -> tuple[model.Part, bool]:
    """Bring a part and write it into the ledger, all or nothing; return it, and whether it came from somebody else."""
    begun = time.monotonic()
    with connection.transaction():
        # Whatever the role's default is: the part of another session that was waited for has to be seen.
        connection.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        if not ledger.keep_open(connection, release):
            raise _closed(ledger.find(connection, release.live_schema, release.number))
        if not ledger.take_part(connection, release, table, key):
            there = ledger.find_part(connection, release, table, key)
            assert there is not None  # whoever had it has committed
            return there, True
        brought = bring()
        # Each machine may call its own files the same.
        files = [msgspec.structs.replace(file, path=f"{file.path} (part {key})") for file in brought.files]
        ledger.record_sources(connection, release, files)
        part = model.Part(
            table=table,
            key=key,
            files=len(files),
            rows=brought.rows,
            bytes=brought.bytes,
            seconds=time.monotonic() - begun,
        )
        ledger.fill_part(connection, release, part)
        return part, False


def finish(context: Context, number: int, *, expect: Expected | None = None, promote: bool = False) -> Loaded:
    """Build what an open release lacks, check it and make it ready; no part can come any more.

    Args:
        expect: the parts that have to be there.
        promote: the caller goes on with promote, so protection is asked about now.

    Raises:
        NoRelease, WrongParts, LockNotObtained: it is not open, lacks parts, or some are under way: it stays as it is.
        BadRow, ChecksFailed, Refused, Conflict, ServerFailed: the release has failed, live is unchanged.
    """
    with context.server.connect(f"load {context.schema} r{number}") as connection:
        lookup.require_releases(connection, context.schema)
        release = _opened(connection, context.schema, number)
        plan = plan_load(context, connection, None, structure=release.structure)
        if promote:
            refuse_if_protected(context, connection, "promote")
        hold_load_lock(connection, context.schema)
        kept = _close(context, connection, release, expect)
        parts = ledger.parts(connection, release)
        release = ledger.find(connection, context.schema, number)
        with failing_cleanly(context, connection, release):
            stages = Stages(context.watcher, connection, release)
            put_off = msgspec.convert(kept, list[Entry])
            built = build.finish_filled(context, connection, plan, release, put_off, stages)
            built = built._replace(loads=tuple(_with_parts(load, parts) for load in built.loads))
            return complete(context, connection, plan, built, stages)


def finish_and_promote(context: Context, number: int, *, expect: Expected | None = None) -> promote_command.Released:
    """Finish an open release and make it live at once.

    Raises:
        BluegreenError: of finish or promote; where promote failed, the release stays ready.
    """
    loaded = finish(context, number, expect=expect, promote=True)
    return promote_command.Released(loaded=loaded, promoted=promote_command.promote(context, number=number))


def abort(context: Context, number: int) -> retention.Pruned:
    """Give an open release up: end the sessions that fill it, and drop it.

    Raises:
        NoRelease: it is not open; a dead one is dropped all the same.
        AnotherRun: somebody is finishing it.
    """
    with context.server.connect(f"abort {context.schema}") as connection:
        lookup.require_releases(connection, context.schema)
        hold_load_lock(connection, context.schema)
        release = ledger.find(connection, context.schema, number)
        if release.status is not Status.LOADING:
            raise _closed(release)
        release = ledger.advance(connection, release, Status.FAILED, "aborted")
        ledger.note(connection, release, model.EventKind.ABORTED)
        drop.drop(context.server, connection, release)
        kept = [r.number for r in ledger.releases(connection, context.schema) if r.status is Status.PREVIOUS]
        return retention.Pruned(schema=context.schema, dropped=(number,), kept=tuple(kept), refused={})


def _refuse_without_structure(context: Context, connection: db.Connection) -> None:
    wanted, oid = context.settings.structure, catalog.schema_oid(connection, context.schema)
    from_live = oid is not None and catalog.tables(connection, oid)
    if wanted.source is StructureFrom.COMMAND or not (wanted.ddl or from_live):
        raise errors.Refused(
            f"there is neither a schema {context.schema} with tables nor DDL to make the tables of a release from",
            hint="Name the project's DDL under [structure] ddl; `bluegreen init DATA` writes one.",
        )


def _opened(connection: db.Connection, schema: str, number: int) -> Release:
    release = ledger.find(connection, schema, number)
    if release.open_until is None:
        raise _closed(release)
    return release


def _closed(release: Release) -> errors.NoRelease:
    reason = f": {release.failure}" if release.failure else ""
    return errors.NoRelease(
        f"release {release.number} of {release.live_schema} is {release.status}, and not open for parts{reason}",
        hint="Look with `bluegreen status`; `bluegreen open` opens a new one.",
    )


def _close(
    context: Context, connection: db.Connection, release: Release, expect: Expected | None
) -> list[dict[str, object]]:
    """Let no part come any more, once none is under way and all are there; return what was put off."""

    def attempt(_number: int) -> list[dict[str, object]]:
        with connection.transaction():
            put_off = ledger.close(connection, release)
            if put_off is None:
                raise _closed(ledger.find(connection, release.live_schema, release.number))
            _refuse_unexpected(ledger.parts(connection, release), expect)
            return put_off

    def tell(number: int, _error: BaseException) -> None:
        if number == 1:
            context.watcher.say(f"waiting for parts under way: {_under_way(connection, release)}")

    max_wait = context.settings.promote.max_wait
    try:
        return db.retry(attempt, max_wait=max_wait, pause=lambda _number: _LOOK_EVERY, on_retry=tell)
    except psycopg.errors.LockNotAvailable as error:
        raise errors.LockNotObtained(
            f"parts of release {release.number} are under way, still after {max_wait:g} s: "
            f"{_under_way(connection, release)}",
            hint="The release is still open. Run it again when they have ended, or raise --max-wait.",
        ) from error


def _under_way(connection: db.Connection, release: Release) -> str:
    return model.sessions_shown(ledger.parts_under_way(connection, release))


def _refuse_unexpected(parts: Sequence[model.Part], expect: Expected | None) -> None:
    """Refuse where other parts are there than are expected.

    Raises:
        WrongParts: names how many of which table, or those that are missing.
    """
    if isinstance(expect, int):
        wrong = [_counted("the release", len(parts), expect)]
    else:
        own = partial(_compared, parts)
        wrong = [own(table, wanted) for table, wanted in (expect or {}).items()]
    found = [text for text in wrong if text]
    if found:
        raise errors.WrongParts(
            "; ".join(found), hint="The release is still open: copy what is missing and finish it again, or abort it."
        )


def _compared(parts: Iterable[model.Part], table: str, wanted: int | Collection[str]) -> str | None:
    there = {part.key for part in parts if part.table == table}
    if isinstance(wanted, int):
        return _counted(f"table {table}", len(there), wanted)
    missing, strange = sorted(set(wanted) - there), sorted(there - set(wanted))
    words = [
        f"{what} {', '.join(keys)}"
        for what, keys in (("lacks part", missing), ("has unexpected part", strange))
        if keys
    ]
    return f"table {table} {' and '.join(words)}" if words else None


def _counted(what: str, there: int, wanted: int) -> str | None:
    return None if there == wanted else f"{what} has {there} parts, {wanted} are expected"


def _with_parts(load: model.TableLoad, parts: Iterable[model.Part]) -> model.TableLoad:
    own = [part for part in parts if part.table == load.table]
    return msgspec.structs.replace(
        load,
        files=sum(part.files for part in own),
        bytes=sum(part.bytes for part in own),
        seconds=sum(part.seconds for part in own),
    )
