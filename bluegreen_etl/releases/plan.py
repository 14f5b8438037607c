"""The plan of a load: what there is, and what will be done; everything that can be refused is refused here."""

import glob
import os
from collections.abc import Collection, Sequence
from pathlib import Path

import psycopg

from bluegreen_etl import catalog, citus, db, errors, model, privileges
from bluegreen_etl.checks import runner
from bluegreen_etl.checks.check import Check
from bluegreen_etl.model import StructureFrom, Table
from bluegreen_etl.releases import matching
from bluegreen_etl.releases.context import Context, connections, refuse_extensions
from bluegreen_etl.releases.preflight import (
    _refuse_taken_names,
    _refuse_to_carry_from_whole,
    refuse_subscribers,
    refuse_unknown_columns,
)
from bluegreen_etl.releases.verify import find_checks
from bluegreen_etl.shadow import copy

BUILDING_MEMORY = 256  # MB for each connection that builds an index
# No such setting, no such value, not in a session, not for this role.
_REFUSED_SETTINGS = (psycopg.ProgrammingError, psycopg.DataError, psycopg.errors.CantChangeRuntimeParam)


class LoadPlan(model.Record, frozen=True, kw_only=True):
    """What a load will do: files by table, where the structure comes from, and live as it was found.

    `session` are the server settings of the connections that load and build. `work` is None where the tables are
    known only once the project's DDL has run; `temporary` are those that are dropped before the release is ready;
    `carried` are those of live that stay live, `copied` those whose rows are copied from live; `distributed`: on Citus.
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
    """Look at the world; everything that can be refused is refused here.

    `found` None means that no files are loaded: a program or a backup fills the tables. `structure` overrules where
    the settings say that tables come from.
    """
    live_oid = catalog.schema_oid(connection, context.schema)
    tables = catalog.tables(connection, live_oid) if live_oid else []
    # A schema without tables, such as a new database's public, has no structure to give.
    last = StructureFrom.COMMAND if found is None else StructureFrom.FILES
    source = structure or _structure_source(context, live_oid if tables else None, last)
    privileges.refuse(privileges.to_load(connection, live_oid))
    _refuse_taken_names(context, connection, live_oid)
    refuse_extensions(context, connection, live_oid)
    refuse_subscribers(connection)
    by_program, found = found is None, found or ()
    carried, copied = _carried(context, connection, live_oid, source, found)
    distributed = citus.is_there(connection)
    if carried and distributed:
        _refuse_to_carry_from_whole(context, connection, live_oid, carried[0])
    marked = {name for name, table in context.settings.tables.items() if table.temporary}
    temporary = marked & {item.table for item in found}
    kept = [table for table in tables if table.name in carried]
    tables = _shaped(context, source, tables, found, temporary)
    known = source is not StructureFrom.DDL and not by_program
    if known:
        refuse_unknown_columns(context, [*tables, *kept])
    tables = to_be_filled(tables, carried, copied)
    return LoadPlan(
        schema=context.schema,
        structure=source,
        base_oid=live_oid,
        found=tuple(found),
        tables=tuple(tables),
        work=tuple(matching.match(context, found, tables)) if known else None,
        transforms=tuple(_transforms(context)),
        temporary=frozenset(temporary),
        checks=tuple(_readable_checks(context, connection, live_oid)),
        jobs=connections(context),
        session=session(context, connection),
        distributed=distributed,
        carried=carried,
        copied=copied,
    )


def _shaped(
    context: Context,
    source: StructureFrom,
    tables: Sequence[Table],
    found: Sequence[matching.Found],
    temporary: Collection[str],
) -> list[Table]:
    """Return live's `tables` and the temporary ones it lacks; or what the files look like, where they decide."""
    # Looking at every value of a file's first records takes longer than most of the rest of a plan.
    to_infer = [item for item in found if source is StructureFrom.FILES or item.table in temporary]
    inferred = matching.infer(to_infer, context.settings.tables)
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


def to_be_filled(tables: Sequence[Table], carried: Sequence[str], copied: Sequence[Table]) -> list[Table]:
    """Return those of a release's tables that files or programs have to fill."""
    others = {*carried, *(table.name for table in copied)}
    return [table for table in tables if table.name not in others]


