"""Administrative commands: init, doctor, explain, prune, protect, demo, embedded."""

import sys
from collections.abc import Sequence
from typing import Any

import click

from bluegreen_etl import embedded, errors
from bluegreen_etl.cli import demo
from bluegreen_etl.cli.execute import execute, fail, reported
from bluegreen_etl.cli.options import (
    common,
)
from bluegreen_etl.commands import doctor, init, protect, prune

_NAMES = 18  # width of the column with the error names


@click.command("init")
@click.argument("data", nargs=-1)
@common
def init_command(data: Sequence[str], **options: Any) -> None:  # noqa: ANN401 - see run
    """Write bluegreen.toml, DDL and starter checks for the files in DATA, ready to edit.

    Types and keys are inferred from the files. Needs no server, and replaces no file.

    \b
      bluegreen init data/ --schema league
      bluegreen load --promote
    """
    execute(options, {}, lambda context: init.init(context, data))


@click.command("doctor")
@common
def doctor_command(**options: Any) -> None:  # noqa: ANN401 - see run
    """Check all that a command needs: server, role, schema, session, disk, leftovers.

    Changes nothing. Each finding is ok, warn or fail, with a hint; exit code 1 if a command would fail.
    """
    execute(options, {}, doctor.doctor)


@click.command("explain")
@click.argument("error", required=False)
def explain_command(error: str | None) -> None:
    """Explain an ERROR and its fixes; the name of an error is at the end of its hint.

    Without ERROR: list all errors, one sentence each. docs/errors.md has the same text.

    \b
      bluegreen explain Orphans
    """
    if error is None:
        for kind in errors.kinds():
            click.echo(f"{kind.__name__:<{_NAMES}}{errors.meaning(kind).splitlines()[0]}")
        return
    try:
        found = errors.find(error)
    except errors.UsageError as failure:
        fail(failure)
    family = errors.family(found)
    click.echo(f"{found.__name__}: exit code {found.exit_code}{f', a kind of {family.__name__}' if family else ''}\n")
    click.echo(errors.meaning(found))


@click.command("prune")
@click.option(
    "--keep", type=click.IntRange(min=0), help="Number of previous releases to keep.  [default: retention.keep, 1]"
)
@common
def prune_command(keep: int | None, **options: Any) -> None:  # noqa: ANN401 - see load
    """Drop failed, stale and superseded releases, and previous ones beyond --keep.

    Never drops a release that an object outside depends on, or that was live less than retention.min_age seconds ago.
    """
    execute(options, {}, lambda context: prune.prune(context, keep=keep))


@click.command("protect")
@click.option("--off", is_flag=True, help="Remove the mark.")
@common
def protect_command(off: bool, **options: Any) -> None:  # noqa: ANN401 - see load
    """Mark the database as protected: promote, rollback, restore and prune then need a confirmation or --force.

    The mark is stored in the database, so it applies to every connection.
    """
    execute(options, {}, lambda context: protect.protect(context, protected=not off))


@click.command("demo")
@click.option("--keep", is_flag=True, help="Keep the demo's directory and server for inspection.")
def demo_command(keep: bool) -> None:
    """Run all steps on a temporary PostgreSQL: load, promote, diff, roll back, refuse."""
    with reported():
        sys.exit(demo.play(keep=keep))


@click.group("embedded")
def embedded_command() -> None:
    """Manage the PostgreSQL that is used when no connection is given."""


@embedded_command.command()
def start() -> None:
    """Start the server and print its DSN, for psql and other clients."""
    with reported():
        click.echo(embedded.start())


@embedded_command.command()
def stop() -> None:
    """Stop the server; keep its data."""
    with reported():
        click.echo("stopped" if embedded.stop() else "it was not running", err=True)
