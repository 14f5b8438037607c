"""Report: all that is known of a live schema, its releases and how they came and went, for somebody to look at."""

import importlib.metadata
from datetime import UTC, datetime

from bluegreen_etl import catalog, db, ledger, load_stats, model
from bluegreen_etl.commands import diff, status
from bluegreen_etl.model import Release, Status
from bluegreen_etl.releases import lookup, verify
from bluegreen_etl.releases.context import Context

NEWEST = 30  # releases whose figures are told
NEWEST_CUTOVERS = 60


class Figures(model.Record, frozen=True, kw_only=True):
    """What a release's load did: rows and bytes by table, and how long each stage took (None: it did not end)."""

    number: int
    tables: tuple[model.TableLoad, ...]
    stages: dict[str, float | None]


class Report(model.Record, frozen=True, kw_only=True):
    """A live schema with its past.

    `figures`, `cutovers` and `checks` are of the newest only, oldest first; `releases_left_out` and
    `cutovers_left_out` say how many more there are. `changes` compares live with the release that was live `before`,
    where that is still kept.
    """

    at: datetime
    version: str
    state: status.State
    live_since: datetime | None
    before: int | None
    figures: tuple[Figures, ...]
    cutovers: tuple[model.Cutover, ...]
    checks: tuple[verify.Checked, ...]
    changes: diff.Diff | None
    releases_left_out: int
    cutovers_left_out: int


def report(context: Context) -> Report:
    """Return what a report tells; reads the ledger and the catalogs, no table of the data."""
    with context.server.connect(f"report {context.schema}", to_read=True) as connection:
        releases = lookup.known_releases(connection, context.schema)
        live = next((release for release in releases if release.status is Status.LIVE), None)
        cutovers = ledger.cutovers(connection, context.schema) if releases else []
        was_live = cutovers[-1].from_number if cutovers else None
        before = next((release for release in releases if release.number == was_live), None)
        told = _told(releases, live, before)
        loads = _figures(connection, context.schema, told) if told else ()
        return Report(
            at=datetime.now(UTC),
            version=importlib.metadata.version("bluegreen-etl"),
            state=status.state(context, connection, releases),
            live_since=live.promoted_at if live else None,
            before=before.number if before else None,
            figures=loads,
            cutovers=tuple(cutovers[-NEWEST_CUTOVERS:]),
            checks=tuple(_checks(connection, told)),
            changes=_changes(connection, live, before, loads),
            releases_left_out=len(releases) - len(told),
            cutovers_left_out=max(len(cutovers) - NEWEST_CUTOVERS, 0),
        )


def _told(releases: list[Release], live: Release | None, before: Release | None) -> list[Release]:
    """Return the newest releases, and the two that matter however old they are."""
    wanted = {release.number for release in (*releases[-NEWEST:], live, before) if release}
    return [release for release in releases if release.number in wanted]


def _figures(connection: db.Connection, schema: str, told: list[Release]) -> tuple[Figures, ...]:
    numbers = [release.number for release in told]
    tables = load_stats.all_loaded_tables(connection, schema, numbers)
    stages = load_stats.stages(connection, schema, numbers)
    return tuple(
        Figures(number=number, tables=tuple(tables.get(number, ())), stages=stages.get(number, {}))
        for number in numbers
    )


def _checks(connection: db.Connection, told: list[Release]) -> list[verify.Checked]:
    """Return what was found last on the live release, and on the one that was checked last where that is another."""
    found: list[verify.Checked] = []
    for release in reversed(told):
        if not found or release.status is Status.LIVE:
            results = load_stats.latest_checks(connection, release)
            if results:
                found.append(verify.Checked(schema=release.live_schema, number=release.number, checks=tuple(results)))
    return found[::-1]


def _changes(
    connection: db.Connection, live: Release | None, before: Release | None, told: tuple[Figures, ...]
) -> diff.Diff | None:
    """Compare live with the release before it by what the ledger and the catalogs know, without counting rows."""
    if live is None or before is None or before.schema_oid is None:
        return None
    # Somebody may have renamed the one, or dropped the other.
    if catalog.schema_oid(connection, live.live_schema) != live.schema_oid:
        return None
    if catalog.schema_name(connection, before.schema_oid) is None:
        return None
    counts = {item.number: {load.table: load.rows for load in item.tables} for item in told}
    return diff.compare(connection, before, rows=(counts[live.number], counts[before.number]))
