"""Verify a release: find the checks that apply to it, run them, and record their results."""

from collections.abc import Mapping, Sequence

import msgspec

from bluegreen_etl import catalog, config, db, errors, ledger, model, names
from bluegreen_etl.checks import builtin, declared, files, runner
from bluegreen_etl.checks.check import Check
from bluegreen_etl.model import CheckResult, Release
from bluegreen_etl.releases.context import Context, count_jobs
from bluegreen_etl.releases.preflight import choose_failures_schema
from bluegreen_etl.wording import counted

_MOST_LISTED = 10  # failed checks in a message; the table shows all


class Checked(model.Record, frozen=True, kw_only=True):
    """The check results of a release."""

    schema: str
    number: int
    checks: tuple[CheckResult, ...]


def run_checks(
    context: Context, connection: db.Connection, release: Release, schema: str, found: Sequence[Check]
) -> list[CheckResult]:
    """Run checks on a release and record their results in the ledger; `schema` is the present name of its schema.

    Raises:
        ChecksFailed: a check of severity error found rows or could not run.
    """
    place = _place(connection, release, schema)
    if context.settings.checks.store_failures:
        place = msgspec.structs.replace(place, failures=choose_failures_schema(context, release.shadow_schema))
    settings, jobs = context.settings.checks, count_jobs(context)
    results = runner.run(context.server, connection, found, runner.Terms(place, settings, jobs))
    ledger.record_checks(connection, release, results)
    stored = [result for result in results if result.stored]
    if stored:
        context.watcher.say(f"offending rows are in {', '.join(result.stored or '' for result in stored)}")
    bad = runner.failed(results)
    if bad:
        raise errors.ChecksFailed(
            f"{len(bad)} of {counted(len(results), 'check')} failed on release {release.number}: "
            + "; ".join(map(describe_result, bad[:_MOST_LISTED]))
            + (f"; and {len(bad) - _MOST_LISTED} more" if len(bad) > _MOST_LISTED else ""),
            results=Checked(schema=release.live_schema, number=release.number, checks=tuple(results)),
            hint=f"Run `bluegreen check {release.number}` to see the rows, or query schema {names.quoted(schema)}.",
        )
    return results


def find_builtin_checks(
    context: Context,
    connection: db.Connection,
    release: Release,
    schema: str,
    *,
    known: Mapping[str, int] | None = None,
) -> list[Check]:
    """Return the built-in checks for a release; `schema` is the present name of its schema.

    Args:
        known: lower bounds of the row counts, by table.
    """
    settings = context.settings
    own = {name: settings.tables.get(name, config.TableSettings()) for name in _columns(connection, release.schema_oid)}
    # A carried or copied table may be empty, also in the first release that has it.
    carried = {*settings.carry.tables, *settings.carry.copy}
    filled = [name for name, table in own.items() if not table.allow_empty and name not in carried]
    live = set() if schema == release.live_schema else set(_place(connection, release, schema).columns)
    declared = {name for name, table in own.items() if (rows := table.checks.rows_against_live) and rows.max_drop}
    halved = {name: (known or {}).get(name, 0) for name in filled if name in live - declared}
    found = [*builtin.no_empty_table(filled), *builtin.no_halved_table(halved)]
    return [check for check in found if check.name not in settings.checks.off]


def _place(connection: db.Connection, release: Release, schema: str) -> runner.Place:
    columns = _columns(connection, catalog.schema_oid(connection, release.live_schema))
    # A schema without tables, such as a new database's public, gives nothing to compare with.
    return runner.Place(shadow=schema, live=release.live_schema if columns else None, columns=columns)


def _columns(connection: db.Connection, oid: int | None) -> dict[str, frozenset[str]]:
    tables = catalog.tables(connection, oid) if oid is not None else []
    return {table.name: frozenset(column.name for column in table.columns) for table in tables}


def describe_result(result: CheckResult) -> str:
    """Return one line about what a check found."""
    if result.message:
        return f"{result.name}: {result.message}"
    first = model.rows_shown(msgspec.structs.replace(result, sample=result.sample[:1]))
    return f"{result.name}: {counted(result.failures, 'offending row')}" + (f", first {first}" if first else "")


def find_checks(context: Context, tags: Sequence[str] = ()) -> list[Check]:
    """Return the custom checks, from files and from the settings: all of them, or those with one of `tags`.

    Raises:
        UsageError: the directory does not exist, a file is not a check, no check has such a tag, or `checks.off` names
            an unknown check.
    """
    settings = context.settings.checks
    written = [] if settings.path is None else files.find_check_files(context.resolved.path(settings.path))
    found = [*written, *declared.from_settings(context.settings.tables)]
    strangers = set(settings.off) - builtin.NAMES - {check.name for check in found}
    if strangers:
        raise errors.BadConfiguration(
            f"checks.off names {min(strangers)}, and no check has this name",
            hint="Run `bluegreen check` to see the names of all checks.",
        )
    found = [check for check in found if check.name not in settings.off]
    chosen = [check for check in found if set(tags) & set(check.tags)]
    if tags and not chosen:
        known = sorted({tag for check in found for tag in check.tags})
        raise errors.UsageError(
            f"no check has the tag {', '.join(tags)}",
            hint=f"Use one of these tags: {', '.join(known)}." if known else "Write `-- tags: …` into a check.",
        )
    return chosen if tags else found
