"""The plan of a load: what the server and the files hold, and what the load will do with them."""

import glob
import os
from collections.abc import Collection, Sequence
from pathlib import Path

import psycopg
from psycopg.rows import scalar_row

from bluegreen_etl import catalog, citus, db, errors, model, privileges
from bluegreen_etl.checks import runner
from bluegreen_etl.checks.check import Check
from bluegreen_etl.model import StructureFrom, Table
from bluegreen_etl.releases import matching, structure_refusals
from bluegreen_etl.releases.context import Context, count_jobs, refuse_extensions
from bluegreen_etl.releases.lost_columns import refuse_lost_columns
from bluegreen_etl.releases.preflight import (
    refuse_subscribers,
    refuse_taken_names,
    refuse_to_carry_from_whole,
    refuse_unknown_columns,
)
from bluegreen_etl.releases.verify import find_checks
from bluegreen_etl.shadow import copy
from bluegreen_etl.shadow.structure import refuse_foreign_partitions

BUILDING_MEMORY = 256  # MB for each connection that builds an index
# Unknown setting, invalid value, not settable in a session, not permitted to this role.
_REFUSED_SETTINGS = (psycopg.ProgrammingError, psycopg.DataError, psycopg.errors.CantChangeRuntimeParam)


class LoadPlan(model.Record, frozen=True, kw_only=True):
    """What a load will do: the files of each table, the source of the structure, and live as the plan found it.

    Attributes:
        session: server settings of the connections that load and build.
        work: None if the tables are known only after the project's DDL has run.
        temporary: tables that are dropped before the release is ready.
        carried: tables of live that stay live.
        copied: tables whose rows are copied from live.
        distributed: whether Citus is installed.
    """

    schema: str
    structure: StructureFrom
    base_oid: int | None
    found: tuple[matching.Found, ...]
    tables: tuple[Table, ...]
    work: tuple[copy.Work, ...] | None
    transforms: tuple[Path, ...]
    temporary: frozenset[str]
    checks: tuple[Check, ...]
    jobs: int
    session: dict[str, str]
    distributed: bool
    carried: tuple[str, ...] = ()
    copied: tuple[Table, ...] = ()


def plan_load(
    context: Context,
    connection: db.Connection,
    found: Sequence[matching.Found] | None,
    *,
    structure: StructureFrom | None = None,
) -> LoadPlan:
    """Return the plan of a load from files, or from a program or backup if `found` is None; or refuse the load."""
    live_oid = catalog.schema_oid(connection, context.schema)
    tables = catalog.tables(connection, live_oid) if live_oid else []
    filled_by_program, found = found is None, found or ()
    source = structure or _structure_source(context, live_oid if tables else None, from_files=not filled_by_program)
    _refuse_target(context, connection, live_oid)
    carried, copied = _carried(context, connection, live_oid, source, found)
    _refuse_live(context, connection, live_oid, source, carried)
    if source is StructureFrom.LIVE:
        refuse_lost_columns(context, connection, found, tables)
    temporary = _temporary_tables(context, found)
    shaped = _shaped(context, source, tables, found, temporary)
    if known := source is not StructureFrom.DDL and not filled_by_program:
        refuse_unknown_columns(context, [*shaped, *(table for table in tables if table.name in carried)])
    to_fill = select_tables_to_fill(shaped, carried, copied)
    return LoadPlan(
        schema=context.schema,
        structure=source,
        base_oid=live_oid,
        found=tuple(found),
        tables=tuple(to_fill),
        work=tuple(matching.match_files(context, found, to_fill)) if known else None,
        transforms=tuple(_transforms(context)),
        temporary=temporary,
        checks=tuple(_readable_checks(context, connection, live_oid)),
        jobs=count_jobs(context),
        session=choose_session_settings(context, connection),
        distributed=citus.is_there(connection),
        carried=carried,
        copied=copied,
    )


