"""Commands for a release that many processes fill: open, copy, finish, abort."""

import re
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
    junit_file,
    no_backup,
    no_backup_setting,
    on_orphans,
    promote_settings,
    store_failures,
)
from bluegreen_etl.commands import shared_release
from bluegreen_etl.commands.shared_release import Expected
from bluegreen_etl.releases.copy_data import Files

_EXPECTED = re.compile(r"(?:(?P<table>.+)=)?(?P<count>\d+)")


@click.command("open")
@click.option(
    "--structure",
    type=click.Choice(["live", "ddl"]),
    help="Where tables come from.  [default: ddl if configured, else live]",
)
@common
def open_command(**options: Any) -> None:  # noqa: ANN401 - click passes what the decorators declare
    """Open a new release for parts, and print its number.

    Any number of processes on any number of machines `copy` into the release; one of them finishes it. Until then no
    other load can begin. A release that is not finished after load.open_for seconds is stale.

    \b
      RELEASE=$(bluegreen open --schema league)
      bluegreen copy $RELEASE players players-0007.parquet --part 7
      bluegreen finish $RELEASE --expect players=12 --promote
    """
    execute(options, {"structure": {"from": options["structure"]}}, shared_release.open_shared)


@click.command("copy")
@click.argument("release", type=int)
@click.argument("table")
@click.argument("data", nargs=-1, required=True)
@click.option(
    "--part",
    "key",
    required=True,
    metavar="KEY",
    help="Unique name of these rows within the table; a retry uses the same KEY.",
)
@click.option(
    "--format",
    type=click.Choice([each.value for each in model.Format]),
    help="Format of DATA, whatever their suffixes.",
)
@click.option("--null", metavar="TEXT", help="The text that means NULL in CSV and TSV files.")
@click.option("--encoding", help="The encoding of CSV and TSV files, by PostgreSQL's name.")
@common
def copy_command(release: int, table: str, data: Sequence[str], key: str, **options: Any) -> None:  # noqa: ANN401 - see open
    """Copy DATA into a TABLE of an open RELEASE as one part, in one transaction.

    The command is idempotent: an existing part is not copied again, so retries are safe. If two processes copy the
    same part, the second waits for the first. DATA are as for `load`, including `-`.
    """
    own = {name: options[name] for name in ("format", "null", "encoding")}
    execute(
        options,
        {"tables": {table: own}},
        lambda context: shared_release.copy_part(context, release, table, Files(data), key=key),
    )


def _expected(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> Expected | None:
    """Return the expected numbers of parts."""
    found = [match for match in map(_EXPECTED.fullmatch, given) if match]
    by_table = {match["table"]: int(match["count"]) for match in found if match["table"]}
    if len(found) < len(given) or len(by_table) < len(given) > 1:
        raise click.BadParameter("give one NUMBER for all tables, or TABLE=NUMBER once for each table")
    return int(found[0]["count"]) if found and not by_table else by_table or None


@click.command("finish")
@click.argument("release", type=int)
@click.option("--promote", is_flag=True, help="Make the release live when it is ready.")
@click.option(
    "--expect",
    callback=_expected,
    multiple=True,
    metavar="[TABLE=]NUMBER",
    help="Refuse another number of parts, in total or of a table; may be repeated.",
)
@click.option("--jobs", "-j", type=click.IntRange(1, 64), help="Connections that build indexes and run checks.")
@checks_directory
@store_failures
@junit_file
@cutting_over
@discard_writes
@allow_drop
@on_orphans
@no_backup
@common
def finish_command(release: int, **options: Any) -> None:  # noqa: ANN401 - see open
    """Build keys, indexes and statistics of an open RELEASE, run the checks, and make it ready.

    Accepts no more parts, and waits up to --max-wait for the running ones. Exit code 4 if a running part does not end,
    1 if the number of parts differs from --expect; the release is then still open.
    """
    flags = {
        "load": {"jobs": options["jobs"], **no_backup_setting(options)},
        "checks": {"path": options["checks"], "store_failures": options["store_failures"] or None},
        **promote_settings(options),
    }
    work = shared_release.finish_and_promote if options["promote"] else shared_release.finish
    execute(options, flags, lambda context: work(context, release, expect=options["expect"]))


@click.command("abort")
@click.argument("release", type=int)
@common
def abort_command(release: int, **options: Any) -> None:  # noqa: ANN401 - see open
    """Abort an open RELEASE: end the sessions that copy into it, and drop it."""
    execute(options, {}, lambda context: shared_release.abort(context, release))
