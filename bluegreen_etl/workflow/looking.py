"""Status, history, diff, check: looks at releases and changes nothing but the ledger's list of check results."""

from collections.abc import Sequence
from datetime import datetime

from psycopg import sql

from bluegreen_etl import catalog, db, errors, ledger, model
from bluegreen_etl.cutover import losses
from bluegreen_etl.ledger import Event
from bluegreen_etl.model import Release, Status, Table
from bluegreen_etl.workflow import loading, upkeep
from bluegreen_etl.workflow.context import Context
from bluegreen_etl.workflow.planning import find_checks

LIVE = "live"


class Condition(model.Record, frozen=True, kw_only=True):
    """A release as it stands: its schema's present name, rows and bytes, and whether its load has died."""

    number: int
    status: Status
    schema: str | None
    rows: int | None
    created_at: datetime
    created_by: str
    ready_at: datetime | None
    promoted_at: datetime | None
    dead: bool
    failure: str | None


class State(model.Record, frozen=True, kw_only=True):
    """What `status` shows of one live schema. `drifted`: live is not the schema that the ledger says is live."""

    schema: str
    database: str
    server: str
    connection: str
    environment: str | None
    environment_origin: str | None = None
    protected: bool
    live: int | None
    drifted: bool
    releases: tuple[Condition, ...]


class History(model.Record, frozen=True, kw_only=True):
    """What happened to a live schema, oldest first, with every cut-over."""

    schema: str
    events: tuple[Event, ...]
    cutovers: tuple[model.Cutover, ...]


class Difference(model.Record, frozen=True, kw_only=True):
    """One difference between live and a release: `what` is table, column, rows, or another kind of object."""

    table: str
    what: str
    live: str | None
    release: str | None


class Diff(model.Record, frozen=True, kw_only=True):
    """Live beside a release."""

    schema: str
    number: int
    differences: tuple[Difference, ...]


def status(context: Context) -> State:
    """Return what is live, ready, kept and left over."""
    with context.server.connect(f"status {context.schema}") as connection:
        releases = ledger.releases(connection, context.schema)
        oid = catalog.schema_oid(connection, context.schema)
        live = next((release for release in releases if release.status is Status.LIVE), None)
        loading_now = db.is_locked(connection, upkeep.LOAD_LOCK, context.schema)
        return State(
            schema=context.schema,
            database=connection.info.dbname,
            server=f"PostgreSQL {connection.info.parameter_status('server_version')}",
            connection=context.resolved.target.origin,
            environment=context.resolved.environment,
            environment_origin=context.resolved.environment_origin,
            protected=context.settings.protected or ledger.is_protected(connection),
            live=live.number if live else None,
            drifted=bool(releases) and (live.schema_oid if live else None) != oid,
            releases=tuple(_condition(connection, release, loading_now) for release in releases),
        )


def history(context: Context) -> History:
    """Return what happened when, and by whom."""
    with context.server.connect(f"history {context.schema}") as connection:
        upkeep.ledger_needed(connection, context.schema)
        return History(
            schema=context.schema,
            events=tuple(ledger.events(connection, context.schema)),
            cutovers=tuple(ledger.cutovers(connection, context.schema)),
        )


def diff(context: Context, *, number: int | None) -> Diff:
    """Compare live with a release: the newest ready one, else the newest previous one, or the one named.

    Raises:
        Refused: no such release, or its schema is gone.
    """
    with context.server.connect(f"diff {context.schema}") as connection:
        upkeep.ledger_needed(connection, context.schema)
        release = _to_compare(connection, context.schema, number)
        oid = catalog.schema_oid(connection, context.schema)
        if oid is None:
            raise errors.Refused(f"there is no schema {context.schema} to compare with", hint="Promote one first.")
        own_schema = _schema_of(connection, release)
        held, own_held = losses.sides(connection, release, oid)
        own_oid = release.schema_oid or 0
        return Diff(
            schema=context.schema,
            number=release.number,
            differences=tuple(
                _differences(
                    _Side(connection, context.schema, oid, held), _Side(connection, own_schema, own_oid, own_held)
                )
            ),
        )


