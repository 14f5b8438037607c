"""Fills a shadow's tables; on each, indexes, keys and statistics are made as soon as its rows are there."""

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import psycopg
from psycopg import sql

from bluegreen_etl import db, model
from bluegreen_etl.shadow import finish, parallel
from bluegreen_etl.shadow.copy import Load
from bluegreen_etl.shadow.dump import Entry


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
    copies = [task for load in loads for task in load.tasks]
    told = parallel.Task(lambda _connection, _stop: copied(), after=copies)
    building = [task for load in loads for task in _after_load(release, load, entries)]
    purpose = f"load {release.live_schema} r{release.number}"
    parallel.run(server, purpose, [*copies, told, *building], jobs=jobs, settings=settings)


def _after_load(release: model.Release, load: Load, entries: Sequence[Entry]) -> list[parallel.Task]:
    own = [entry for entry in entries if entry.table == load.table.name]
    # ADD PRIMARY KEY excludes everything else on its table, CREATE INDEX only writers: keys come first.
    own.sort(key=lambda entry: entry.type != "CONSTRAINT")
    builds = [parallel.Task(partial(_build, entry), after=load.tasks) for entry in own]
    place = sql.Identifier(release.shadow_schema, load.table.name)
    analyze = parallel.Task(partial(finish.analyze, place, load.frozen), after=builds or load.tasks)
    return [*builds, analyze]


def _build(entry: Entry, connection: db.Connection, _stop: threading.Event) -> None:
    try:
        # Only for this transaction: rows are copied on the same connection, with the search path of the role.
        with connection.transaction():
            connection.execute("SET LOCAL search_path = ''")
            db.run_script(connection, entry.sql)
    except psycopg.errors.IntegrityError as error:
        raise finish.bad_key(error) from error
