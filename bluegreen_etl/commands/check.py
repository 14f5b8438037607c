"""Check: run the checks again, on a release or on live."""

from collections.abc import Sequence

from bluegreen_etl import db, errors, ledger
from bluegreen_etl.model import Release, Status
from bluegreen_etl.releases import lookup, verify
from bluegreen_etl.releases.context import Context
from bluegreen_etl.releases.verify import find_checks

LIVE = "live"


def check(context: Context, *, which: str | None, tags: Sequence[str] = ()) -> verify.Checked:
    """Run the checks again: on the newest ready release, on the one named, or on `live`.

    Args:
        tags: only the checks that have one of these; none means all.

    Raises:
        ChecksFailed: with the results in `results`.
    """
    with context.server.connect(f"check {context.schema}") as connection:
        lookup.require_releases(connection, context.schema)
        release = _to_check(connection, context.schema, which)
        schema = lookup.find_schema_name(connection, release)
        own = [] if tags else verify.find_builtin_checks(context, connection, release, schema)
        results = verify.run_checks(context, connection, release, schema, [*own, *find_checks(context, tags)])
        return verify.Checked(schema=context.schema, number=release.number, checks=tuple(results))


def _to_check(connection: db.Connection, schema: str, which: str | None) -> Release:
    releases = ledger.releases(connection, schema)
    if which is not None and which != LIVE:
        if not which.isdecimal():
            raise errors.UsageError(f'"{which}" is neither a release number nor live', hint="Name one of `status`.")
        return ledger.find(connection, schema, int(which))
    wanted = [Status.LIVE] if which == LIVE else [Status.READY, Status.LIVE]
    for status_wanted in wanted:
        found = [release for release in releases if release.status is status_wanted]
        if found:
            return found[-1]
    raise errors.NoRelease(f"no release of {schema} to check", hint="Look with `bluegreen status`.")
