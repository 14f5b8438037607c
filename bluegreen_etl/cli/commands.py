"""The commands. Each is its options, and one call."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click
import msgspec

from bluegreen_etl import config, embedded, errors, model, workflow
from bluegreen_etl.cli import demo as story
from bluegreen_etl.cli.options import F, common, execute, fail, junit_file, watching

EXIT_CODES = """\b
Exit codes:
  0  done
  1  refused or failed, live unchanged
  2  usage or configuration
  3  checks failed, live unchanged, or back to what it was
  4  lock not obtained in the time allowed, live unchanged, safe to run again
  5  conflict: live is not what the load saw, or another run holds the target
  6  outcome unknown: run `bluegreen status`
"""

max_wait = click.option(
    "--max-wait",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long the cut-over may try to get its locks.  [default: 30]",
)
as_script = click.option("--dry-run", is_flag=True, help="Print the transaction as a script for psql, change nothing.")
rehearse = click.option(
    "--rehearse", is_flag=True, help="Do all of it but commit, and say how long readers would be held."
)
cancel_blockers = click.option(
    "--cancel-blockers",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Cancel statements that have been in the way for so long; sessions are never ended.  [default: never]",
)
via = click.option(
    "--via",
    type=click.Choice([each.value for each in model.Via]),
    help="How readers are held off: by locks, or by pausing the poolers of promote.pgbouncer.  [default: locks]",
)


wait_replicas = click.option(
    "--wait-replicas",
    type=click.FloatRange(min=0),
    is_flag=False,
    flag_value=60.0,
    metavar="[SECONDS]",
    help="Wait until all physical replicas have what is live, 60 seconds at most unless said otherwise.",
)


def cutting_over(command: F) -> F:
    """Add the options about how a cut-over goes."""
    for option in (wait_replicas, via, cancel_blockers, max_wait):
        command = option(command)
    return command


discard_writes = click.option(
    "--discard-writes", is_flag=True, help="Go on although rows were written to live since the load began."
)
allow_drop = click.option(
    "--allow-drop", is_flag=True, help="Go on although the release lacks tables, columns or other objects of live."
)
on_orphans = click.option(
    "--on-orphans",
    type=click.Choice(["refuse", "delete", "null"]),
    help="What becomes of rows outside that refer to rows which the release does not have.  [default: refuse]",
)
no_backup = click.option("--no-backup", is_flag=True, help="Make no backup, although load.backup says so.")
checks_directory = click.option(
    "--checks",
    type=click.Path(file_okay=False, resolve_path=True),
    metavar="DIR",
    help="A directory of *.sql files, each a SELECT of offending rows.",
)
store_failures = click.option(
    "--store-failures", is_flag=True, help="Write all offending rows into tables beside the release."
)


def _share(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    """Refuse what is neither a number of rows nor a share of them."""
    try:
        msgspec.convert(text, config.Share | None)
    except msgspec.ValidationError:
        raise click.BadParameter(f'{text!r} is neither a number of rows nor a share such as "1 %".') from None
    return text


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}, epilog=EXIT_CODES)
@click.version_option(package_name="bluegreen-etl", prog_name="bluegreen")
def main() -> None:
    """Replace a whole PostgreSQL schema with freshly loaded data; no reader ever sees half of it.

    A release is loaded beside the live schema, checked there, and made live by one short transaction. The release
    that was live stays as the way back.

    \b
      bluegreen load data/ --schema league --promote
      bluegreen rollback --schema league
    """
    if os.environ.get("NO_COLOR"):
        click.get_current_context().color = False


@main.command()
@click.argument("data", nargs=-1)
@click.option("--promote", is_flag=True, help="Make the release live when it is ready.")
@click.option("--dry-run", is_flag=True, help="Look at files and tables, say what would be loaded, write nothing.")
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
@click.option("--table", metavar="NAME", help="The table that standard input, `-` among DATA, fills.")
@click.option(
    "--format",
    type=click.Choice([each.value for each in model.Format]),
    help="How standard input is written; without --table, how all DATA are, whatever their names say.",
)
@click.option(
    "--reject-limit",
    metavar="N|N%",
    callback=_share,
    help="How many rows of a table's files, or which share of them, may be broken and left out.  [default: 0]",
)
@click.option("--null", metavar="TEXT", help="The text that stands for NULL in CSV and TSV files.")
@click.option("--encoding", help="The encoding of CSV and TSV files, by PostgreSQL's name.")
@cutting_over
@discard_writes
@allow_drop
@on_orphans
@no_backup
@common
def load(data: Sequence[str], **options: Any) -> None:  # noqa: ANN401 - click passes what the decorators declare
    """Load DATA into a new release: structure, COPY, indexes, checks.

    DATA are files, directories, globs or URLs of CSV, TSV, JSON and NDJSON, plain or compressed, and of Parquet. A
    file fills the table of its name: players.csv, players.json.gz. A zip stands for the files in it, `-` for standard
    input. Without DATA, bluegreen.toml says what to load.

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
        # Standard input is a file that the table lists, and its only one.
        flags["tables"] = {options["table"]: {"files": [model.STDIN], "format": options["format"]}}
    else:
        flags["sources"]["format"] = options["format"]

    def work(context: workflow.Context) -> object:
        _check_stdin(data, options["table"])
        if options["promote"] and not options["dry_run"]:
            return workflow.load_and_promote(context, data)
        return workflow.load(context, data, dry_run=options["dry_run"])

    execute(options, flags, work)