def _carried(
    context: Context,
    connection: db.Connection,
    live_oid: int | None,
    source: StructureFrom,
    found: Sequence[matching.Found],
) -> tuple[tuple[str, ...], tuple[Table, ...]]:
    """Return which tables of live are carried, and of which the rows are copied.

    What live does not have yet, the project's DDL may make: from the next release on it is carried.
    """
    settings = context.settings.carry
    wanted = {*settings.tables, *settings.copy}
    if both := set(settings.tables) & set(settings.copy):
        raise errors.BadConfiguration(f"[carry] names {min(both)} under tables and under copy", hint="Leave one out.")
    if filled := sorted(wanted & {item.table for item in found}):
        raise errors.BadConfiguration(
            f"there are files for table {filled[0]}, which is carried",
            hint="Leave out the files, or take it out of [carry].",
        )
    live = {table.name: table for table in catalog.tables(connection, live_oid)} if live_oid else {}
    if source is StructureFrom.LIVE and (absent := sorted(wanted - live.keys())):
        raise errors.BadConfiguration(
            f"[carry] names {absent[0]}, and {context.schema} has no such table", hint=f"It has {', '.join(live)}."
        )
    carried = [name for name in settings.tables if name in live]
    plain = catalog.plain_tables(connection, live_oid) if live_oid and carried else {}
    if kin := [name for name in carried if name not in plain]:
        raise errors.NotReplaceable(
            f"table {kin[0]} of {context.schema} has partitions, parents or children, and cannot be carried",
            hint="Name it under [carry] copy, which copies its rows into each release.",
        )
    return tuple(carried), tuple(live[name] for name in settings.copy if name in live)


def session(context: Context, connection: db.Connection) -> dict[str, str]:
    """Return the server settings of the sessions that copy and build: the user's over those that building wants.

    Raises:
        BadConfiguration: the server refuses one of the user's.
    """
    own = context.settings.load.session
    try:
        with connection.transaction(force_rollback=True):
            db.apply_settings(connection, own)
    except _REFUSED_SETTINGS as error:
        raise errors.BadConfiguration(
            f"the server refuses a setting of [load.session]: {error.diag.message_primary}",
            hint="Its names and values are those of SET; some are for superusers only.",
        ) from error
    row = connection.execute("SELECT pg_size_bytes(current_setting('maintenance_work_mem'))").fetchone()
    memory = {"maintenance_work_mem": f"{BUILDING_MEMORY}MB"} if row and row[0] < BUILDING_MEMORY << 20 else {}
    # Beside other streams they only take their cores; one each helps where the last index is left alone.
    parallel = {"max_parallel_maintenance_workers": "1"} if connections(context) > 1 else {}
    return {**memory, **parallel, **own}


def _structure_source(context: Context, filled_oid: int | None, last: StructureFrom) -> StructureFrom:
    """Decide where tables come from; `last` is what is left where there is neither live nor DDL."""
    wanted = context.settings.structure
    source = wanted.source or (StructureFrom.DDL if wanted.ddl else StructureFrom.LIVE if filled_oid else last)
    if source not in {StructureFrom.LIVE, StructureFrom.DDL, last}:
        raise errors.UsageError(
            f"tables cannot come from {source} here", hint=f"Set structure to live, ddl or {last}, or leave it out."
        )
    if source is StructureFrom.LIVE and filled_oid is None:
        raise errors.Refused(
            f"there is no schema {context.schema} with tables to take the structure from",
            hint="Leave --structure out for the first load, or name the project's DDL under [structure] ddl.",
        )
    if source is StructureFrom.DDL and not wanted.ddl:
        raise errors.BadConfiguration(
            "structure comes from DDL, but no file is named", hint="Write [structure] ddl = […]."
        )
    if source is StructureFrom.FILES:
        context.watcher.say("tables and types are inferred from the files: no live schema or DDL was used")
    if source is StructureFrom.COMMAND:
        context.watcher.say("the command makes its own tables: no live schema or DDL was used")
    return source


def _transforms(context: Context) -> list[Path]:
    """Return the project's transforms, in the order of the settings, those of one glob by name."""
    found: list[Path] = []
    for pattern in context.settings.transform.files:
        path = str(context.resolved.path(pattern))
        # Path.glob refuses absolute patterns, and users write them.
        matches = sorted(glob.glob(path)) if glob.has_magic(path) else [path]  # noqa: PTH207
        if not all(map(os.path.isfile, matches)) or not matches:
            raise errors.BadConfiguration(f"{pattern} is no file", hint="Check [transform] files in bluegreen.toml.")
        found += map(Path, matches)
    return found
