"""Commands that inspect: check, diff, status, history, report."""

from pathlib import Path
from typing import Any

import click

from bluegreen_etl.cli.execute import execute, watching
from bluegreen_etl.cli.options import (
    Duration,
    checks_directory,
    common,
    html_file,
    junit_file,
    store_failures,
    wait_replicas,
)
from bluegreen_etl.commands import check, diff, history, report, status
from bluegreen_etl.releases.context import Context
from bluegreen_etl.report.html import page


@click.command("check")
@click.argument("release", required=False)
@checks_directory
@store_failures
@junit_file
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Run only the checks with this tag; may be repeated.")
@common
def check_command(release: str | None, **options: Any) -> None:  # noqa: ANN401 - see load
    """Run the checks again, on a RELEASE or on `live`.

    Without RELEASE: the newest ready release, or live if none is ready. Exit code 3 if a check fails.
    """
    flags = {"checks": {"path": options["checks"], "store_failures": options["store_failures"] or None}}
    execute(options, flags, lambda context: check.check(context, which=release, tags=options["tags"]))


@click.command("diff")
@click.argument("release", required=False, type=int)
@common
def diff_command(release: int | None, **options: Any) -> None:  # noqa: ANN401 - see load
    """Compare live with a RELEASE: tables, columns, types, row counts, shares of nulls, other objects.

    Without RELEASE: the newest ready one, or the newest previous one.
    """
    execute(options, {}, lambda context: diff.diff(context, number=release))


@click.command("status")
@click.option(
    "--watch",
    is_flag=False,
    flag_value=1.0,
    type=Duration(min=0.1),
    metavar="[SECONDS]",
    help="Watch the running load; refresh every SECONDS.  [default: 1]",
)
@wait_replicas
@common
def status_command(watch: float | None, wait_replicas: float | None, **options: Any) -> None:  # noqa: ANN401 - see load
    """Show which releases are live, ready, kept and left over, and which replicas have the live one.

    With --watch: show the work of each session of a load, the bytes read, the rate and the time left; with --json one
    object a line. Ctrl-C ends the watching, not the load.

    With --wait-replicas: exit code 1 if a replica still lacks the live release.
    """
    if watch is None:
        execute(options, {}, lambda context: status.status(context, wait_replicas=wait_replicas))
    else:
        execute(options, {}, lambda context: watching(context, every=watch, as_json=options["json"]))


@click.command("history")
@common
def history_command(**options: Any) -> None:  # noqa: ANN401 - see load
    """Show what happened, when, and who did it."""
    execute(options, {}, history.history)


@click.command("report")
@html_file
@common
def report_command(html: Path | None, **options: Any) -> None:  # noqa: ANN401 - see run
    """Report on a live schema: releases, tables, checks, changes, times, failures.

    As text, as JSON, or as an HTML page. Covers the newest 30 releases. Reads the ledger and the catalogs, and none of
    the data.

    \b
      bluegreen report --html league.html
    """

    def work(context: Context) -> object:
        outcome = report.report(context)
        if html is not None:
            page.write(html, outcome)
            context.watcher.say(f"{html} was written")
        return None if html is not None and not options["json"] else outcome

    execute(options, {}, work)
