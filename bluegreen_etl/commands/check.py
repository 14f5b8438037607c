"""Check: run the checks on a release that is ready, live or kept."""

from collections.abc import Sequence

from bluegreen_etl import db, errors, ledger
from bluegreen_etl.errors.unexpected import guarded
from bluegreen_etl.model import Release, Status
from bluegreen_etl.releases import lookup, verify
from bluegreen_etl.releases.context import Context
from bluegreen_etl.releases.verify import find_checks

LIVE = "live"


@guarded
def check(context: Context, *, which: str | None, tags: Sequence[str] = ()) -> verify.Checked:
    """Run the checks on the newest ready release, on the release of a number, or on `live`.

    Args:
        which: a number, `live`, or None for the newest ready release.
        tags: run only the checks that have one of these tags; none means all.

    Raises:
        ChecksFailed: a check failed; the results are in `results`.
    """
    with context.server.connect(f"check {context.schema}") as connection:
        lookup.require_releases(connection, context.schema)
        release = _select_release(connection, context.schema, which)
        schema = lookup.find_schema_name(connection, release)
        own = [] if tags else verify.find_builtin_checks(context, connection, release, schema)
        results = verify.run_checks(context, connection, release, schema, [*own, *find_checks(context, tags)])
        return verify.Checked(schema=context.schema, number=release.number, checks=tuple(results))


def _select_release(connection: db.Connection, schema: str, which: str | None) -> Release:
    releases = ledger.releases(connection, schema)
    if which is not None and which != LIVE:
        if not which.isdecimal():
            raise errors.UsageError(
                f'"{which}" is neither a release number nor live', hint="Run `bluegreen status` to see the numbers."
            )
        return ledger.find(connection, schema, int(which))
    wanted = [Status.LIVE] if which == LIVE else [Status.READY, Status.LIVE]
    for status_wanted in wanted:
        found = [release for release in releases if release.status is status_wanted]
        if found:
            return found[-1]
    raise errors.NoRelease(f"no release of {schema} to check", hint="Run `bluegreen load` first.")
