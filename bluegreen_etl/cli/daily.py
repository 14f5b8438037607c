"""Commands around the cycle of load, promote and rollback: init, run, backup, restore, doctor, explain."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from bluegreen_etl import errors, model, workflow
from bluegreen_etl.cli.commands import (
    allow_drop,
    checks_directory,
    cutting_over,
    discard_writes,
    main,
    no_backup,
    no_backup_setting,
    on_orphans,
    promote_settings,
)
from bluegreen_etl.cli.options import common, execute, fail, html_file
from bluegreen_etl.report import page

_NAMES = 18  # the width of the names of errors


@main.command(name="run", context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, metavar="[--] COMMAND...", type=click.UNPROCESSED)
@click.option("--promote", is_flag=True, help="Make the release live when it is ready.")
@click.option(
    "--isolate",
    type=click.Choice([each.value for each in model.Isolation]),
    default=model.Isolation.SCHEMA.value,
    show_default=True,
    help="Let names without a schema lead into the release, or give the command a scratch database.",
)
@click.option(
    "--structure",
    type=click.Choice(["live", "ddl", "command"]),
    help="Where tables come from.  [default: ddl if configured, else live if it exists, else command]",
)
@checks_directory
@cutting_over
@discard_writes
@allow_drop
@on_orphans
@no_backup
@common
def run_command(command: Sequence[str], **options: Any) -> None:  # noqa: ANN401 - click passes what the decorators declare
    """Have a new release filled by COMMAND, any program that writes to PostgreSQL.

    Its environment leads names without a schema into the release; BLUEGREEN_SCHEMA holds the release's schema. Exit
    code 0 of it means that its work is done, every other one that the release has failed, and exit code 1 here. Its
    output goes to stderr.

    \b
      bluegreen run --promote -- psql -v ON_ERROR_STOP=1 -f nightly.sql
      bluegreen run --isolate database -- python old_etl.py
    """
    flags = {
        "load": no_backup_setting(options),
        "structure": {"from": options["structure"]},
        "checks": {"path": options["checks"]},
        **promote_settings(options),
    }
    isolate = model.Isolation(options["isolate"])
    work = workflow.run_and_promote if options["promote"] else workflow.run
    execute(options, flags, lambda context: work(context, command, isolate=isolate))


@main.command()
@click.argument("release", required=False)
@click.option("--to", metavar="DIR", help="Make it in a new directory below DIR.  [default: backup.path]")
@common
def backup(release: str | None, to: str | None, **options: Any) -> None:  # noqa: ANN401 - see run
    """Write a RELEASE, or what is live, into files by pg_dump, with the digest of each.

    Backups beyond backup.keep, or older than backup.days, are dropped after it.
    """
    execute(options, {}, lambda context: workflow.backup(context, which=release, to=to))


@main.command()
@click.argument("directory", metavar="DIR")
@click.option("--promote", is_flag=True, help="Make the release live when it is ready.")
@click.option("--jobs", "-j", type=click.IntRange(1, 64), help="Connections that copy and build.")
@checks_directory
@cutting_over
@allow_drop
@on_orphans
@no_backup
@common
def restore(directory: str, **options: Any) -> None:  # noqa: ANN401 - see run
    """Load a backup into a new release, which is checked and promoted like any other.

    Its files are compared with their digests before anything is begun.
    """
    flags = {
        "load": {"jobs": options["jobs"], **no_backup_setting(options)},
        "checks": {"path": options["checks"]},
        **promote_settings(options),
    }
    work = workflow.restore_and_promote if options["promote"] else workflow.restore
    execute(options, flags, lambda context: work(context, directory))


@main.command()
@common
def doctor(**options: Any) -> None:  # noqa: ANN401 - see run
    """Look at all that a command will need: server, role, schema, session, disk, leftovers.

    Changes nothing. Each finding is ok, warn or fail, with what to do; exit code 1 where a command would fail.
    """
    execute(options, {}, workflow.doctor)


@main.command()
@html_file
@common
def report(html: Path | None, **options: Any) -> None:  # noqa: ANN401 - see run
    """Tell all about a live schema: releases, tables, checks, changes, times, failures.

    As text, as JSON, or as a page to be looked at and sent to somebody. Reads the ledger and the catalogs, and none of
    the data. A page of the newest 30 releases.

    \b
      bluegreen report --html league.html
    """

    def work(context: workflow.Context) -> object:
        outcome = workflow.report(context)
        if html is not None:
            page.write(html, outcome)
            context.watcher.say(f"{html} was written")
        return None if html is not None and not options["json"] else outcome

    execute(options, {}, work)


@main.command()
@click.argument("data", nargs=-1)
@common
def init(data: Sequence[str], **options: Any) -> None:  # noqa: ANN401 - see run
    """Write bluegreen.toml, DDL and starter checks for the files in DATA, ready to edit.

    Types and keys are what the files look like. Needs no server, and replaces no file.

    \b
      bluegreen init data/ --schema league
      bluegreen load --promote
    """
    execute(options, {}, lambda context: workflow.init(context, data))


@main.command()
@click.argument("error", required=False)
def explain(error: str | None) -> None:
    """Say what an ERROR means and what to do; its name stands at the end of its hint.

    Without ERROR: all of them, each in one sentence. docs/errors.md has the same.

    \b
      bluegreen explain Orphans
    """
    if error is None:
        for kind in errors.kinds():
            click.echo(f"{kind.__name__:<{_NAMES}}{errors.meaning(kind).splitlines()[0]}")
        return
    try:
        found = errors.find(error)
    except errors.BluegreenError as failure:
        fail(failure)
    family = errors.family(found)
    click.echo(f"{found.__name__}: exit code {found.exit_code}{f', a kind of {family.__name__}' if family else ''}\n")
    click.echo(errors.meaning(found))
