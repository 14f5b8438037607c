"""Indexes, constraints, triggers, sequences, statistics: built on each table as soon as its rows are there."""

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import LiteralString

import msgspec
import psycopg
from psycopg import sql

from bluegreen_etl import catalog, db, errors, model, parallel, queries
from bluegreen_etl.shadow import outside_keys
from bluegreen_etl.shadow.copy import Load
from bluegreen_etl.shadow.dump import Entry

_VACUUM: LiteralString = "VACUUM (ANALYZE) {}"


def copy_and_build(
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


def build_on_tables(
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
        raise bad_key(error, entry.name) from error


_BUILT_IN_PARALLEL = frozenset({"INDEX", "CONSTRAINT", "CHECK CONSTRAINT"})


_FOREIGN_KEYS = frozenset({"FK CONSTRAINT"})


def build_deferred(
    server: db.Server, release: model.Release, entries: Sequence[Entry], *, jobs: int, settings: Mapping[str, str]
) -> None:
    """Make what was put off and belongs to no one table, in pg_dump's order: neighbouring indexes and keys in parallel.

    Raises:
        BadRow: the data breaks a key, a foreign key or a constraint.
    """
    purpose = f"load {release.live_schema} r{release.number}"

    def run(work: Sequence[parallel.Work], jobs: int = 1) -> None:
        parallel.run(server, purpose, [parallel.Task(one) for one in work], jobs=jobs, settings=settings)

    def run_in_order(entries: Sequence[Entry]) -> None:
        run([partial(_run_entries, release, entries)] if entries else [])

    # A comment needs what it is about, which may be anything, and would part neighbours.
    comments = [entry for entry in entries if entry.type == "COMMENT"]
    left = [entry for entry in entries if entry.type != "COMMENT" and not entry.table]
    for step, group in itertools.groupby(left, key=_step):
        members = list(group)
        if step is _BUILT_IN_PARALLEL:
            # ADD PRIMARY KEY excludes everything else on its table, CREATE INDEX only writers: keys come first.
            members.sort(key=lambda entry: entry.type != "CONSTRAINT")
            run([partial(_run_entries, release, [entry]) for entry in members], jobs)
        elif step is _FOREIGN_KEYS:
            run_in_order([_not_valid(entry) for entry in members if _can_be_validated_later(entry)])
            run([partial(_validate, release, *constraint) for constraint in _unvalidated(server, release)], jobs)
            run_in_order([entry for entry in members if not _can_be_validated_later(entry)])
        else:
            run_in_order(members)
    run_in_order(comments)


def set_sequences(connection: db.Connection, release: model.Release) -> None:
    """Set the release's sequences past the largest value that was loaded, and never behind live's."""
    own = catalog.sequences(connection, release.schema_oid or 0)
    live_oid = catalog.schema_oid(connection, release.live_schema)
    live = {s.name for s in catalog.sequences(connection, live_oid)} if live_oid else set()
    for sequence in own:
        places = _sequence_places(release, sequence)
        if sequence.table and sequence.column:
            row = connection.execute(
                queries.get(
                    "catalog.furthest",
                    extreme=sql.SQL("max" if sequence.ascending else "min"),
                    column=sql.Identifier(sequence.column),
                    table=sql.Identifier(release.shadow_schema, sequence.table),
                )
            ).fetchone()
            if row and row[0] is not None:
                or_equal = sql.SQL(">=" if sequence.ascending else "<=")
                reached = sql.Literal(row[0])
                connection.execute(
                    queries.get("catalog.sequence_past", **places, further_or_equal=or_equal, reached=reached)
                )
        if sequence.name in live:
            place = sql.Identifier(release.live_schema, sequence.name)
            connection.execute(queries.get("catalog.sequence_not_behind", **places, live=place))


def refresh_matviews(connection: db.Connection, release: model.Release) -> None:
    """Fill the release's materialized views from its own tables, and gather their statistics."""
    # Its owner's view of the rows is what a materialized view holds, policies included.
    connection.execute("SET row_security = on")
    for name in catalog.materialized_views(connection, release.schema_oid or 0):
        place = sql.Identifier(release.shadow_schema, name)
        connection.execute(sql.SQL("REFRESH MATERIALIZED VIEW {}").format(place))
        connection.execute(sql.SQL("ANALYZE {}").format(place))
    connection.execute("SET row_security = off")


def _step(entry: Entry) -> frozenset[str] | None:
    """Return the kind of step that makes an entry; None where the order within the step counts."""
    return next((step for step in (_BUILT_IN_PARALLEL, _FOREIGN_KEYS) if entry.type in step), None)


def _can_be_validated_later(entry: Entry) -> bool:
    """Say whether the foreign key may be made NOT VALID first: not on partitioned tables, nor if it is to stay so."""
    return entry.sql.startswith("ALTER TABLE ONLY ") and not entry.sql.rstrip().endswith(
        (" NOT VALID;", " NOT ENFORCED;")
    )


def _not_valid(entry: Entry) -> Entry:
    """Return the foreign key without its check of the rows, which is done later for several keys at once."""
    return msgspec.structs.replace(entry, sql=entry.sql.rstrip().removesuffix(";") + " NOT VALID;\n")


def _unvalidated(server: db.Server, release: model.Release) -> list[tuple[str, str]]:
    """Return the foreign keys whose rows are still to be checked: table and name of each."""
    with server.connect(f"load {release.live_schema} r{release.number}") as connection:
        rows = connection.execute(queries.get("cutover.unvalidated_keys"), {"oid": release.schema_oid}).fetchall()
    return [(table, name) for table, name in rows]


def _run_entries(
    release: model.Release, entries: Sequence[Entry], connection: db.Connection, stop: threading.Event
) -> None:
    connection.execute("SET search_path = ''")
    connection.execute("SET check_function_bodies = false")
    for entry in entries:
        if stop.is_set():
            return
        try:
            for statement in entry.statements:
                # A foreign key blocks the writers of the table that it refers to, which may be in another schema.
                outside = entry.referenced_schema not in {None, release.shadow_schema}
                outside_keys.run_alone(connection, statement) if outside else db.run_script(connection, statement)
        except psycopg.errors.IntegrityError as error:
            raise bad_key(error, entry.name) from error


def _validate(release: model.Release, table: str, name: str, connection: db.Connection, _stop: threading.Event) -> None:
    place = sql.Identifier(release.shadow_schema, table)
    try:
        connection.execute(sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(place, sql.Identifier(name)))
    except psycopg.errors.IntegrityError as error:
        raise bad_key(error, f"{table} {name}") from error


def bad_key(error: psycopg.Error, name: str) -> errors.BadRow:
    """Return the tool's error for rows that break a key or a constraint, which pg_dump calls `name`."""
    diag = error.diag
    kind = "orphan" if error.sqlstate == "23503" else "duplicate key" if error.sqlstate == "23505" else "bad row"
    detail = (diag.message_detail or diag.message_primary or "").rstrip(".")
    # A node of Citus does not tell which they are.
    table = f" in table {diag.table_name}" if diag.table_name else ""
    return errors.ConstraintBroken(
        f"{kind}{table}: {detail} (constraint {diag.constraint_name or name})", hint="Mend the files and load again."
    )


def _sequence_places(release: model.Release, sequence: catalog.Sequence) -> dict[str, sql.Composable]:
    place = sql.Identifier(release.shadow_schema, sequence.name)
    return {
        "sequence": place,
        "sequence_text": sql.Literal(place.as_string()),
        "further": sql.SQL(">" if sequence.ascending else "<"),
    }
