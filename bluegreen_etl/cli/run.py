"""`bluegreen run`: fill a new release with an existing program."""

from collections.abc import Sequence
from typing import Any

import click

from bluegreen_etl import model
from bluegreen_etl.cli.execute import execute
from bluegreen_etl.cli.options import (
    allow_drop,
    checks_directory,
    common,
    cutting_over,
    discard_writes,
    no_backup,
    no_backup_setting,
    on_orphans,
    promote_settings,
)
from bluegreen_etl.commands import run


@click.command("run", context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, metavar="[--] COMMAND...", type=click.UNPROCESSED)
@click.option("--promote", is_flag=True, help="Make the release live when it is ready.")
@click.option(
    "--isolate",
    type=click.Choice([each.value for each in model.Isolation]),
    default=model.Isolation.SCHEMA.value,
    show_default=True,
    help="Resolve names without a schema in the release, or give the command a scratch database.",
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
    """Run COMMAND, any program that writes to PostgreSQL, to fill a new release.

    The environment of COMMAND resolves names without a schema in the release; BLUEGREEN_SCHEMA holds the release's
    schema. If COMMAND ends with an exit code other than 0, the release has failed, and the exit code here is 1. The
    output of COMMAND goes to stderr.

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
    work = run.run_and_promote if options["promote"] else run.run
    execute(options, flags, lambda context: work(context, command, isolate=isolate))
