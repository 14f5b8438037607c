"""Report: a live schema, its releases and their history, as a page for people."""

import importlib.metadata
from datetime import UTC, datetime

import msgspec

from bluegreen_etl import catalog, db, ledger, load_stats, model
from bluegreen_etl.commands import diff, status
from bluegreen_etl.errors.unexpected import guarded
from bluegreen_etl.model import Release, Status
from bluegreen_etl.releases import lookup, verify
from bluegreen_etl.releases.context import Context

NEWEST = 30  # releases whose figures are in the report
NEWEST_CUTOVERS = 60


class Figures(model.Record, frozen=True, kw_only=True):
    """What the load of a release did: rows and bytes by table, seconds by stage (None: the stage did not end)."""

    number: int
    tables: tuple[model.TableLoad, ...]
    stages: dict[str, float | None]


class Report(model.Record, frozen=True, kw_only=True):
    """A live schema with its history, oldest first.

    Attributes:
        before: the release that was live before.
        figures: of the newest releases; `releases_left_out` counts the others.
        cutovers: the newest cut-overs; `cutovers_left_out` counts the others.
        checks: of the live release, and of the one that was checked last.
        changes: live compared with the release before it, if that is still kept.
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


@guarded
def report(context: Context, *, rows: bool = False) -> Report:
    """Return the report of a live schema, with offending `rows` or without; reads the ledger and the catalogs only."""
    with context.server.connect(f"report {context.schema}", to_read=True) as connection:
        releases = lookup.known_releases(connection, context.schema)
        live = next((release for release in releases if release.status is Status.LIVE), None)
        cutovers = ledger.cutovers(connection, context.schema) if releases else []
        was_live = cutovers[-1].from_number if cutovers else None
        before = next((release for release in releases if release.number == was_live), None)
        chosen = _choose_releases(releases, live, before)
        loads = _figures(connection, context.schema, chosen) if chosen else ()
        return Report(
            at=datetime.now(UTC),
            version=importlib.metadata.version("bluegreen-etl"),
            state=status.find_state(context, connection, releases),
            live_since=live.promoted_at if live else None,
            before=before.number if before else None,
            figures=loads,
            cutovers=tuple(cutovers[-NEWEST_CUTOVERS:]),
            checks=tuple(_checks(connection, chosen, rows=rows)),
            changes=_changes(connection, live, before, loads),
            releases_left_out=len(releases) - len(chosen),
            cutovers_left_out=max(len(cutovers) - NEWEST_CUTOVERS, 0),
        )


def _choose_releases(releases: list[Release], live: Release | None, before: Release | None) -> list[Release]:
    """Return the newest releases, the live one and the one before it."""
    wanted = {release.number for release in (*releases[-NEWEST:], live, before) if release}
    return [release for release in releases if release.number in wanted]


def _figures(connection: db.Connection, schema: str, chosen: list[Release]) -> tuple[Figures, ...]:
    numbers = [release.number for release in chosen]
    tables = load_stats.all_loaded_tables(connection, schema, numbers)
    stages = load_stats.stages(connection, schema, numbers)
    return tuple(
        Figures(number=number, tables=tuple(tables.get(number, ())), stages=stages.get(number, {}))
        for number in numbers
    )


def _checks(connection: db.Connection, chosen: list[Release], *, rows: bool) -> list[verify.Checked]:
    """Return the last results of the live release, and of the release that was checked last."""
    found: list[verify.Checked] = []
    for release in reversed(chosen):
        if not found or release.status is Status.LIVE:
            results = load_stats.latest_checks(connection, release)
            if not rows:  # a page is sent to others, and the rows may be personal data
                results = [msgspec.structs.replace(result, sample=()) for result in results]
            if results:
                found.append(verify.Checked(schema=release.live_schema, number=release.number, checks=tuple(results)))
    return found[::-1]


def _changes(
    connection: db.Connection, live: Release | None, before: Release | None, chosen: tuple[Figures, ...]
) -> diff.Diff | None:
    """Compare live with the release before it by what the ledger and the catalogs know, without counting rows."""
    if live is None or before is None or before.schema_oid is None:
        return None
    # Live may have been renamed by hand, or the other release dropped.
    if catalog.schema_oid(connection, live.live_schema) != live.schema_oid:
        return None
    if catalog.schema_name(connection, before.schema_oid) is None:
        return None
    counts = {item.number: {load.table: load.rows for load in item.tables} for item in chosen}
    return diff.compare(connection, before, rows=(counts[live.number], counts[before.number]))