def _refuse_target(context: Context, connection: db.Connection, live_oid: int | None) -> None:
    """Refuse a database that this role cannot load into, or whose live schema cannot be replaced."""
    privileges.refuse(privileges.to_load(connection, live_oid))
    refuse_taken_names(context, connection, live_oid)
    refuse_extensions(context, connection, live_oid)
    refuse_subscribers(connection)


def _refuse_live(
    context: Context,
    connection: db.Connection,
    live_oid: int | None,
    source: StructureFrom,
    carried: Sequence[str],
) -> None:
    """Refuse a live schema that no release can replace, or whose tables cannot be carried or cloned."""
    if carried and citus.is_there(connection):
        refuse_to_carry_from_whole(context, connection, live_oid, carried[0])
    if live_oid is not None:
        structure_refusals.refuse_to_replace(
            connection, context.schema, live_oid, context.settings.promote, carried=carried
        )
        if source is StructureFrom.LIVE:
            refuse_foreign_partitions(connection, context.schema, live_oid)
            if context.settings.structure.functions_that_name_live == "refuse":
                structure_refusals.refuse_named_live(connection, context.schema, live_oid)
            for found in structure_refusals.find_named_live(connection, context.schema, live_oid):
                context.watcher.say(f"warning: {found}: it reads the old release while the new one is built")


def _temporary_tables(context: Context, found: Sequence[matching.Found]) -> frozenset[str]:
    """Return the tables that files fill and that only transforms need."""
    marked = {name for name, table in context.settings.tables.items() if table.temporary}
    return frozenset(marked & {item.table for item in found})


def _shaped(
    context: Context,
    source: StructureFrom,
    tables: Sequence[Table],
    found: Sequence[matching.Found],
    temporary: Collection[str],
) -> list[Table]:
    """Return live's `tables` and the temporary tables it lacks, or the tables inferred from the files."""
    # Inference reads every value of a file's first records: slower than most of the rest of a plan.
    to_infer = [item for item in found if source is StructureFrom.FILES or item.table in temporary]
    inferred = matching.infer_tables(to_infer, context.settings.tables)
    if source is StructureFrom.FILES:
        matching.refuse_shapeless(found, inferred)
        return inferred
    made = {table.name for table in tables}
    return [*tables, *(table for table in inferred if table.name in temporary and table.name not in made)]


def _readable_checks(context: Context, connection: db.Connection, live_oid: int | None) -> list[Check]:
    wanted = find_checks(context)
    place = runner.Place(shadow=context.schema, live=context.schema if live_oid else None, columns={})
    runner.refuse_malformed(connection, wanted, place, context.settings.checks)
    return wanted


def select_tables_to_fill(tables: Sequence[Table], carried: Sequence[str], copied: Sequence[Table]) -> list[Table]:
    """Return the tables of a release that files or programs fill: neither carried nor copied from live."""
    others = {*carried, *(table.name for table in copied)}
    return [table for table in tables if table.name not in others]


def _carried(
    context: Context,
    connection: db.Connection,
    live_oid: int | None,
    source: StructureFrom,
    found: Sequence[matching.Found],
) -> tuple[tuple[str, ...], tuple[Table, ...]]:
    """Return which tables of live are carried, and which tables get live's rows as a copy.

    A table that live does not have yet may come from the project's DDL: the next release carries it.
    """
    settings = context.settings.carry
    wanted = {*settings.tables, *settings.copy}
    if both := set(settings.tables) & set(settings.copy):
        raise errors.BadConfiguration(
            f"[carry] names {min(both)} under tables and under copy", hint="Remove it from one of the two lists."
        )
    if filled := sorted(wanted & {item.table for item in found}):
        raise errors.BadConfiguration(
            f"there are files for table {filled[0]}, which is carried",
            hint="Leave out the files, or remove the table from `[carry]`.",
        )
    live = {table.name: table for table in catalog.tables(connection, live_oid)} if live_oid else {}
    if source is StructureFrom.LIVE and (absent := sorted(wanted - live.keys())):
        raise errors.BadConfiguration(
            f"[carry] names {absent[0]}, and {context.schema} has no such table",
            hint=f"Name one of its tables: {', '.join(live)}.",
        )
    carried = [name for name in settings.tables if name in live]
    plain = catalog.plain_tables(connection, live_oid) if live_oid and carried else {}
    if kin := [name for name in carried if name not in plain]:
        raise errors.NotReplaceable(
            f"table {kin[0]} of {context.schema} has partitions, parents or children, and cannot be carried",
            hint="Name it under `[carry] copy`, which copies its rows into each release.",
        )
    return tuple(carried), tuple(live[name] for name in settings.copy if name in live)