def no_backup_setting(options: Mapping[str, Any]) -> dict[str, str | None]:
    """Return what --no-backup sets under [load]."""
    return {"backup": "none" if options["no_backup"] else None}


def _check_stdin(data: Sequence[str], table: str | None) -> None:
    """Refuse a table without standard input, and standard input twice."""
    count = data.count(model.STDIN)
    if table and not count:
        raise errors.UsageError(
            "--table is for standard input, and that is not among DATA", hint="Write `-` where DATA are named."
        )
    if count > 1:
        raise errors.UsageError("standard input is among DATA twice", hint="Name `-` once; it can only be read once.")


@main.command()
@click.argument("release", required=False)
@checks_directory
@store_failures
@junit_file
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Only the checks with this tag; may be repeated.")
@common
def check(release: str | None, **options: Any) -> None:  # noqa: ANN401 - see load
    """Run the checks again, on a RELEASE or on `live`.

    Without RELEASE: the newest ready release, or live if none is ready. Exit code 3 when one fails.
    """
    flags = {"checks": {"path": options["checks"], "store_failures": options["store_failures"] or None}}
    execute(options, flags, lambda context: workflow.check(context, which=release, tags=options["tags"]))


@main.command()
@click.argument("release", required=False, type=int)
@common
def diff(release: int | None, **options: Any) -> None:  # noqa: ANN401 - see load
    """Show live beside a RELEASE: tables, columns, types, row counts, shares of nulls, other objects.

    Without RELEASE: the newest ready one, or the newest previous one.
    """
    execute(options, {}, lambda context: workflow.diff(context, number=release))


@main.command()
@click.argument("release", required=False, type=int)
@as_script
@rehearse
@cutting_over
@discard_writes
@allow_drop
@on_orphans
@no_backup
@common
def promote(release: int | None, **options: Any) -> None:  # noqa: ANN401 - see load
    """Make a RELEASE live, at once for every reader.

    Without RELEASE: the newest ready one. A previous release may be named too: forward again after a rollback.
    """
    execute(
        options,
        {**promote_settings(options), "load": no_backup_setting(options)},
        lambda context: workflow.promote(context, number=release, trial=_trial(options)),
    )


