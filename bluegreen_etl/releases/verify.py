"""Verify a release: find the checks that apply to it, run them, and record their results."""

from collections.abc import Mapping, Sequence

import msgspec

from bluegreen_etl import catalog, config, db, errors, ledger, model, names
from bluegreen_etl.checks import builtin, declared, files, runner
from bluegreen_etl.checks.check import Check
from bluegreen_etl.model import CheckResult, Release
from bluegreen_etl.releases.context import Context, connections
from bluegreen_etl.releases.preflight import failures_schema

_TOLD = 10  # failed checks in one sentence; the table has all


class Checked(model.Record, frozen=True, kw_only=True):
    """Check results of a release."""

    schema: str
    number: int
    checks: tuple[CheckResult, ...]


def run_checks(
    context: Context, connection: db.Connection, release: Release, schema: str, found: Sequence[Check]
) -> list[CheckResult]:
    """Run checks on a release where it lies now; write the results into the ledger.

    Raises:
        ChecksFailed: a check of severity error found rows, or could not be run.
    """
    place = _place(connection, release, schema)
    if context.settings.checks.store_failures:
        place = msgspec.structs.replace(place, failures=failures_schema(context, release.shadow_schema))
    settings, jobs = context.settings.checks, connections(context)
    results = runner.run(context.server, connection, found, runner.Terms(place, settings, jobs))
    ledger.record_checks(connection, release, results)
    stored = [result for result in results if result.stored]
    if stored:
        context.watcher.say(f"offending rows are in {', '.join(result.stored or '' for result in stored)}")
    bad = runner.failed(results)
    if bad:
        raise errors.ChecksFailed(
            f"{len(bad)} of {len(results)} checks failed on release {release.number}: "
            + "; ".join(map(_explained, bad[:_TOLD]))
            + (f"; and {len(bad) - _TOLD} more" if len(bad) > _TOLD else ""),
            results=Checked(schema=release.live_schema, number=release.number, checks=tuple(results)),
            hint=f"Look at the rows with `bluegreen check {release.number}`, or in schema {names.quoted(schema)}.",
        )
    return results


def checks_of_every_load(
    context: Context,
    connection: db.Connection,
    release: Release,
    schema: str,
    *,
    known: Mapping[str, int] | None = None,
) -> list[Check]:
    """Return the checks that come with the tool, for a release where it lies now.

    `known` says of tables how many rows they have at least.
    """
    settings = context.settings
    own = {name: settings.tables.get(name, config.TableSettings()) for name in _columns(connection, release.schema_oid)}
    # What is carried may be empty, also in the first release that has it, or as a copy.
    carried = {*settings.carry.tables, *settings.carry.copy}
    filled = [name for name, table in own.items() if not table.allow_empty and name not in carried]
    live = set() if schema == release.live_schema else set(_place(connection, release, schema).columns)
    declared = {name for name, table in own.items() if (rows := table.checks.rows_against_live) and rows.max_drop}
    halved = {name: (known or {}).get(name, 0) for name in filled if name in live - declared}
    found = [*builtin.no_empty_table(filled), *builtin.no_halved_table(halved)]
    return [check for check in found if check.name not in settings.checks.off]


def _place(connection: db.Connection, release: Release, schema: str) -> runner.Place:
    columns = _columns(connection, catalog.schema_oid(connection, release.live_schema))
    # A schema without tables, such as a new database's public, is nothing to compare with.
    return runner.Place(shadow=schema, live=release.live_schema if columns else None, columns=columns)


def _columns(connection: db.Connection, oid: int | None) -> dict[str, frozenset[str]]:
    tables = catalog.tables(connection, oid) if oid is not None else []
    return {table.name: frozenset(column.name for column in table.columns) for table in tables}


def _explained(result: CheckResult) -> str:
    if result.message:
        return f"{result.name}: {result.message}"
    first = model.rows_shown(msgspec.structs.replace(result, sample=result.sample[:1]))
    return f"{result.name}: {result.failures} offending rows" + (f", first {first}" if first else "")


def find_checks(context: Context, tags: Sequence[str] = ()) -> list[Check]:
    """Return the project's own checks, files and declared ones: all of them, or those that have one of `tags`.

    Raises:
        UsageError: no such directory, a file of it is not a check, no check has such a tag, or one that is not there
            is to be switched off.
    """
    settings = context.settings.checks
    written = [] if settings.path is None else files.find_check_files(context.resolved.path(settings.path))
    found = [*written, *declared.from_settings(context.settings.tables)]
    strangers = set(settings.off) - builtin.NAMES - {check.name for check in found}
    if strangers:
        raise errors.BadConfiguration(
            f"checks.off names {min(strangers)}, and no check is called so",
            hint="`bluegreen check` shows the names of all.",
        )
    found = [check for check in found if check.name not in settings.off]
    chosen = [check for check in found if set(tags) & set(check.tags)]
    if tags and not chosen:
        known = sorted({tag for check in found for tag in check.tags})
        raise errors.UsageError(
            f"no check has the tag {', '.join(tags)}", hint=f"The tags there are: {', '.join(known) or 'none'}."
        )
    return chosen if tags else found
