"""Diff: compare live with a release, table by table and object by object."""

from collections.abc import Iterator, Mapping, Sequence

from psycopg import sql
from psycopg.rows import scalar_row

from bluegreen_etl import catalog, db, errors, ledger, model
from bluegreen_etl.cutover import comparison, preflight
from bluegreen_etl.errors.unexpected import guarded
from bluegreen_etl.model import Release, Status, Table
from bluegreen_etl.releases import lookup
from bluegreen_etl.releases.context import Context

# The share of nulls is an estimate from about 30,000 rows: smaller changes may be noise.
_NULLS_MOVED = 0.01


class Difference(model.Record, frozen=True, kw_only=True):
    """One difference between live and a release: `what` is table, rows, a column, its nulls, or another object."""

    table: str
    what: str
    live: str | None
    release: str | None


class Diff(model.Record, frozen=True, kw_only=True):
    """The differences between live and a release.

    Attributes:
        prepared: tables and views whose prepared `SELECT *` fails after a cut-over, with SQLSTATE 0A000.
        tables: how many tables were compared.
        counted: whether their row counts were compared too.
        defined: whether the definitions of objects that both have were compared too.
    """

    schema: str
    number: int
    differences: tuple[Difference, ...]
    prepared: tuple[str, ...] = ()
    tables: int = 0
    counted: bool = True
    defined: bool = True


@guarded
def diff(context: Context, *, number: int | None) -> Diff:
    """Compare live with a release: the newest ready one, else the newest previous one, or the one of `number`.

    Raises:
        NoRelease: there is no such release, or its schema is gone.
    """
    with context.server.connect(f"diff {context.schema}", to_read=True) as connection:
        lookup.require_releases(connection, context.schema, to="read")
        return compare(connection, _to_compare(connection, context.schema, number))


def compare(
    connection: db.Connection,
    release: Release,
    *,
    rows: tuple[Mapping[str, int], Mapping[str, int]] | None = None,
) -> Diff:
    """Compare live with a release.

    Args:
        rows: row counts of live and of the release, by table; counted if None.

    Raises:
        NoRelease: no schema is live, or the release's schema is gone.
    """
    schema = release.live_schema
    oid = catalog.schema_oid(connection, schema)
    if oid is None:
        raise errors.NoRelease(f"there is no schema {schema} to compare with", hint="Run `bluegreen promote` first.")
    own_schema, own_oid = lookup.find_schema_name(connection, release), release.oid
    held, own_held = preflight.sides(connection, release, oid)
    counts = rows or (None, None)
    live = _Side(connection, schema, oid, held, counts[0])
    own = _Side(connection, own_schema, own_oid, own_held, counts[1])
    found = _differences(live, own)
    changed = _changed_definitions(connection, release, oid)
    tables = {item.table for item in found if item.what.startswith("column ")}
    found += [item for item in changed or () if not (item.what == "columns" and item.table in tables)]
    return Diff(
        schema=schema,
        number=release.number,
        differences=tuple(found),
        prepared=tuple(find_changed_row_types(connection, release, oid)),
        tables=len(live.tables.keys() | own.tables.keys()),
        counted=rows is None or all(rows),
        defined=changed is not None,
    )


def find_changed_row_types(connection: db.Connection, release: Release, live_oid: int) -> list[str]:
    """Return the tables and views whose rows have another type in the release; carried tables stay the same."""
    live, own = catalog.row_types(connection, live_oid), catalog.row_types(connection, release.oid)
    both = (live.keys() & own.keys()) - set(ledger.carried_tables(connection, release))
    return sorted(name for name in both if live[name] != own[name])


def _to_compare(connection: db.Connection, schema: str, number: int | None) -> Release:
    if number is not None:
        return ledger.find(connection, schema, number)
    releases = ledger.releases(connection, schema)
    for wanted in (Status.READY, Status.PREVIOUS):
        found = [release for release in releases if release.status is wanted]
        if found:
            return found[-1]
    raise errors.NoRelease(
        f"no release of {schema} to compare live with",
        hint="Run `bluegreen load`, or keep previous releases: `[retention] keep = 1`.",
    )


class _Side:
    """One of the two schemas that are compared; `counts` are the rows of its tables, if known."""

    def __init__(
        self,
        connection: db.Connection,
        schema: str,
        oid: int,
        objects: Sequence[catalog.Object],
        counts: Mapping[str, int] | None,
    ) -> None:
        self._connection = connection
        self._schema = schema
        self._counts = counts
        self.objects = objects
        compared = {item.name for item in objects if item.kind == "table"}
        self.tables = {table.name: table for table in catalog.tables(connection, oid) if table.name in compared}
        self.nulls = catalog.null_shares(connection, oid)

    def rows(self, table: str) -> int | None:
        """Return how many rows a table has; count them if they are not known."""
        if self._counts is not None:
            return self._counts.get(table)
        place = sql.Identifier(self._schema, table)
        with self._connection.cursor(row_factory=scalar_row) as cursor:
            return cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(place)).fetchone()


def _differences(live: _Side, own: _Side) -> list[Difference]:
    found: list[Difference] = []
    for name in sorted(live.tables.keys() | own.tables.keys()):
        before, after = live.tables.get(name), own.tables.get(name)
        if before is None or after is None:
            counts = (_rows(live, name) if before else None, _rows(own, name) if after else None)
            found.append(Difference(table=name, what="table", live=counts[0], release=counts[1]))
            continue
        found += _column_differences(before, after)
        counted = live.rows(name), own.rows(name)
        if None not in counted and counted[0] != counted[1]:
            found.append(Difference(table=name, what="rows", live=str(counted[0]), release=str(counted[1])))
        found += _null_differences(before, live.nulls, own.nulls)
    return found + _object_differences(live, own)


def _rows(side: _Side, table: str) -> str:
    count = side.rows(table)
    return "there" if count is None else str(count)


def _object_differences(live: _Side, own: _Side) -> list[Difference]:
    """Return the objects that only one side has, except the tables and columns that are compared one by one."""
    tables = live.tables.keys() | own.tables.keys()
    lost, new = preflight.only_in(live.objects, own.objects), preflight.only_in(own.objects, live.objects)
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


def _changed_definitions(connection: db.Connection, release: Release, live_oid: int) -> list[Difference] | None:
    """Return what both sides have in different forms; None if a session holds a relation of live exclusively."""
    try:
        found = comparison.differences(connection, release, live_oid)
    except errors.LockNotObtained:
        return None
    return [
        Difference(
            table=item.part.name,
            what=item.part.kind.removesuffix(" of"),
            live="there" if item.in_live else None,
            release="there" if item.in_release else None,
        )
        for item in found
        if item.is_change
    ]


def _column_differences(before: Table, after: Table) -> list[Difference]:
    old = {column.name: column.type for column in before.columns}
    new = {column.name: column.type for column in after.columns}
    return [
        Difference(table=before.name, what=f"column {name}", live=old.get(name), release=new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def _null_differences(
    table: Table, live: Mapping[tuple[str, str], float], own: Mapping[tuple[str, str], float]
) -> Iterator[Difference]:
    """Yield the columns whose share of nulls differs, according to the statistics of the planner."""
    for column in table.columns:
        before, after = live.get((table.name, column.name)), own.get((table.name, column.name))
        if before is not None and after is not None and abs(after - before) >= _NULLS_MOVED:
            shares = (f"{before:.1%}", f"{after:.1%}")
            yield Difference(table=table.name, what=f"nulls in {column.name}", live=shares[0], release=shares[1])
