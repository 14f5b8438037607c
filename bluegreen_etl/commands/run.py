"""Run: a program of the user's own fills a new release, however it does that and however often it commits."""

from collections.abc import Sequence

from bluegreen_etl import catalog, child_process, citus, connection_environment, db, errors, names
from bluegreen_etl.commands import promote as promote_command
from bluegreen_etl.model import Isolation, Release, StructureFrom
from bluegreen_etl.releases import build
from bluegreen_etl.releases.context import Context, refuse_if_protected
from bluegreen_etl.releases.lifecycle import Loaded, complete, failing_cleanly, open_release
from bluegreen_etl.releases.plan import LoadPlan, plan_load, to_be_filled
from bluegreen_etl.releases.progress import Stages
from bluegreen_etl.shadow import dump, scratch_database


def run(
    context: Context, command: Sequence[str], *, isolate: Isolation = Isolation.SCHEMA, promote: bool = False
) -> Loaded:
    """Have a new release filled by a program, and make it ready.

    Args:
        command: the program and its arguments; it ends with 0 when its work is done.
        promote: the caller goes on with promote, so protection is asked about now.

    Raises:
        CommandFailed: the program ended with another code, or by a signal.
        UsageError, BadRow, ChecksFailed, Refused, Conflict, ServerFailed: live is unchanged.
    """
    child_process.require_program(command[0])
    with context.server.connect(f"run {context.schema}") as connection:
        plan = plan_load(context, connection, None)
        if isolate is Isolation.DATABASE:
            _refuse_without_scratch(connection, plan)
        if promote:
            refuse_if_protected(context, connection, "promote")
        release = open_release(context, connection, plan)
        with failing_cleanly(context, connection, release):
            stages = Stages(context.watcher, connection, release)
            fill = _in_scratch if isolate is Isolation.DATABASE else _in_place
            built = fill(context, connection, plan, release, command, stages)
            return complete(context, connection, plan, built, stages)


def run_and_promote(
    context: Context, command: Sequence[str], *, isolate: Isolation = Isolation.SCHEMA
) -> promote_command.Released:
    """Have a release filled by a program and make it live at once.

    Raises:
        BluegreenError: of run or promote; where promote failed, the release stays ready.
    """
    loaded = run(context, command, isolate=isolate, promote=True)
    number = loaded.release.number if loaded.release else None
    return promote_command.Released(loaded=loaded, promoted=promote_command.promote(context, number=number))


def _in_place(
    context: Context,
    connection: db.Connection,
    plan: LoadPlan,
    release: Release,
    command: Sequence[str],
    stages: Stages,
) -> build.Built:
    """Let the program work in the release's own schema, with all keys and indexes there from the beginning."""
    stages.begin("structure")
    release = build.make_structure(context, connection, plan, release)
    if plan.distributed:
        citus.distribute(connection, release, context.settings.distribute)
    stages.begin("command")
    _call(context, connection, release, command, schema=release.shadow_schema)
    return build.finish_filled(context, connection, plan, release, (), stages)


def _in_scratch(
    context: Context,
    connection: db.Connection,
    plan: LoadPlan,
    release: Release,
    command: Sequence[str],
    stages: Stages,
) -> build.Built:
    """Let the program work under the live schema's name in a scratch database, and copy what it leaves there."""
    stages.begin("structure")
    release = build.make_structure(context, connection, plan, release)
    entries = dump.read(connection, release.shadow_schema, context.settings)
    release, put_off = build.put_off_keys(context, connection, plan, release)
    with scratch_database.database(context.server, connection, release, entries, context.watcher) as own:
        stages.begin("command")
        with own.connect(f"run {plan.schema} r{release.number}") as inside:
            _call(context, inside, release, command, schema=plan.schema)
        tables = catalog.tables(connection, release.schema_oid or 0)
        work = scratch_database.work(own, release, to_be_filled(tables, plan.carried, plan.copied))
        work += build.copied_from_live(context, plan, release)
        loads = build.fill_tables(context, connection, plan, release, work, put_off, stages)
    return build.Built(release, (), loads)


def _call(
    context: Context, connection: db.Connection, release: Release, command: Sequence[str], *, schema: str
) -> None:
    """Run the program with an environment that leads names without a schema into `schema`."""
    live = "" if schema == release.live_schema else release.live_schema
    environment = connection_environment.program_environment(
        connection,
        search_path=catalog.search_path_into(connection, schema, live=live),
        application=names.program(release.live_schema, release.number),
    )
    own = {
        "BLUEGREEN_DSN": environment["DATABASE_URL"],
        "BLUEGREEN_SCHEMA": schema,
        "BLUEGREEN_LIVE_SCHEMA": release.live_schema,
        "BLUEGREEN_RELEASE": str(release.number),
    }
    code = child_process.run_attached(command, environment={**environment, **own})
    db.end_sessions(connection, names.program(release.live_schema, release.number))
    if code:
        how = f"ended with exit code {code}" if code > 0 else f"was ended by signal {-code}"
        raise errors.CommandFailed(f"{command[0]} {how}", hint="Its own output above says why; then run it again.")


def _refuse_without_scratch(connection: db.Connection, plan: LoadPlan) -> None:
    if plan.structure is StructureFrom.COMMAND:
        raise errors.UsageError(
            "a scratch database needs tables to begin with: a live schema or DDL",
            hint="Leave --isolate out for the first release, or name the project's DDL under [structure] ddl.",
        )
    if not catalog.may_create_database(connection):
        raise errors.NotPermitted(
            f"role {connection.info.user} may not create databases, which --isolate database needs",
            hint=f"ALTER ROLE {names.quoted(connection.info.user)} CREATEDB;",
        )
