"""Watch: follow a load of another process until it ends."""

import time
from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime

from bluegreen_etl import db, ledger, load_stats, model
from bluegreen_etl.errors.unexpected import guarded
from bluegreen_etl.load_stats import Reading, Work
from bluegreen_etl.model import Release, Status
from bluegreen_etl.releases import lookup
from bluegreen_etl.releases.context import Context

_WINDOW = 10.0  # seconds over which a rate is measured
_OPEN = "open for parts"


class Flow(model.Record, frozen=True, kw_only=True):
    """Bytes of files read, and of how many if `total` is known; `rate` in bytes a second, `left` in seconds."""

    done: int
    total: int | None
    rate: float | None
    left: float | None


class Progress(model.Record, frozen=True, kw_only=True):
    """The progress of a load.

    Attributes:
        status: loading until the load ends; dead if its process was killed.
        stage_seconds: how long the present stage has taken.
        tables: the tables that files fill.
    """

    at: datetime
    schema: str
    number: int
    status: str
    stage: str | None
    stage_seconds: float
    seconds: float
    whole: Flow
    tables: dict[str, Flow]
    sessions: tuple[Work, ...]
    failure: str | None


@guarded
def watch(context: Context, *, every: float, show: Callable[[Progress], None]) -> None:
    """Show the progress of the running load every `every` seconds until it ends; return at once if there is none."""
    with context.server.connect(f"watch {context.schema}", to_read=True) as connection:
        lookup.known_releases(connection, context.schema)
        release = _loading(connection, context.schema)
        if release is None:
            context.watcher.say(f"no load of {context.schema} is running")
            return
        meter = _Meter()
        while True:
            progress = _read_progress(connection, release, meter)
            show(progress)
            if progress.status != Status.LOADING:
                return
            time.sleep(every)


def _loading(connection: db.Connection, schema: str) -> Release | None:
    loading = db.is_locked(connection, lookup.LOAD_LOCK, schema)
    under_way = [
        release
        for release in ledger.releases(connection, schema)
        if release.status is Status.LOADING and not lookup.is_stale(release, loading=loading)
    ]
    return under_way[-1] if under_way else None


class _Meter:
    """Computes rates from the progress of the last seconds."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[tuple[float, int]]] = {}

    def flow(self, table: str, done: int, total: int | None, *, since: float) -> Flow:
        """Return the flow of a table; the bytes read before the first look took `since` seconds."""
        now = time.monotonic()
        seen = self._seen.setdefault(table, deque([(now - since, 0)]))
        seen.append((now, done))
        while len(seen) > 2 and now - seen[1][0] >= _WINDOW:
            seen.popleft()
        begun, before = seen[0]
        rate = (done - before) / (now - begun) if now > begun else None
        left = (total - done) / rate if rate and total is not None else None
        return Flow(done=done, total=total, rate=rate, left=left)


def _read_progress(connection: db.Connection, release: Release, meter: _Meter) -> Progress:
    # Before the ledger: a load records its end before it releases its lock.
    locked = db.is_locked(connection, lookup.LOAD_LOCK, release.live_schema)
    now = ledger.find(connection, release.live_schema, release.number)
    stage, since = load_stats.begun(connection, now)
    readings = _parts(connection, now) if now.open_until else load_stats.readings(connection, now)
    age = (datetime.now(UTC) - now.created_at).total_seconds()
    return Progress(
        at=datetime.now(UTC),
        schema=now.live_schema,
        number=now.number,
        status="dead" if lookup.is_stale(now, loading=locked) else now.status,
        stage=stage or (_OPEN if now.open_until else None),
        stage_seconds=since if stage else age,
        seconds=age,
        whole=_whole(readings, meter, since),
        tables={item.table: meter.flow(item.table, item.done, item.total, since=since) for item in readings},
        sessions=tuple(load_stats.work(connection, now)) if now.status is Status.LOADING else (),
        failure=now.failure,
    )


def _parts(connection: db.Connection, release: Release) -> list[Reading]:
    """Return the bytes copied into a release that is open for parts; the total is not known."""
    done: Counter[str] = Counter()
    for part in ledger.parts(connection, release):
        done[part.table] += part.bytes
    return [Reading(table=table, done=size, total=None) for table, size in done.items()]


def _whole(readings: list[Reading], meter: _Meter, since: float) -> Flow:
    known = readings and all(item.total is not None for item in readings)
    total = sum(item.total or 0 for item in readings) if known else None
    return meter.flow("", sum(item.done for item in readings), total, since=since)
