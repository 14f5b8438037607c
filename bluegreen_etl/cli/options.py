"""Options that several commands share, and the settings that they become."""

import math
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
    kind = click.Path(dir_okay=False, writable=True, path_type=Path)
    text = "Write the results of the checks there, as JUnit XML for CI systems."
    return click.option("--junit", type=kind, metavar="FILE", callback=_beside_others, help=text)(command)


def html_file(command: F) -> F:
    """Add the option of a page to be written."""
    kind = click.Path(dir_okay=False, writable=True, path_type=Path)
    text = "Write one HTML page there, which needs nothing else, instead of the text."
    return click.option("--html", type=kind, metavar="FILE", callback=_beside_others, help=text)(command)


def _beside_others(_context: click.Context, _parameter: click.Parameter, file: Path | None) -> Path | None:
    """Refuse a file in a directory that is not there, before anything is done."""
    if file is not None and not file.parent.is_dir():
        raise click.BadParameter(f"there is no directory {file.parent}")
    return file and file.absolute()  # not resolved: a symbolic link would be followed


max_wait = click.option(
    "--max-wait",
    type=Duration(min=0),
    metavar="SECONDS",
    help="How long the cut-over may try to get its locks.  [default: 30]",
)


as_script = click.option("--dry-run", is_flag=True, help="Print the transaction as a script for psql, change nothing.")


rehearse = click.option(
    "--rehearse", is_flag=True, help="Do all of it but commit, and say how long readers would be held."
)


cancel_blockers = click.option(
    "--cancel-blockers",
    type=Duration(min=0),
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
    type=Duration(min=0),
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


def share(_context: click.Context, _parameter: click.Parameter, text: str | None) -> str | None:
    """Refuse what is neither a number of rows nor a share of them."""
    try:
        msgspec.convert(text, config.Share | None)
    except msgspec.ValidationError:
        raise click.BadParameter(f'{text!r} is neither a number of rows nor a share such as "1 %".') from None
    return text


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


def no_backup_setting(options: Mapping[str, Any]) -> dict[str, str | None]:
    """Return what --no-backup sets under [load]."""
    return {"backup": "none" if options["no_backup"] else None}


def trial(options: Mapping[str, Any]) -> model.Trial | None:
    if options["dry_run"] and options["rehearse"]:
        raise errors.UsageError("--dry-run and --rehearse are two different things", hint="Give one of them.")
    return model.Trial.SCRIPT if options["dry_run"] else model.Trial.REHEARSAL if options["rehearse"] else None
