"""Build indexes, constraints and triggers after COPY: on each table as soon as its rows are there, then the rest."""

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import LiteralString, NamedTuple

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import scalar_row

from bluegreen_etl import catalog, db, errors, model, parallel, queries
from bluegreen_etl.shadow import outside_keys
from bluegreen_etl.shadow.copy import Load
from bluegreen_etl.shadow.dump import FOREIGN_KEY, Entry

_VACUUM: LiteralString = "VACUUM (ANALYZE) {}"
_BUILT_IN_PARALLEL = frozenset({"INDEX", "CONSTRAINT", "CHECK CONSTRAINT"})
_FOREIGN_KEYS = frozenset({FOREIGN_KEY})


class Builder(NamedTuple):
    """The connections that build a release: at most `jobs` of them, with these session settings."""

    server: db.Server
    release: model.Release
    jobs: int
    settings: Mapping[str, str]

    def run(self, tasks: Sequence[parallel.Task], *, jobs: int | None = None) -> None:
        """Run tasks in parallel."""
        purpose = f"load {self.release.live_schema} r{self.release.number}"
        parallel.run(self.server, purpose, tasks, jobs=jobs or self.jobs, settings=self.settings)


# ---- on each table


def copy_and_build(
    builder: Builder, loads: Sequence[Load], entries: Sequence[Entry], *, copied: Callable[[], None]
) -> None:
    """Run the loads, then build on each table the entries that belong to it alone, and analyze it.

    `copied` is called, from any thread, when the last row is there.

    Raises:
        BadRow: a value was refused, or the rows break a key or a constraint.
        BadSource: a file cannot be read to its end.
        ServerFailed: the server failed or is gone.
    """
    release = builder.release
    # Tasks that wait until they are wanted come after those that can copy at once.
    at_once = [task for load in loads for task in load.tasks[: load.at_once]]
    copies = [*at_once, *(task for load in loads for task in load.tasks[load.at_once :])]
    report = parallel.Task(lambda _connection, _stop: copied(), after=copies)
    builds = {load.table.name: _build_on(load.table.name, entries, after=load.tasks) for load in loads}
    indexed = {load for load in loads if _may_have_index(load.table.name, entries)}
    analyses = [
        parallel.Task(_statement("ANALYZE {}", release, load.table.name), after=builds[load.table.name] or load.tasks)
        for load in loads
        if load.frozen or load not in indexed
    ]
    to_vacuum = [load for load in loads if load in indexed and (not load.frozen or load.may_thaw)]
    before = [*copies, report, *itertools.chain.from_iterable(builds.values()), *analyses]
    vacuums = [parallel.Task(_vacuum_unless_frozen(release, load), after=before) for load in to_vacuum]
    builder.run([*before, *vacuums])


def build_on_tables(builder: Builder, tables: Sequence[str], entries: Sequence[Entry]) -> None:
    """Build, on tables that are filled, the entries that belong to one table alone; then vacuum and analyze.

    Raises:
        BadRow: the rows break a key or a constraint.
    """
    builds = [task for table in tables for task in _build_on(table, entries, after=())]
    # VACUUM lets index-only scans work at once, but marks a page only when no transaction may still miss its rows:
    # not while others copy or build.
    vacuums = [parallel.Task(_statement(_VACUUM, builder.release, table), after=builds) for table in tables]
    builder.run([*builds, *vacuums])


def _build_on(table: str, entries: Sequence[Entry], *, after: Sequence[parallel.Task]) -> list[parallel.Task]:
    own = _keys_first([entry for entry in entries if entry.table == table])
    return [parallel.Task(partial(_build, entry), after=after) for entry in own]


def _keys_first(entries: Sequence[Entry]) -> list[Entry]:
    # ADD PRIMARY KEY excludes everything else on its table, CREATE INDEX only writers.
    return sorted(entries, key=lambda entry: entry.type != "CONSTRAINT")


def _may_have_index(table: str, entries: Sequence[Entry]) -> bool:
    """Say whether a table will have an index; only then does a scan need to know which pages are visible to all."""
    return any(entry.type in {"INDEX", "CONSTRAINT"} and entry.table in {table, None} for entry in entries)


