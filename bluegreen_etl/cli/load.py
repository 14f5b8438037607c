"""`bluegreen load`: load data files into a new release."""

from collections.abc import Sequence
from typing import Any

import click

from bluegreen_etl import errors, model
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
    share,
    store_failures,
)
from bluegreen_etl.commands import load, promote
from bluegreen_etl.releases.context import Context


@click.command("load")
@click.argument("data", nargs=-1)
@click.option("--promote", is_flag=True, help="Make the release live when it is ready.")
@click.option("--dry-run", is_flag=True, help="Check files and tables, show what would be loaded, write nothing.")
@click.option(
    "--jobs", "-j", type=click.IntRange(1, 64), help="Connections that copy and build.  [default: cores, at most 8]"
)
@click.option(
    "--structure",
    type=click.Choice(["live", "ddl", "files"]),
    help="Where tables come from.  [default: ddl if configured, else live if it exists, else files]",
)
@checks_directory
@store_failures
@junit_file
@click.option("--table", metavar="NAME", help="Table that standard input, `-` in DATA, fills.")
@click.option(
    "--format",
    type=click.Choice([each.value for each in model.Format]),
    help="Format of standard input; without --table, of all DATA, whatever their suffixes.",
)
@click.option(
    "--reject-limit",
    metavar="N|N%",
    callback=share,
    help="Number or share of bad rows to leave out of each table.  [default: 0]",
)
@click.option("--null", metavar="TEXT", help="The text that means NULL in CSV and TSV files.")
@click.option("--encoding", help="The encoding of CSV and TSV files, by PostgreSQL's name.")
@cutting_over
@discard_writes
@allow_drop
@on_orphans
@no_backup
@common
def load_command(data: Sequence[str], **options: Any) -> None:  # noqa: ANN401 - click passes what the decorators declare
    """Load DATA into a new release: structure, COPY, indexes, checks.

    DATA are files, directories, globs or URLs of CSV, TSV, JSON and NDJSON, plain or compressed, and of Parquet. A
    file fills the table with its name: players.csv, players.json.gz. A zip means the files in it, `-` standard input.
    Without DATA, bluegreen.toml names the files.

    \b
      bluegreen load data/ --schema league --promote
      bluegreen load players.csv teams.json -s league --dry-run
      bluegreen load export.zip 'https://example.org/export/*.csv.gz'
      zcat players.gz | bluegreen load teams.csv - --table players --format csv
    """
    flags = {
        "load": {
            "jobs": options["jobs"],
            "reject_limit": options["reject_limit"],
            **no_backup_setting(options),
        },
        "structure": {"from": options["structure"]},
        "checks": {"path": options["checks"], "store_failures": options["store_failures"] or None},
        "sources": {"null": options["null"], "encoding": options["encoding"]},
        **promote_settings(options),
    }
    if options["table"]:
        # Standard input is the only file that the table lists.
        flags["tables"] = {options["table"]: {"files": [model.STDIN], "format": options["format"]}}
    else:
        flags["sources"]["format"] = options["format"]

    def work(context: Context) -> object:
        _check_stdin(data, options["table"])
        if options["promote"] and not options["dry_run"]:
            return promote.load_and_promote(context, data)
        return load.load(context, data, dry_run=options["dry_run"])

    execute(options, flags, work)


def _check_stdin(data: Sequence[str], table: str | None) -> None:
    """Refuse a table without standard input, and standard input twice."""
    count = data.count(model.STDIN)
    if table and not count:
        raise errors.UsageError("--table needs standard input, but DATA do not contain `-`", hint="Add `-` to DATA.")
    if count > 1:
        raise errors.UsageError("DATA contain standard input twice", hint="Name `-` once; it can be read only once.")
