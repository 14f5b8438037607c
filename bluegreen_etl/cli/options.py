"""Options that several commands share, and what every command does around its own work."""

import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeVar

import click

from bluegreen_etl import config, errors, interrupts, junit, metrics, report, workflow
from bluegreen_etl.cli import talk

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
    log_format: str
    metrics: str | None


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
        click.option(
            "--log-format",
            type=click.Choice(["text", "json"]),
            default="text",
            envvar="BLUEGREEN_LOG_FORMAT",
            help="How stderr is written: for people, or one JSON object a line.",
        ),
        click.option(
            "--metrics",
            type=click.Path(dir_okay=False),
            envvar="BLUEGREEN_METRICS",
            metavar="FILE",
            help="Write how the command went to FILE, for node_exporter.",
        ),
        click.option("--debug", is_flag=True, help="Show the traceback of an error."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def junit_file(command: F) -> F:
    """Add the option of commands that run checks."""
    kind = click.Path(dir_okay=False, writable=True, resolve_path=True, path_type=Path)
    text = "Write the results of the checks there, as JUnit XML for CI systems."
    return click.option("--junit", type=kind, metavar="FILE", callback=_beside_others, help=text)(command)


def html_file(command: F) -> F:
    """Add the option of a page to be written."""
    kind = click.Path(dir_okay=False, writable=True, resolve_path=True, path_type=Path)
    text = "Write one HTML page there, which needs nothing else, instead of the text."
    return click.option("--html", type=kind, metavar="FILE", callback=_beside_others, help=text)(command)


def _beside_others(_context: click.Context, _parameter: click.Parameter, file: Path | None) -> Path | None:
    """Refuse a file in a directory that is not there, before anything is done."""
    if file is not None and not file.parent.is_dir():
        raise click.BadParameter(f"there is no directory {file.parent}")
    return file


def execute(values: Mapping[str, Any], flags: Mapping[str, Any], work: Callable[[workflow.Context], object]) -> None:
    """Run one workflow with the settings that the options lead to, show its outcome, exit with its code."""
    options = Common(**{name: values[name] for name in Common._fields})
    talker = talk.listener(options.log_format)
    interrupts.install()
    # What goes wrong with a connection is told below, in one sentence; the driver would add lines of its own.
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)
    error: errors.BluegreenError | None = None
    try:
        outcome = _carried_out(options, flags, work, talker)
    except errors.BluegreenError as failure:
        outcome, error = failure.results, failure
    except KeyboardInterrupt:
        outcome, error = None, INTERRUPTED
    talker.end()
    _write_junit(values.get("junit"), outcome or error, talker)
    if outcome:
        _show(outcome, as_json=options.json)
    if options.metrics:
        _write_metrics(options, outcome, error, talker)
    if error:
        fail(error, debug=options.debug, talker=talker)


def _carried_out(
    options: Common,
    flags: Mapping[str, Any],
    work: Callable[[workflow.Context], object],
    talker: talk.Talker | talk.LogLines,
) -> object:
    resolved = config.resolve(
        {**flags, "schema": options.schema, "dsn": options.dsn}, file=options.config, environment=options.environment
    )
    return work(workflow.Context(resolved, talker, force=options.force))


def _write_metrics(
    options: Common, outcome: object, error: errors.BluegreenError | None, talker: talk.Talker | talk.LogLines
) -> None:
    """Write the metrics; the work is done, so that a file that cannot be written changes nothing."""
    command = click.get_current_context().info_name or ""
    schema = getattr(getattr(outcome, "loaded", outcome), "schema", options.schema)
    labels = {"command": command, "schema": schema or ""}
    try:
        metrics.write(options.metrics or "", outcome, labels, exit_code=error.exit_code if error else 0)
    except OSError as failure:
        talker.say(f"the metrics could not be written to {options.metrics}: {failure.strerror}")


def _write_junit(file: Path | None, outcome: object, talker: talk.Talker | talk.LogLines) -> None:
    """Write the file for CI systems where one is wanted; the exit code tells what was done without it too."""
    if file is None:
        return
    try:
        junit.write(file, outcome)
    except OSError as error:
        talker.say(f"{file} could not be written: {error.strerror}")


def watching(context: workflow.Context, *, every: float, as_json: bool) -> None:
    """Look at a load until it ends, somebody interrupts, or nobody reads any more: none of these is an error."""
    screen = report.Screen(as_json=as_json)
    try:
        workflow.watch(context, every=every, show=screen.show)
    except KeyboardInterrupt:
        interrupts.finish()
    except BrokenPipeError:
        _write_nowhere()


def _show(outcome: object, *, as_json: bool) -> None:
    """Write the outcome; where nobody reads it, the exit code still tells what was done."""
    if sys.stdout is None:  # closed by whoever started the program
        return
    try:
        report.show(outcome, as_json=as_json)
    except OSError as error:
        _write_nowhere()
        talk.tell(f"the outcome could not be written to stdout: {error.strerror}")


def _write_nowhere() -> None:
    """Let go of stdout: what is left in the buffer would fail once more at the exit, and change its code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(
    error: errors.BluegreenError, *, debug: bool = False, talker: talk.Talker | talk.LogLines | None = None
) -> NoReturn:
    """Write the error as one sentence with its hint, and exit with its code."""
    if debug:
        traceback.print_exception(error)
    (talker or talk.Talker()).fail(error)
    sys.exit(error.exit_code)
