"""Commands around the others: init, doctor, explain, prune, protect, demo, embedded."""

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

_NAMES = 18  # the width of the names of errors


@click.command("init")
@click.argument("data", nargs=-1)
@common
def init_command(data: Sequence[str], **options: Any) -> None:  # noqa: ANN401 - see run
    """Write bluegreen.toml, DDL and starter checks for the files in DATA, ready to edit.

    Types and keys are what the files look like. Needs no server, and replaces no file.

    \b
      bluegreen init data/ --schema league
      bluegreen load --promote
    """
    execute(options, {}, lambda context: init.init(context, data))


@click.command("doctor")
@common
def doctor_command(**options: Any) -> None:  # noqa: ANN401 - see run
    """Look at all that a command will need: server, role, schema, session, disk, leftovers.

    Changes nothing. Each finding is ok, warn or fail, with what to do; exit code 1 where a command would fail.
    """
    execute(options, {}, doctor.doctor)


@click.command("explain")
@click.argument("error", required=False)
def explain_command(error: str | None) -> None:
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
    except errors.UsageError as failure:
        fail(failure)
    family = errors.family(found)
    click.echo(f"{found.__name__}: exit code {found.exit_code}{f', a kind of {family.__name__}' if family else ''}\n")
    click.echo(errors.meaning(found))


@click.command("prune")
@click.option(
    "--keep", type=click.IntRange(min=0), help="How many previous releases stay.  [default: retention.keep, 1]"
)
@common
def prune_command(keep: int | None, **options: Any) -> None:  # noqa: ANN401 - see load
    """Drop failed, dead and superseded releases, and previous ones beyond those kept.

    Never drops a release while anything outside of it depends on it, or one that was live less than retention.min_age
    seconds ago.
    """
    execute(options, {}, lambda context: prune.prune(context, keep=keep))


@click.command("protect")
@click.option("--off", is_flag=True, help="Take the mark away.")
@common
def protect_command(off: bool, **options: Any) -> None:  # noqa: ANN401 - see load
    """Mark the database as protected: promote, rollback, restore, prune then want a confirmation or --force.

    The mark is in the database, so that it holds whichever way the database is reached.
    """
    execute(options, {}, lambda context: protect.protect(context, protected=not off))


@click.command("demo")
@click.option("--keep", is_flag=True, help="Leave the demo's directory and server for looking at.")
def demo_command(keep: bool) -> None:
    """Tell the whole story on a PostgreSQL of its own: load, promote, diff, roll back, refuse."""
    with reported():
        sys.exit(demo.tell(keep=keep))


@click.group("embedded")
def embedded_command() -> None:
    """The PostgreSQL that is used when no connection is given."""


@embedded_command.command()
def start() -> None:
    """Start it and print its DSN, for psql and others."""
    with reported():
        click.echo(embedded.start())


@embedded_command.command()
def stop() -> None:
    """Stop it; its data stay."""
    with reported():
        click.echo("stopped" if embedded.stop() else "it was not running", err=True)