@main.command()
@click.option(
    "--to", "number", type=int, metavar="RELEASE", help="A kept release.  [default: the one that live replaced]"
)
@as_script
@rehearse
@cutting_over
@discard_writes
@on_orphans
@common
def rollback(number: int | None, **options: Any) -> None:  # noqa: ANN401 - see load
    """Go back to the release that live replaced, at once for every reader."""
    execute(
        options,
        promote_settings(options),
        lambda context: workflow.rollback(context, number=number, trial=_trial(options)),
    )


def promote_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the options of a cut-over set."""
    return {
        "promote": {
            "via": options["via"],
            "wait_replicas": options["wait_replicas"],
            "max_wait": options["max_wait"],
            "cancel_blockers": options["cancel_blockers"],
            "discard_writes": options.get("discard_writes") or None,
            "allow_drop": options.get("allow_drop") or None,
            "on_orphans": options["on_orphans"],
        }
    }


def _trial(options: Mapping[str, Any]) -> model.Trial | None:
    if options["dry_run"] and options["rehearse"]:
        raise errors.UsageError("--dry-run and --rehearse are two different things", hint="Give one of them.")
    return model.Trial.SCRIPT if options["dry_run"] else model.Trial.REHEARSAL if options["rehearse"] else None


@main.command()
@click.option(
    "--watch",
    is_flag=False,
    flag_value=1.0,
    type=click.FloatRange(min=0.1),
    metavar="[SECONDS]",
    help="Look at the load that runs now, every so many seconds, until it ends.  [default: 1]",
)
@wait_replicas
@common
def status(watch: float | None, wait_replicas: float | None, **options: Any) -> None:  # noqa: ANN401 - see load
    """Show what is live, ready, kept and left over, and which replicas have what is live.

    With --watch: what each session of a load is at, how much of the files is read, how fast, and how long it will
    take yet; with --json one object a line. Ctrl-C ends the looking, not the load.

    With --wait-replicas: exit code 1 when one still lacks it.
    """
    if watch is None:
        execute(options, {}, lambda context: workflow.status(context, wait_replicas=wait_replicas))
    else:
        execute(options, {}, lambda context: watching(context, every=watch, as_json=options["json"]))


@main.command()
@common
def history(**options: Any) -> None:  # noqa: ANN401 - see load
    """Show what happened when, and by whom."""
    execute(options, {}, workflow.history)


@main.command()
@click.option(
    "--keep", type=click.IntRange(min=0), help="How many previous releases stay.  [default: retention.keep, 1]"
)
@common
def prune(keep: int | None, **options: Any) -> None:  # noqa: ANN401 - see load
    """Drop failed, dead and superseded releases, and previous ones beyond those kept.

    Never drops a release while anything outside of it depends on it, or one that was live less than retention.min_age
    seconds ago.
    """
    execute(options, {}, lambda context: workflow.prune(context, keep=keep))


@main.command()
@click.option("--off", is_flag=True, help="Take the mark away.")
@common
def protect(off: bool, **options: Any) -> None:  # noqa: ANN401 - see load
    """Mark the database as protected: promote, rollback, restore, prune then want a confirmation or --force.

    The mark is in the database, so that it holds whichever way the database is reached.
    """
    execute(options, {}, lambda context: workflow.protect(context, protected=not off))


@main.command()
@click.option("--keep", is_flag=True, help="Leave the demo's directory and server for looking at.")
def demo(keep: bool) -> None:
    """Tell the whole story on a PostgreSQL of its own: load, promote, diff, roll back, refuse."""
    try:
        sys.exit(story.tell(keep=keep))
    except errors.BluegreenError as error:
        fail(error)


@main.group(name="embedded")
def embedded_group() -> None:
    """The PostgreSQL that is used when no connection is given."""


@embedded_group.command()
def start() -> None:
    """Start it and print its DSN, for psql and others."""
    try:
        click.echo(embedded.start())
    except errors.BluegreenError as error:
        fail(error)


@embedded_group.command()
def stop() -> None:
    """Stop it; its data stay."""
    click.echo("stopped" if embedded.stop() else "it was not running", err=True)
