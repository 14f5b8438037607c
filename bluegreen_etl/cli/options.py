"""Options that several commands share, and their translation into settings."""

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click
import msgspec

from bluegreen_etl import config, errors, model

F = TypeVar("F", bound=Callable[..., Any])


class Duration(click.FloatRange):
    """Seconds from `min` to 31 years: click's own range lets `nan` pass."""

    def __init__(self, *, min: float) -> None:  # noqa: A002 - as in click
        super().__init__(min=min, max=1e9)

    def _describe_range(self) -> str:
        return f"x>={self.min}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401 - as in click
        """Return the number of seconds."""
        seconds = float(super().convert(value, param, ctx))
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return seconds


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
    """Add the options that every command has."""
    options = [
        click.option("--schema", "-s", envvar="BLUEGREEN_SCHEMA", help="Name of the live schema."),
        click.option("--dsn", envvar="BLUEGREEN_DSN", help="Connection string or URL, as for psql; or `embedded`."),
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
            help="The configuration file.  [default: bluegreen.toml, if it exists]",
        ),
        click.option("--force", is_flag=True, help="Continue even if the database is protected or live has changed."),
        click.option("--json", is_flag=True, help="Write one JSON object to stdout instead of a table."),
        click.option(
            "--log-format",
            type=click.Choice(["text", "json"]),
            default="text",
            envvar="BLUEGREEN_LOG_FORMAT",
            help="Format of stderr: text for people, or one JSON object a line.",
        ),
        click.option(
            "--metrics",
            type=click.Path(dir_okay=False),
            envvar="BLUEGREEN_METRICS",
            metavar="FILE",
            help="Write metrics of the command to FILE, for node_exporter.",
        ),
        click.option("--debug", is_flag=True, help="Show the traceback of an error."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def junit_file(command: F) -> F:
    """Add the option --junit, for commands that run checks."""
    kind = click.Path(dir_okay=False, writable=True, path_type=Path)
    text = "Write the results of the checks to FILE, as JUnit XML for CI systems."
    return click.option("--junit", type=kind, metavar="FILE", callback=_in_existing_directory, help=text)(command)


def html_file(command: F) -> F:
    """Add the option --html."""
    kind = click.Path(dir_okay=False, writable=True, path_type=Path)
    text = "Write the report to FILE as one self-contained HTML page."
    return click.option("--html", type=kind, metavar="FILE", callback=_in_existing_directory, help=text)(command)


def _in_existing_directory(_context: click.Context, _parameter: click.Parameter, file: Path | None) -> Path | None:
    """Refuse a file whose directory does not exist, before the command starts."""
    if file and not os.path.isdir(file.parent):  # noqa: PTH112 - Path.is_dir raises if the name is too long
        raise click.BadParameter(f"directory {file.parent} does not exist")
    return file and file.absolute()  # not resolved: a symbolic link would be followed


max_wait = click.option(
    "--max-wait",
    type=Duration(min=0),
    metavar="SECONDS",
    help="How long the cut-over may wait for its locks.  [default: 30]",
)


as_script = click.option("--dry-run", is_flag=True, help="Print the transaction as a psql script, change nothing.")


rehearse = click.option(
    "--rehearse", is_flag=True, help="Run the whole swap, roll it back, and report how long it blocked readers."
)


cancel_blockers = click.option(
    "--cancel-blockers",
    type=Duration(min=0),
    metavar="SECONDS",
    help="Cancel statements that block the cut-over for SECONDS; never end sessions.  [default: never]",
)


via = click.option(
    "--via",
    type=click.Choice([each.value for each in model.Via]),
    help="How to block readers: with locks, or by pausing the poolers of promote.pgbouncer.  [default: locks]",
)


wait_replicas = click.option(
    "--wait-replicas",
    type=Duration(min=0),
    is_flag=False,
    flag_value=60.0,
    metavar="[SECONDS]",
    help="Wait until all physical replicas have the live release, at most SECONDS.  [default: 60]",
)


def cutting_over(command: F) -> F:
    """Add the options of a cut-over."""
    for option in (wait_replicas, via, cancel_blockers, max_wait):
        command = option(command)
    return command


discard_writes = click.option(
    "--discard-writes", is_flag=True, help="Continue even if rows were written to live since the load began."
)


allow_drop = click.option(
    "--allow-drop", is_flag=True, help="Continue even if the release lacks tables, columns or other objects of live."
)


on_orphans = click.option(
    "--on-orphans",
    type=click.Choice(["refuse", "delete", "null"]),
    help="What to do with orphans: outside rows whose key the release lacks.  [default: refuse]",
)


no_backup = click.option("--no-backup", is_flag=True, help="Make no backup, even if load.backup asks for one.")


checks_directory = click.option(
    "--checks",
    type=click.Path(file_okay=False, resolve_path=True),
    metavar="DIR",
    help="Directory of *.sql files, each a SELECT of offending rows.",
)


store_failures = click.option(
    "--store-failures", is_flag=True, help="Store all offending rows in tables of the schema SCHEMA__rN_failures."
)


def share(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    """Refuse a value that is neither a number of rows nor a share."""
    try:
        msgspec.convert(text, config.Share | None)
    except msgspec.ValidationError:
        raise click.BadParameter(f'{text!r} is neither a number of rows nor a share such as "1 %".') from None
    return text


def promote_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that the options of a cut-over change."""
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


def no_backup_setting(options: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the settings of [load] that --no-backup changes."""
    return {"backup": "none" if options["no_backup"] else None}


def trial(options: Mapping[str, Any]) -> model.Trial | None:
    """Return the trial that --dry-run or --rehearse asks for."""
    if options["dry_run"] and options["rehearse"]:
        raise errors.UsageError("--dry-run and --rehearse exclude each other", hint="Give only one of them.")
    return model.Trial.SCRIPT if options["dry_run"] else model.Trial.REHEARSAL if options["rehearse"] else None