def choose_session_settings(context: Context, connection: db.Connection) -> dict[str, str]:
    """Return the server settings of the sessions that copy and build; the user's override our own.

    Raises:
        BadConfiguration: the server refuses a setting of the user.
    """
    own = context.settings.load.session
    with connection.transaction(force_rollback=True):
        apply_own_settings(context, connection)
    with connection.cursor(row_factory=scalar_row) as cursor:
        bytes_set = cursor.execute("SELECT pg_size_bytes(current_setting('maintenance_work_mem'))").fetchone()
    memory = {"maintenance_work_mem": f"{BUILDING_MEMORY}MB"} if (bytes_set or 0) < BUILDING_MEMORY << 20 else {}
    # Parallel workers take cores from the other streams; one worker helps when the last index is built alone.
    parallel = {"max_parallel_maintenance_workers": "1"} if count_jobs(context) > 1 else {}
    return {**memory, **parallel, **own}


def apply_own_settings(context: Context, connection: db.Connection) -> None:
    """Apply the settings of [load.session] to the connection.

    Raises:
        BadConfiguration: the server refuses one of them.
    """
    for name, value in context.settings.load.session.items():
        try:
            db.apply_settings(connection, {name: value})
        except _REFUSED_SETTINGS as error:
            raise errors.BadConfiguration(
                f"the server refuses load.session.{name}: {error.diag.message_primary}",
                hint="Use names and values that `SET` accepts in a session of this role.",
            ) from error


def _structure_source(context: Context, filled_oid: int | None, *, from_files: bool) -> StructureFrom:
    """Choose the source of the tables; a schema without any, such as a new database's public, has none to give."""
    last = StructureFrom.FILES if from_files else StructureFrom.COMMAND
    wanted = context.settings.structure
    source = wanted.source or (StructureFrom.DDL if wanted.ddl else StructureFrom.LIVE if filled_oid else last)
    if source not in {StructureFrom.LIVE, StructureFrom.DDL, last}:
        raise errors.UsageError(
            f"tables cannot come from {source} here",
            hint=f"Set the structure to live, ddl or {last}, or leave `--structure` out.",
        )
    if source is StructureFrom.LIVE and filled_oid is None:
        raise errors.Refused(
            f"cannot take the structure from live: there is no schema {context.schema} with tables",
            hint="Leave `--structure` out for the first load, or name the project's DDL: "
            '`[structure] ddl = ["schema.sql"]`.',
        )
    if source is StructureFrom.DDL and not wanted.ddl:
        raise errors.BadConfiguration(
            "the structure comes from DDL, but no file is named",
            hint='Write `[structure] ddl = ["schema.sql"]` into bluegreen.toml.',
        )
    if source is StructureFrom.FILES:
        context.watcher.say("tables and types are inferred from the files: no live schema or DDL was used")
    if source is StructureFrom.COMMAND:
        context.watcher.say("the command creates its own tables: no live schema or DDL was used")
    return source


def _transforms(context: Context) -> list[Path]:
    """Return the project's transforms in the order of the settings; the files of one glob are sorted by name."""
    found: list[Path] = []
    for pattern in context.settings.transform.files:
        path = str(context.resolved.path(pattern))
        # Path.glob refuses absolute patterns, and users write them.
        matches = sorted(glob.glob(path)) if glob.has_magic(path) else [path]  # noqa: PTH207
        if not all(map(os.path.isfile, matches)) or not matches:
            raise errors.BadConfiguration(
                f"transform file {pattern} does not exist", hint="Correct `[transform] files` in bluegreen.toml."
            )
        found += map(Path, matches)
    return found
