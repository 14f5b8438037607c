"""What the ledger knows of loads in figures: how far they are, how long they took, what was in their tables."""

from collections.abc import Iterable, Mapping

import msgspec

from bluegreen_etl import db, model, queries
from bluegreen_etl.model import Release


class Reading(model.Record, frozen=True, kw_only=True):
    """How many bytes of the files of a table were read, of how many where that is known."""

    table: str
    done: int
    total: int | None


class Work(model.Record, frozen=True, kw_only=True):
    """What a session is at in a release: `share` of it is done, `rows` are those of its COPY so far.

    What belongs to another role is not shown to everybody, and then None.
    """

    pid: int
    user: str | None
    does: str | None
    table: str | None
    rows: int | None
    share: float | None
    seconds: float | None


def record_stage(connection: db.Connection, release: Release, name: str, seconds: float | None) -> None:
    """Write that a stage has begun (`seconds` None), or how long it took."""
    connection.execute(queries.get("load_progress.insert_stage"), {"id": release.id, "name": name, "seconds": seconds})


def record_reading(connection: db.Connection, release: Release, sizes: Mapping[str, int | None]) -> None:
    """Write how many bytes of files each table will be filled from, where that is known."""
    rows = [{"id": release.id, "table": table, "total": size} for table, size in sizes.items()]
    if rows:
        connection.cursor().executemany(queries.get("load_progress.insert_reading"), rows)


def update_reading(connection: db.Connection, release: Release, done: Mapping[str, int]) -> None:
    """Write how many bytes of each table's files have been read."""
    values = {"id": release.id, "tables": list(done), "done": list(done.values())}
    connection.execute(queries.get("load_progress.update_reading"), values)


def all_loaded_tables(
    connection: db.Connection, live_schema: str, numbers: Iterable[int]
) -> dict[int, list[model.TableLoad]]:
    """Return what the load of each table did, by the number of the release."""
    found: dict[int, list[model.TableLoad]] = {}
    values = {"schema": live_schema, "numbers": list(numbers)}
    for number, *row in connection.execute(queries.get("ledger_queries.all_loaded_tables"), values):
        load = model.TableLoad(**dict(zip(model.TableLoad.__struct_fields__, row, strict=True)))
        found.setdefault(number, []).append(load)
    return found


def stages(connection: db.Connection, live_schema: str, numbers: Iterable[int]) -> dict[int, dict[str, float | None]]:
    """Return how long each stage took, in order, by the number of the release; None of one that has not ended."""
    found: dict[int, dict[str, float | None]] = {}
    values = {"schema": live_schema, "numbers": list(numbers)}
    for number, name, seconds in connection.execute(queries.get("load_progress.stages"), values):
        found.setdefault(number, {})[name] = seconds
    return found


def row_counts(connection: db.Connection, live_schema: str) -> dict[int, tuple[int, int]]:
    """Return how many rows were loaded, and how many rejected, by the number of the release."""
    rows = connection.execute(queries.get("load_progress.row_counts"), {"schema": live_schema}).fetchall()
    return {number: (count, rejected) for number, count, rejected in rows}


def latest_checks(connection: db.Connection, release: Release) -> list[model.CheckResult]:
    """Return what each check last found on a release."""
    cursor = connection.execute(queries.get("ledger_queries.latest_checks"), {"id": release.id})
    fields = [column.name for column in cursor.description or ()]
    return [msgspec.convert(dict(zip(fields, row, strict=True)), model.CheckResult) for row in cursor.fetchall()]


def begun(connection: db.Connection, release: Release) -> tuple[str | None, float]:
    """Return the stage that a load is in, and how many seconds ago it began."""
    row = connection.execute(queries.get("load_progress.stage_under_way"), {"id": release.id}).fetchone()
    return (row[0], row[1]) if row else (None, 0.0)


def readings(connection: db.Connection, release: Release) -> list[Reading]:
    """Return how much of its files a load has read, by table."""
    rows = connection.execute(queries.get("load_progress.readings"), {"id": release.id}).fetchall()
    return [Reading(table=table, done=done, total=total) for table, done, total in rows]


def work(connection: db.Connection, release: Release) -> list[Work]:
    """Return what the sessions are at that work in a release."""
    values = {"schema": release.schema_oid, "application": release.session_name}
    rows = connection.execute(queries.get("load_progress.work"), values).fetchall()
    fields = Work.__struct_fields__
    return [Work(**dict(zip(fields, row, strict=True))) for row in rows]
