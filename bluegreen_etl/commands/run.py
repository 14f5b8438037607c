"""Run: a program of the user fills a new release, by any statements and with any number of commits."""

from collections.abc import Sequence
from functools import partial

from bluegreen_etl import catalog, child_process, connection_environment, db, errors, names
from bluegreen_etl.commands import promote as promote_command
from bluegreen_etl.errors.unexpected import guarded
from bluegreen_etl.model import Isolation, StructureFrom
from bluegreen_etl.releases import live_names
from bluegreen_etl.releases.build import Build, Built
from bluegreen_etl.releases.context import Context
from bluegreen_etl.releases.lifecycle import Loaded, check_built, make_ready, open_build
from bluegreen_etl.releases.plan import LoadPlan, plan_load
from bluegreen_etl.shadow import dump, outside_keys, scratch_database


@guarded
def run(context: Context, command: Sequence[str], *, isolate: Isolation = Isolation.SCHEMA) -> Loaded:
    """Let a program fill a new release, and make it ready.

    Args:
        command: the program and its arguments; exit code 0 means that the release is complete.

    Raises:
        CommandFailed: the program ended with another exit code, or by a signal.
        UsageError, BadRow, ChecksFailed, Refused, Conflict, ServerFailed: live is unchanged.
    """
    child_process.require_program(command[0])
    with context.server.connect(f"run {context.schema}") as connection:
        plan = plan_load(context, connection, None)
        if isolate is Isolation.DATABASE:
            _refuse_without_scratch(connection, plan)
        else:
            for place in live_names.in_command(command, context.schema):
                context.watcher.say(
                    f"warning: {place}: the command may write to live; `--isolate database` keeps it away from there"
                )
        fill = _fill_by_scratch_database if isolate is Isolation.DATABASE else _fill_in_place
        with open_build(context, connection, plan) as build:
            build.create_structure()
            built = fill(build, command)
            checks = check_built(build, built)
            return make_ready(build, built, checks)


@guarded
def run_and_promote(
    context: Context, command: Sequence[str], *, isolate: Isolation = Isolation.SCHEMA
) -> promote_command.Released:
    """Let a program fill a release, and make it live at once.

    Raises:
        BluegreenError: of run or promote; if promote failed, the release stays ready.
    """
    return promote_command.and_promote(context, "promote", partial(run, command=command, isolate=isolate))


def _fill_in_place(build: Build, command: Sequence[str]) -> Built:
    """Let the program work in the shadow schema, with all keys and indexes there from the beginning."""
    outside_keys.add(build.connection, build.release, build.context.settings)
    build.complete_structure()
    build.stages.begin("command")
    _call_program(build, build.connection, command, schema=build.release.shadow_schema)
    return build.finish_filled()


def _fill_by_scratch_database(build: Build, command: Sequence[str]) -> Built:
    """Let the program work under the live schema's name in a scratch database, and copy its rows into the release."""
    context, connection, schema = build.context, build.connection, build.plan.schema
    entries = dump.read(connection, build.release.shadow_schema, context.settings)
    entries += outside_keys.read_from_live(connection, build.release, context.settings)
    build.defer_indexes()
    with scratch_database.database(context.server, connection, build.release, entries, context.watcher) as own:
        build.stages.begin("command")
        with own.connect(f"run {schema} r{build.release.number}") as inside:
            _call_program(build, inside, command, schema=schema)
        work = scratch_database.work(own, build.release, build.tables_to_fill())
        build.copy([*work, *build.copies_from_live()])
        return build.finish()


def _call_program(build: Build, connection: db.Connection, command: Sequence[str], *, schema: str) -> None:
    """Run the program with an environment that directs names without a schema to `schema`."""
    release = build.release
    live = "" if schema == release.live_schema else release.live_schema
    application = names.program(release.live_schema, release.number)
    environment = connection_environment.program_environment(
        connection,
        search_path=catalog.search_path_into(connection, schema, live=live),
        application=application,
    )
    own = {
        "BLUEGREEN_DSN": environment["DATABASE_URL"],
        "BLUEGREEN_SCHEMA": schema,
        "BLUEGREEN_LIVE_SCHEMA": release.live_schema,
        "BLUEGREEN_RELEASE": str(release.number),
    }
    code = child_process.run_attached(command, environment={**environment, **own})
    db.end_sessions(connection, application)
    if code:
        how = f"ended with exit code {code}" if code > 0 else f"was ended by signal {-code}"
        raise errors.CommandFailed(
            f"{command[0]} {how}", hint="Read the output of the program above, fix the cause, then run it again."
        )


def _refuse_without_scratch(connection: db.Connection, plan: LoadPlan) -> None:
    if plan.structure is StructureFrom.COMMAND:
        raise errors.UsageError(
            "cannot create the scratch database: there are no tables from a live schema or DDL",
            hint="Leave `--isolate` out for the first release, or name the project's DDL: "
            '`[structure] ddl = ["schema.sql"]`.',
        )
    if not catalog.may_create_database(connection):
        raise errors.NotPermitted(
            f"role {connection.info.user} may not create databases, which --isolate database needs",
            hint=f"Run `ALTER ROLE {names.quoted(connection.info.user)} CREATEDB;` as a superuser.",
        )