def check(context: Context, *, which: str | None, tags: Sequence[str] = ()) -> loading.Checked:
    """Run the checks again: on the newest ready release, on the one named, or on `live`.

    Args:
        tags: only the checks that have one of these; none means all.

    Raises:
        ChecksFailed: with the results in `results`.
    """
    with context.server.connect(f"check {context.schema}") as connection:
        upkeep.ledger_needed(connection, context.schema)
        release = _to_check(connection, context.schema, which)
        schema = _schema_of(connection, release)
        own = [] if tags else loading.checks_of_every_load(context, connection, release, schema)
        results = loading.run_checks(context, connection, release, schema, [*own, *find_checks(context, tags)])
        return loading.Checked(schema=context.schema, number=release.number, checks=tuple(results))


def _condition(connection: db.Connection, release: Release, loading_now: bool) -> Condition:
    schema = catalog.schema_name(connection, release.schema_oid) if release.schema_oid else None
    loads = ledger.loaded_tables(connection, release)
    return Condition(
        number=release.number,
        status=release.status,
        schema=schema,
        rows=sum(load.rows for load in loads) if loads else None,
        created_at=release.created_at,
        created_by=release.created_by,
        ready_at=release.ready_at,
        promoted_at=release.promoted_at,
        dead=release.status is Status.LOADING and not loading_now,
        failure=release.failure,
    )


def _to_compare(connection: db.Connection, schema: str, number: int | None) -> Release:
    if number is not None:
        return ledger.find(connection, schema, number)
    releases = ledger.releases(connection, schema)
    for wanted in (Status.READY, Status.PREVIOUS):
        found = [release for release in releases if release.status is wanted]
        if found:
            return found[-1]
    raise errors.Refused(f"no release of {schema} to compare live with", hint="Load one, or keep previous ones.")


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
    raise errors.Refused(f"no release of {schema} to check", hint="Look with `bluegreen status`.")


def _schema_of(connection: db.Connection, release: Release) -> str:
    schema = catalog.schema_name(connection, release.schema_oid) if release.schema_oid else None
    if schema is None:
        raise errors.Refused(
            f"release {release.number} of {release.live_schema} is {release.status}, its schema is gone",
            hint="Look with `bluegreen status`.",
        )
    return schema


class _Side:
    """One of the two schemas that are compared."""

    def __init__(self, connection: db.Connection, schema: str, oid: int, objects: Sequence[catalog.Object]) -> None:
        self._connection = connection
        self._schema = schema
        self.objects = objects
        compared = {item.name for item in objects if item.kind == "table"}
        self.tables = {table.name: table for table in catalog.tables(connection, oid) if table.name in compared}

    def rows(self, table: str) -> int:
        """Count a table's rows exactly."""
        place = sql.Identifier(self._schema, table)
        row = self._connection.execute(sql.SQL("SELECT count(*) FROM {}").format(place)).fetchone()
        return int(row[0]) if row else 0


def _differences(live: _Side, own: _Side) -> list[Difference]:
    found: list[Difference] = []
    for name in sorted(live.tables.keys() | own.tables.keys()):
        before, after = live.tables.get(name), own.tables.get(name)
        if before is None or after is None:
            counts = (str(live.rows(name)) if before else None, str(own.rows(name)) if after else None)
            found.append(Difference(table=name, what="table", live=counts[0], release=counts[1]))
            continue
        found += _column_differences(before, after)
        counted = live.rows(name), own.rows(name)
        if counted[0] != counted[1]:
            found.append(Difference(table=name, what="rows", live=str(counted[0]), release=str(counted[1])))
    return found + _object_differences(live, own)


def _object_differences(live: _Side, own: _Side) -> list[Difference]:
    """Return what only one side has, but for the tables and columns that are compared one by one."""
    tables = live.tables.keys() | own.tables.keys()
    lost, new = losses.only_in(live.objects, own.objects), losses.only_in(own.objects, live.objects)
    return [
        Difference(
            table=item.table or item.name,
            what=f"{item.kind} {item.name}" if item.table else item.kind,
            live="there" if item in lost else None,
            release="there" if item in new else None,
        )
        for item in (*lost, *new)
        if not (item.kind == "table" and item.name in tables) and not (item.kind == "column" and item.table in tables)
    ]


def _column_differences(before: Table, after: Table) -> list[Difference]:
    old = {column.name: column.type for column in before.columns}
    new = {column.name: column.type for column in after.columns}
    return [
        Difference(table=before.name, what=f"column {name}", live=old.get(name), release=new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