def _vacuum_unless_frozen(release: model.Release, load: Load) -> parallel.Work:
    vacuum = _statement(_VACUUM, release, load.table.name)
    return lambda connection, stop: None if load.frozen else vacuum(connection, stop)


def _statement(text: LiteralString, release: model.Release, table: str) -> parallel.Work:
    statement = sql.SQL(text).format(sql.Identifier(release.shadow_schema, table))
    return lambda connection, _stop: connection.execute(statement)


def _build(entry: Entry, connection: db.Connection, _stop: threading.Event) -> None:
    try:
        # Only for this transaction: the same connection copies rows, with the search path of the role.
        with connection.transaction():
            connection.execute("SET LOCAL search_path = ''")
            for statement in entry.statements:
                db.run_script(connection, statement)
    except psycopg.errors.IntegrityError as error:
        raise bad_key(error, entry.name) from error


# ---- on all tables


def build_deferred(builder: Builder, entries: Sequence[Entry]) -> None:
    """Create the deferred entries that belong to no single table, in pg_dump's order.

    Neighbouring indexes and keys are built in parallel.

    Raises:
        BadRow: the rows break a key, a foreign key or a constraint.
    """
    # A comment depends on its object, which may be anything, and would separate neighbours.
    comments = [entry for entry in entries if entry.type == "COMMENT"]
    left = [entry for entry in entries if entry.type != "COMMENT" and not entry.table]
    for step, group in itertools.groupby(left, key=_step):
        members = list(group)
        if step is _BUILT_IN_PARALLEL:
            builder.run([_entries_task(builder, [entry]) for entry in _keys_first(members)])
        elif step is _FOREIGN_KEYS:
            _build_foreign_keys(builder, members)
        else:
            _build_in_order(builder, members)
    _build_in_order(builder, comments)


def _step(entry: Entry) -> frozenset[str] | None:
    """Return the kind of step that creates an entry; None if the order within the step counts."""
    return next((step for step in (_BUILT_IN_PARALLEL, _FOREIGN_KEYS) if entry.type in step), None)


def _build_in_order(builder: Builder, entries: Sequence[Entry]) -> None:
    if entries:
        builder.run([_entries_task(builder, entries)], jobs=1)


def _entries_task(builder: Builder, entries: Sequence[Entry]) -> parallel.Task:
    return parallel.Task(partial(_build_entries, builder.release, entries))


def _build_entries(
    release: model.Release, entries: Sequence[Entry], connection: db.Connection, stop: threading.Event
) -> None:
    connection.execute("SET search_path = ''")
    connection.execute("SET check_function_bodies = false")
    for entry in entries:
        if stop.is_set():
            return
        # A foreign key blocks the writers of the table that it refers to, which may be in another schema.
        outside = entry.referenced_schema not in {None, release.shadow_schema}
        run = outside_keys.run_alone if outside else db.run_script
        try:
            for statement in entry.statements:
                run(connection, statement)
        except psycopg.errors.IntegrityError as error:
            raise bad_key(error, entry.name) from error


# ---- foreign keys


def _build_foreign_keys(builder: Builder, entries: Sequence[Entry]) -> None:
    """Create foreign keys without a check of the rows, then check the rows of several keys at the same time."""
    at_once = [entry for entry in entries if not _can_be_validated_later(entry)]
    _build_in_order(builder, [_not_valid(entry) for entry in entries if _can_be_validated_later(entry)])
    keys = _unvalidated_keys(builder)
    builder.run([parallel.Task(partial(_validate, builder.release, key)) for key in keys])
    _build_in_order(builder, at_once)


def _can_be_validated_later(entry: Entry) -> bool:
    """Say whether a foreign key may be created NOT VALID first: not on partitioned tables, nor if it stays so."""
    return entry.sql.startswith("ALTER TABLE ONLY ") and not entry.sql.rstrip().endswith(
        (" NOT VALID;", " NOT ENFORCED;")
    )


def _not_valid(entry: Entry) -> Entry:
    return msgspec.structs.replace(entry, sql=entry.sql.rstrip().removesuffix(";") + " NOT VALID;\n")


