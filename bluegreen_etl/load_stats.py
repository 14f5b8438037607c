"""Progress and statistics of loads in the ledger: bytes read, stages, rows, check results."""

from collections.abc import Iterable, Mapping

from bluegreen_etl import db, model, queries
from bluegreen_etl.model import Release


class Reading(model.Record, frozen=True, kw_only=True):
    """Bytes read of a table's files; `total` is None if it is not known."""

    table: str
    done: int
    total: int | None


class _NumberedLoad(model.TableLoad, frozen=True, kw_only=True):
    """A table's load, with the number of its release."""

    number: int


class Work(model.Record, frozen=True, kw_only=True):
    """What a session does in a release: `share` of it is done, `rows` are the rows of its COPY so far.

    The server hides sessions of other roles from roles without pg_read_all_stats; hidden fields are None.
    """

    pid: int
    user: str | None
    does: str | None
    table: str | None
    rows: int | None
    share: float | None
    seconds: float | None


def record_stage(connection: db.Connection, release: Release, name: str, seconds: float | None) -> None:
    """Record that a stage has begun (`seconds` None), or how long it took."""
    connection.execute(queries.get("load_progress.insert_stage"), {"id": release.id, "name": name, "seconds": seconds})


def record_reading(connection: db.Connection, release: Release, sizes: Mapping[str, int | None]) -> None:
    """Record the size of each table's files in bytes; None if it is not known."""
    rows = [{"id": release.id, "table": table, "total": size} for table, size in sizes.items()]
    if rows:
        connection.cursor().executemany(queries.get("load_progress.insert_reading"), rows)


def update_reading(connection: db.Connection, release: Release, done: Mapping[str, int]) -> None:
    """Record how many bytes of each table's files have been read."""
    values = {"id": release.id, "tables": list(done), "done": list(done.values())}
    connection.execute(queries.get("load_progress.update_reading"), values)


def all_loaded_tables(
    connection: db.Connection, live_schema: str, numbers: Iterable[int]
) -> dict[int, list[model.TableLoad]]:
    """Return the load of each table, by the number of the release."""
    found: dict[int, list[model.TableLoad]] = {}
    values = {"schema": live_schema, "numbers": list(numbers)}
    for load in queries.records(connection, _NumberedLoad, "ledger_queries.all_loaded_tables", values):
        fields = {name: getattr(load, name) for name in model.TableLoad.__struct_fields__}
        found.setdefault(load.number, []).append(model.TableLoad(**fields))
    return found


def stages(connection: db.Connection, live_schema: str, numbers: Iterable[int]) -> dict[int, dict[str, float | None]]:
    """Return the seconds of each stage in order, by the number of the release; None for an unfinished stage."""
    found: dict[int, dict[str, float | None]] = {}
    values = {"schema": live_schema, "numbers": list(numbers)}
    for number, name, seconds in connection.execute(queries.get("load_progress.stages"), values):
        found.setdefault(number, {})[name] = seconds
    return found


def row_counts(connection: db.Connection, live_schema: str) -> dict[int, tuple[int, int]]:
    """Return the numbers of loaded and rejected rows, by the number of the release."""
    rows = connection.execute(queries.get("load_progress.row_counts"), {"schema": live_schema}).fetchall()
    return {number: (count, rejected) for number, count, rejected in rows}


def latest_checks(connection: db.Connection, release: Release) -> list[model.CheckResult]:
    """Return the latest result of each check of a release."""
    results = queries.records(connection, model.CheckResult, "ledger_queries.latest_checks", {"id": release.id})
    for result in results:
        if any(len(row) != len(result.columns) for row in result.sample):
            raise queries.damaged(f"check {result.name} of release {release.number} has rows of another width")
    return results


def begun(connection: db.Connection, release: Release) -> tuple[str | None, float]:
    """Return the current stage of a load, and how many seconds ago it began."""
    row = connection.execute(queries.get("load_progress.stage_under_way"), {"id": release.id}).fetchone()
    return (row[0], row[1]) if row else (None, 0.0)


def readings(connection: db.Connection, release: Release) -> list[Reading]:
    """Return how much of each table's files a load has read."""
    return queries.records(connection, Reading, "load_progress.readings", {"id": release.id})


def work(connection: db.Connection, release: Release) -> list[Work]:
    """Return what each session that works in a release does now."""
    values = {"schema": release.schema_oid, "application": f"bluegreen load {release.live_schema} r{release.number}"}
    return queries.records(connection, Work, "load_progress.work", values)
