"""Options that several commands share, and what every command does around its own work."""

import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import click

from bluegreen_etl import config, errors, interrupts, report, workflow
from bluegreen_etl.cli.talk import Talker

F = TypeVar("F", bound=Callable[..., Any])

INTERRUPTED = errors.Interrupted(
    "interrupted: live is unchanged", hint="`bluegreen status` shows what is left; the next load cleans it up."
)


class Common(NamedTuple):
    """The values of the shared options."""

    schema: str | None
    dsn: str | None
    environment: str | None
    config: str | None
    force: bool
    json: bool
    debug: bool


def common(command: F) -> F:
    """Add the options that every command has; they arrive as one argument `common`."""
    options = [
        click.option("--schema", "-s", envvar="BLUEGREEN_SCHEMA", help="The live schema's name."),
        click.option("--dsn", envvar="BLUEGREEN_DSN", help="Connection string or URL, as psql takes it."),
        click.option(
            "--environment",
            "-e",
            envvar="BLUEGREEN_ENVIRONMENT",
            help="A section [environments.NAME] of bluegreen.toml.",
        ),
        click.option(
            "--config",
            "-c",
            envvar="BLUEGREEN_CONFIG",
            metavar="FILE",
            help="The configuration file.  [default: bluegreen.toml, where there is one]",
        ),
        click.option("--force", is_flag=True, help="Go on although the database is protected or live has changed."),
        click.option("--json", is_flag=True, help="Write one JSON object to stdout instead of a table."),
        click.option("--debug", is_flag=True, help="Show the traceback of an error."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def execute(values: Mapping[str, Any], flags: Mapping[str, Any], work: Callable[[workflow.Context], object]) -> None:
    """Run one workflow with the settings that the options lead to, show its outcome, exit with its code."""
    options = Common(**{name: values[name] for name in Common._fields})
    talker = Talker()
    interrupts.install()
    try:
        resolved = config.resolve(
            {**flags, "schema": options.schema, "dsn": options.dsn},
            file=options.config,
            environment=options.environment,
        )
        outcome = work(workflow.Context(resolved, talker, force=options.force))
        talker.end()
        report.show(outcome, as_json=options.json)
    except errors.BluegreenError as error:
        talker.end()
        if isinstance(error, errors.ChecksFailed) and error.results:
            report.show(error.results, as_json=options.json)
        fail(error, debug=options.debug)
    except KeyboardInterrupt:
        talker.end()
        fail(INTERRUPTED, debug=options.debug)


def fail(error: errors.BluegreenError, *, debug: bool) -> None:
    """Write the error as one sentence with its hint, and exit with its code."""
    if debug:
        traceback.print_exc()
    click.echo(f"bluegreen: error: {error.message}", err=True)
    if error.hint:
        click.echo(f"HINT: {error.hint}", err=True)
    sys.exit(error.exit_code)
