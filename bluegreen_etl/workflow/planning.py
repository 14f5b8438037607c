"""The plan of a load: what there is, and what will be done; everything that can be refused is refused here."""

import glob
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import psycopg

from bluegreen_etl import catalog, checks, citus, db, errors, ledger, model, names, privileges
from bluegreen_etl.declared import Relationships, TableChecks, Unique
from bluegreen_etl.model import Status, StructureFrom, Table
from bluegreen_etl.shadow import copy
from bluegreen_etl.workflow import matching
from bluegreen_etl.workflow.context import Context, refuse_extensions

MOST_JOBS = 8
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
    checks: tuple[checks.Check, ...]
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


def _readable_checks(context: Context, connection: db.Connection, live_oid: int | None) -> list[checks.Check]:
    wanted = find_checks(context)
    place = checks.Place(shadow=context.schema, live=context.schema if live_oid else None, columns={})
    checks.refuse_malformed(connection, wanted, place, context.settings.checks)
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


def _refuse_to_carry_from_whole(context: Context, connection: db.Connection, live_oid: int | None, table: str) -> None:
    if citus.is_whole(connection, live_oid):
        raise errors.NotReplaceable(
            f"table {table} cannot be carried: {context.schema} is distributed as a whole, "
            "and Citus copies a table that leaves such a schema",
            hint="Name it under [carry] copy, which copies its rows into each release.",
        )


def connections(context: Context) -> int:
    """Return how many connections work at the same time."""
    return context.settings.load.jobs or min(os.cpu_count() or 1, MOST_JOBS)


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


def refuse_subscribers(connection: db.Connection) -> None:
    """Refuse to publish the rows of a release under a schema that no subscriber has, which would stop them all."""
    found = catalog.all_tables_publications(connection)
    if found:
        raise errors.NotReplaceable(
            f"publication {', '.join(found)} is for all tables, and somebody subscribes in this database: subscribers "
            "would get the rows of the release under a schema that they do not have",
            hint="Publish tables or schemas by name: CREATE PUBLICATION … FOR TABLE, or FOR TABLES IN SCHEMA.",
        )


def _refuse_taken_names(context: Context, connection: db.Connection, live_oid: int | None) -> None:
    """Refuse a schema where the new release will lie, or where live will go when it steps back."""
    releases = ledger.releases(connection, context.schema)
    last = max((release.number for release in releases), default=0)
    numbers = [release.number for release in releases if release.status is Status.LIVE]
    if live_oid is not None and not numbers:
        numbers.append(last + 1)
    own = max([last, *numbers]) + 1
    if context.settings.checks.store_failures:
        failures_schema(context, names.shadow_schema(context.schema, own))
    for number in [*numbers, own]:
        shadow = names.shadow_schema(context.schema, number)
        if catalog.schema_oid(connection, shadow) is not None:
            raise errors.NameTaken(
                f"a schema {names.quoted(shadow)} exists already, and bluegreen has not made it",
                hint="Rename or drop that schema.",
            )


def failures_schema(context: Context, shadow_schema: str) -> str:
    """Return the name of the schema for the offending rows of a release.

    Raises:
        UsageError: it would be longer than a name may be.
    """
    name = names.failures_schema(shadow_schema)
    if name is None:
        raise errors.UsageError(
            f'schema name "{context.schema}" is too long to store failures: there is no room for '
            f'"{shadow_schema}_failures" in {names.MAX_BYTES} bytes',
            hint="Leave --store-failures out; the first offending rows are shown and in the ledger all the same.",
        )
    return name


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


def find_checks(context: Context, tags: Sequence[str] = ()) -> list[checks.Check]:
    """Return the project's own checks, files and declared ones: all of them, or those that have one of `tags`.

    Raises:
        UsageError: no such directory, a file of it is not a check, no check has such a tag, or one that is not there
            is to be switched off.
    """
    settings = context.settings.checks
    files = [] if settings.path is None else checks.find(context.resolved.path(settings.path))
    found = [*files, *checks.from_settings(context.settings.tables)]
    strangers = set(settings.off) - checks.NAMES - {check.name for check in found}
    if strangers:
        raise errors.BadConfiguration(
            f"checks.off names {min(strangers)}, and no check is called so",
            hint="`bluegreen check` shows the names of all.",
        )
    found = [check for check in found if check.name not in settings.off]
    chosen = [check for check in found if set(tags) & set(check.tags)]
    if tags and not chosen:
        known = sorted({tag for check in found for tag in check.tags})
        raise errors.UsageError(
            f"no check has the tag {', '.join(tags)}", hint=f"The tags there are: {', '.join(known) or 'none'}."
        )
    return chosen if tags else found


def refuse_unknown_columns(context: Context, tables: Sequence[Table]) -> None:
    """Refuse declared checks of what the release will not have, unless a transform might make it.

    Raises:
        UsageError: there is no such table or column.
    """
    if context.settings.transform.files:
        return
    by_name = {table.name: {column.name for column in table.columns} for table in tables}
    for name, table in context.settings.tables.items():
        wanted = table.checks
        if wanted == TableChecks():
            continue
        place = f"[tables.{names.toml_key(name)}.checks]"
        if name not in by_name or table.temporary:
            raise errors.BadConfiguration(
                f"{place} is about a table that a release of {context.schema} does not have",
                hint=f"Its tables are {', '.join(by_name) or 'none'}.",
            )
        keys = [each.columns if isinstance(each, Unique) else each for each in wanted.unique]
        keys += [wanted.keys_against_live.columns] if wanted.keys_against_live else []
        listed = {*wanted.columns, *(column for key in keys for column in key)}
        strangers = listed - by_name[name]
        if strangers:
            raise errors.BadConfiguration(
                f"{place} is about column {min(strangers)}, which the table does not have",
                hint=f"Its columns are {', '.join(sorted(by_name[name]))}.",
            )
        for other in (each.relationships for each in wanted.columns.values() if each.relationships):
            _refuse_unknown_parent(context, place, other, by_name)


def _refuse_unknown_parent(
    context: Context, place: str, wanted: Relationships, by_name: Mapping[str, Collection[str]]
) -> None:
    if wanted.to not in by_name:
        raise errors.BadConfiguration(
            f"{place} is about table {wanted.to}, which a release of {context.schema} does not have",
            hint=f"Its tables are {', '.join(by_name) or 'none'}.",
        )
    if wanted.field not in by_name[wanted.to]:
        raise errors.BadConfiguration(
            f"{place} is about column {wanted.field} of {wanted.to}, which the table does not have",
            hint=f"Its columns are {', '.join(sorted(by_name[wanted.to]))}.",
        )


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
