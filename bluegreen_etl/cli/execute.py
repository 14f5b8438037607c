"""Run a command: resolve settings, call it, show its result, exit with its code."""

import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click

from bluegreen_etl import config, errors, interrupts
from bluegreen_etl.cli import progress
from bluegreen_etl.cli.options import Common
from bluegreen_etl.commands import watch
from bluegreen_etl.errors import unexpected
from bluegreen_etl.releases.context import Context
from bluegreen_etl.report import junit, live_view, metrics
from bluegreen_etl.report import text as text_report

INTERRUPTED = errors.Interrupted(
    "interrupted: live is unchanged", hint="`bluegreen status` shows what is left; the next load cleans it up."
)


def execute(values: Mapping[str, Any], flags: Mapping[str, Any], work: Callable[[Context], object]) -> None:
    """Run a command with the settings of its options, show its result, exit with its code."""
    options = Common(**{name: values[name] for name in Common._fields})
    watcher = progress.listener(options.log_format)
    interrupts.install()
    # Connection errors are reported below, in one sentence; the driver would add its own lines.
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)
    outcome, error = _run_command(options, flags, work, watcher)
    try:
        watcher.end()
        _write_junit(values.get("junit"), outcome or error, watcher)
        if outcome:
            _show(outcome, as_json=options.json)
        if options.metrics:
            _write_metrics(options, outcome, error, watcher)
    except Exception as failure:  # the command has ended: only its outcome could not be shown
        cutover = getattr(getattr(outcome, "promoted", outcome), "cutover", None)
        unexpected.note_swap(sent=cutover is not None)
        error = error or unexpected.explain(failure)
        error.__cause__ = error.__cause__ or failure
    if error:
        fail(error, debug=options.debug, watcher=watcher)


@contextmanager
def reported() -> Iterator[None]:
    """Report the errors and interrupts of a command that has no settings, and exit with their code."""
    interrupts.install()
    try:
        with unexpected.translated():
            yield
    except errors.BluegreenError as error:
        fail(error)
    except KeyboardInterrupt:
        fail(INTERRUPTED)


def _run_command(
    options: Common,
    flags: Mapping[str, Any],
    work: Callable[[Context], object],
    watcher: progress.TextProgress | progress.JsonProgress,
) -> tuple[object, errors.BluegreenError | None]:
    """Return what the command returned, and what it raised."""
    try:
        with unexpected.translated():
            return _carried_out(options, flags, work, watcher), None
    except errors.BluegreenError as failure:
        return failure.results, failure
    except KeyboardInterrupt:
        return None, INTERRUPTED


def _carried_out(
    options: Common,
    flags: Mapping[str, Any],
    work: Callable[[Context], object],
    watcher: progress.TextProgress | progress.JsonProgress,
) -> object:
    resolved = config.resolve(
        {**flags, "schema": options.schema, "dsn": options.dsn}, file=options.config, environment=options.environment
    )
    _refuse_fallback(resolved)
    return work(Context(resolved, watcher, force=options.force))


def _refuse_fallback(resolved: config.Resolved) -> None:
    """Refuse to fall back on the embedded server where no person sees it: a job may have lost its environment.

    Raises:
        BadConfiguration: no setting names a server, and there is no terminal.
    """
    streams = (sys.stdin, sys.stdout, sys.stderr)
    if resolved.target.fallback and not any(stream is not None and stream.isatty() for stream in streams):
        raise errors.BadConfiguration(
            "no server was named, and without a terminal the embedded one is not used",
            hint="Give `--dsn`, set `BLUEGREEN_DSN` or `DATABASE_URL`, or say `--dsn embedded`.",
        )


def _write_metrics(
    options: Common,
    outcome: object,
    error: errors.BluegreenError | None,
    watcher: progress.TextProgress | progress.JsonProgress,
) -> None:
    """Write the metrics; a failure changes nothing, because the work is done."""
    command = click.get_current_context().info_name or ""
    schema = getattr(getattr(outcome, "loaded", outcome), "schema", options.schema)
    labels = {"command": command, "schema": schema or ""}
    try:
        metrics.write(options.metrics or "", outcome, labels, exit_code=error.exit_code if error else 0)
    except OSError as failure:
        watcher.say(f"the metrics could not be written to {options.metrics}: {failure.strerror}")


def _write_junit(file: Path | None, outcome: object, watcher: progress.TextProgress | progress.JsonProgress) -> None:
    """Write the JUnit file, if one is wanted; a failure does not change the exit code."""
    if file is None:
        return
    try:
        junit.write(file, outcome)
    except OSError as error:
        watcher.say(f"{file} could not be written: {error.strerror}")


def watching(context: Context, *, every: float, as_json: bool) -> None:
    """Watch a load until it ends, an interrupt arrives, or the reader of stdout is gone: none of these is an error."""
    screen = live_view.Screen(as_json=as_json)
    try:
        watch.watch(context, every=every, show=screen.show)
    except KeyboardInterrupt:
        interrupts.finish()
    except BrokenPipeError:
        _write_nowhere()


def _show(outcome: object, *, as_json: bool) -> None:
    """Write the result; if nobody reads it, the exit code still reports it."""
    if sys.stdout is None:  # closed by the parent process
        return
    try:
        text_report.show(outcome, as_json=as_json)
    except OSError as error:
        _write_nowhere()
        progress.write_line(f"the outcome could not be written to stdout: {error.strerror}")


def _write_nowhere() -> None:
    """Redirect stdout to the null device: writing the buffer at the exit would fail again, and change the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def fail(
    error: errors.BluegreenError,
    *,
    debug: bool = False,
    watcher: progress.TextProgress | progress.JsonProgress | None = None,
) -> NoReturn:
    """Write the error as one sentence with its hint, and exit with its code."""
    if debug:
        traceback.print_exception(error)
    elif error.unexpected:
        error.hint = f"{error.hint} {_keep_details(error)}"
    (watcher or progress.TextProgress()).fail(error)
    sys.exit(error.exit_code)


def _keep_details(error: errors.BluegreenError) -> str:
    """Write the traceback into a file that only this user can read; return a sentence that names it."""
    try:
        handle, name = tempfile.mkstemp(prefix="bluegreen-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            traceback.print_exception(error, file=file)
    except OSError:
        return "The details: the same command with `--debug`."
    return f"The details are in {name}."