def _unvalidated_keys(builder: Builder) -> list[tuple[str, str]]:
    """Return the foreign keys whose rows are not checked yet: table and name."""
    release = builder.release
    with builder.server.connect(release.purpose) as connection:
        rows = connection.execute(queries.get("cutover.unvalidated_keys"), {"oid": release.schema_oid}).fetchall()
    return [(table, name) for table, name in rows]


def _validate(release: model.Release, key: tuple[str, str], connection: db.Connection, _stop: threading.Event) -> None:
    table, name = key
    place = sql.Identifier(release.shadow_schema, table)
    try:
        connection.execute(sql.SQL("ALTER TABLE {} VALIDATE CONSTRAINT {}").format(place, sql.Identifier(name)))
    except psycopg.errors.IntegrityError as error:
        raise bad_key(error, f"{table} {name}") from error


def bad_key(error: psycopg.Error, name: str) -> errors.BadRow:
    """Return the error for rows that break a key or a constraint, which pg_dump calls `name`."""
    diag = error.diag
    kind = "orphan" if error.sqlstate == "23503" else "duplicate key" if error.sqlstate == "23505" else "bad row"
    detail = (diag.message_detail or diag.message_primary or "").rstrip(".")
    # A node of Citus does not report the table and the constraint.
    table = f" in table {diag.table_name}" if diag.table_name else ""
    return errors.ConstraintBroken(
        f"{kind}{table}: {detail} (constraint {diag.constraint_name or name})", hint="Fix the files and load again."
    )


# ---- what the rows decide


def set_sequences(connection: db.Connection, release: model.Release) -> None:
    """Set the release's sequences past the largest value that was loaded, and never behind live's."""
    own = catalog.sequences(connection, release.oid)
    fed = catalog.fed_columns(connection, release.oid)
    live_oid = catalog.schema_oid(connection, release.live_schema)
    live = {sequence.name for sequence in catalog.sequences(connection, live_oid)} if live_oid else set()
    for sequence in own:
        places = _sequence_places(release, sequence)
        owner = [(sequence.table, sequence.column)] if sequence.table and sequence.column else []
        for place in dict.fromkeys([*owner, *fed.get(sequence.name, [])]):
            reached = _reached(connection, release, sequence, place)
            if reached is None:
                continue
            or_equal = sql.SQL(">=" if sequence.ascending else "<=")
            connection.execute(
                queries.get("catalog.sequence_past", **places, further_or_equal=or_equal, reached=sql.Literal(reached))
            )
        if sequence.name in live:
            other = sql.Identifier(release.live_schema, sequence.name)
            connection.execute(queries.get("catalog.sequence_not_behind", **places, live=other))


def _reached(
    connection: db.Connection, release: model.Release, sequence: catalog.Sequence, place: tuple[str, str]
) -> object:
    """Return the furthest value in a column, given as (table, column), that a sequence feeds; None if it is empty."""
    table, column = place
    query = queries.get(
        "catalog.furthest",
        extreme=sql.SQL("max" if sequence.ascending else "min"),
        column=sql.Identifier(column),
        table=sql.Identifier(release.shadow_schema, table),
    )
    with connection.cursor(row_factory=scalar_row) as cursor:
        value: object = cursor.execute(query).fetchone()
        return value


def _sequence_places(release: model.Release, sequence: catalog.Sequence) -> dict[str, sql.Composable]:
    place = sql.Identifier(release.shadow_schema, sequence.name)
    return {
        "sequence": place,
        "sequence_text": sql.Literal(place.as_string()),
        "further": sql.SQL(">" if sequence.ascending else "<"),
    }


def refresh_matviews(connection: db.Connection, release: model.Release) -> None:
    """Fill the release's materialized views from its own tables, and gather their statistics."""
    # A materialized view holds the rows that its owner sees, policies included.
    connection.execute("SET row_security = on")
    for name in catalog.materialized_views(connection, release.oid):
        place = sql.Identifier(release.shadow_schema, name)
        connection.execute(sql.SQL("REFRESH MATERIALIZED VIEW {}").format(place))
        connection.execute(sql.SQL("ANALYZE {}").format(place))
    connection.execute("SET row_security = off")
