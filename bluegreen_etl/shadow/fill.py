"""Fills a shadow's tables; on each, indexes, keys and statistics are made as soon as its rows are there."""

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import LiteralString

import psycopg
from psycopg import sql

from bluegreen_etl import db, model, parallel
from bluegreen_etl.shadow import finish
from bluegreen_etl.shadow.copy import Load
from bluegreen_etl.shadow.dump import Entry

_VACUUM: LiteralString = "VACUUM (ANALYZE) {}"


def run(
    server: db.Server,
    release: model.Release,
    loads: Sequence[Load],
    entries: Sequence[Entry],
    *,
    jobs: int,
    settings: Mapping[str, str],
    copied: Callable[[], None],
) -> None:
    """Carry out the loads, then on each table those of the entries that belong to it.

    `copied` is called, from any thread, when the last row is there.

    Raises:
        BadRow: a value was refused, or the data breaks a key or a constraint.
        BadSource: a file cannot be read to its end.
        ServerFailed: the server failed or is gone.
    """
    # Those that wait until they are wanted come after what can be copied at once.
    at_once = [task for load in loads for task in load.tasks[: load.at_once]]
    copies = [*at_once, *(task for load in loads for task in load.tasks[load.at_once :])]
    told = parallel.Task(lambda _connection, _stop: copied(), after=copies)
    builds = {load.table.name: _build_on(load.table.name, entries, after=load.tasks) for load in loads}
    indexed = {load for load in loads if _may_have_index(load.table.name, entries)}
    analyses = [
        parallel.Task(_statement("ANALYZE {}", release, load.table.name), after=builds[load.table.name] or load.tasks)
        for load in loads
        if load.frozen or load not in indexed
    ]
    to_vacuum = [load for load in loads if load in indexed and (not load.frozen or load.may_thaw)]
    before = [*copies, told, *itertools.chain.from_iterable(builds.values()), *analyses]
    purpose = f"load {release.live_schema} r{release.number}"
    vacuums = [parallel.Task(_unless_frozen(release, load), after=before) for load in to_vacuum]
    parallel.run(server, purpose, [*before, *vacuums], jobs=jobs, settings=settings)


def build(
    server: db.Server,
    release: model.Release,
    tables: Sequence[str],
    entries: Sequence[Entry],
    *,
    jobs: int,
    settings: Mapping[str, str],
) -> None:
    """Build, on tables that are filled, those of the entries that belong to them.

    Raises:
        BadRow: the data breaks a key or a constraint.
    """
    builds = [task for table in tables for task in _build_on(table, entries, after=())]
    tasks = [*builds, *_vacuum(release, tables, after=builds)]
    parallel.run(server, f"load {release.live_schema} r{release.number}", tasks, jobs=jobs, settings=settings)


def _build_on(table: str, entries: Sequence[Entry], *, after: Sequence[parallel.Task]) -> list[parallel.Task]:
    own = [entry for entry in entries if entry.table == table]
    # ADD PRIMARY KEY excludes everything else on its table, CREATE INDEX only writers: keys come first.
    own.sort(key=lambda entry: entry.type != "CONSTRAINT")
    return [parallel.Task(partial(_build, entry), after=after) for entry in own]


def _may_have_index(table: str, entries: Sequence[Entry]) -> bool:
    """Say whether a table will have an index; only then is there a scan that asks which pages are visible to all."""
    return any(entry.type in {"INDEX", "CONSTRAINT"} and entry.table in {table, None} for entry in entries)


def _vacuum(release: model.Release, tables: Sequence[str], *, after: Sequence[parallel.Task]) -> list[parallel.Task]:
    """Make index-only scans work at once on tables that were not loaded with FREEZE, and gather their statistics.

    VACUUM marks a page only when no transaction may still miss its rows: not while others copy or build.
    """
    return [parallel.Task(_statement(_VACUUM, release, table), after=after) for table in tables]


def _unless_frozen(release: model.Release, load: Load) -> parallel.Work:
    vacuum = _statement(_VACUUM, release, load.table.name)
    return lambda connection, stop: None if load.frozen else vacuum(connection, stop)


def _statement(text: str, release: model.Release, table: str) -> parallel.Work:
    statement = sql.SQL(text).format(sql.Identifier(release.shadow_schema, table))
    return lambda connection, _stop: connection.execute(statement)


def _build(entry: Entry, connection: db.Connection, _stop: threading.Event) -> None:
    try:
        # Only for this transaction: rows are copied on the same connection, with the search path of the role.
        with connection.transaction():
            connection.execute("SET LOCAL search_path = ''")
            for statement in entry.statements:
                db.run_script(connection, statement)
    except psycopg.errors.IntegrityError as error:
        raise finish.bad_key(error, entry.name) from error
