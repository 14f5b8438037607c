"""Citus: distribute the tables of a release over the nodes, and find nodes that have missed a commit.

A commit on several nodes has two phases. A node that fails between the two keeps the old names until it is recovered,
although the coordinator reports a successful commit: so ask the nodes.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter

import msgspec
import psycopg
from psycopg import sql

from bluegreen_etl import catalog, config, db, errors, model, queries

OLDEST = 12  # the first version that distributes whole schemas
RECOVERY_WAIT = 90.0  # seconds: Citus recovers nodes every 60 seconds
_LOOK_EVERY = 0.5
_PASSING = 2.0  # seconds for which nodes may differ because of a running commit


class Kind(StrEnum):
    """How the rows of a table are distributed; tables are distributed in this order."""

    REFERENCE = "reference"  # all rows on each node
    HASH = "hash"  # by the value of a column
    SINGLE = "single"  # all rows on one node
    LOCAL = "local"  # on the coordinator, known to the other nodes


class Placement(model.Record, frozen=True, kw_only=True):
    """How a table is distributed; `column`: its distribution column."""

    table: str
    kind: Kind
    column: str | None = None


class Node(model.Record, frozen=True, kw_only=True):
    """The answer of a node: its schemas, or why it did not answer."""

    number: int
    schemas: tuple[str, ...] = ()
    failure: str | None = None


def is_there(connection: db.Connection) -> bool:
    """Return whether this database has Citus.

    Raises:
        Refused: its version is too old.
    """
    version = queries.value(connection, str, "citus.version")
    if version is None:
        return False
    if int(version.partition(".")[0].partition("-")[0]) < OLDEST:
        raise errors.Refused(f"Citus {version} is too old", hint=f"Upgrade it to Citus {OLDEST} or newer.")
    return True


def distribute(connection: db.Connection, release: model.Release, wanted: config.Distribute) -> None:
    """Distribute the release's tables like live's, and tables that live lacks as `wanted` says.

    Raises:
        Refused: live has a table with a distribution method that Citus has dropped.
        BadConfiguration: `wanted` names a table or a column that the release does not have.
    """
    tables = catalog.tables(connection, release.oid)
    whole = bool(wanted.schema) and release.base_oid is None
    live: dict[str, Placement] = {}
    known: set[str] = set()
    if release.base_oid is not None:
        whole = is_whole(connection, release.base_oid)
        live = {} if whole else placements(connection, release.base_oid)
        known = {table.name for table in catalog.tables(connection, release.base_oid)}
    _refuse_unknown(wanted, tables)
    keys = connection.execute(queries.get("catalog.referring_tables"), {"oid": release.schema_oid}).fetchall()
    for statement in statements(release, tables, live, known, wanted, whole=whole, keys=keys):
        connection.execute(statement)


def is_whole(connection: db.Connection, oid: int | None) -> bool:
    """Return whether a whole schema is distributed to one node."""
    return bool(queries.value(connection, bool, "citus.schema", {"oid": oid}))


def placements(connection: db.Connection, oid: int) -> dict[str, Placement]:
    """Return how the tables of a schema are distributed, without those that only the coordinator has.

    Raises:
        Refused: a table has a distribution method of an old version.
    """
    rows = connection.execute(queries.get("citus.placements"), {"oid": oid}).fetchall()
    unknown = [table for table, kind, _ in rows if kind not in list(Kind)]
    if unknown:
        raise errors.Refused(
            f"table {unknown[0]} is distributed by append or range, which bluegreen does not support",
            hint="Distribute it by hash, with `alter_distributed_table` or `create_distributed_table`.",
        )
    return {table: Placement(table=table, kind=Kind(kind), column=column) for table, kind, column in rows}


def statements(
    release: model.Release,
    tables: Sequence[model.Table],
    live: Mapping[str, Placement],
    known: Iterable[str],
    wanted: config.Distribute,
    *,
    whole: bool,
    keys: Iterable[tuple[str, str]],
) -> list[sql.Composed]:
    """Return the statements that distribute the tables: reference tables first, and parents before children. Pure.

    Args:
        live: how live's tables are distributed; the release's get the same co-location group and number of shards.
        known: all tables of live.
        whole: distribute the whole schema to one node.
        keys: existing foreign keys, as pairs of child and parent table.

    Raises:
        Refused: foreign keys between tables form a cycle.
    """
    if whole:
        name = sql.Identifier(release.shadow_schema).as_string()
        return [sql.SQL("SELECT pg_catalog.citus_schema_distribute({}::regnamespace)").format(sql.Literal(name))]
    asked = {name: Placement(table=name, kind=Kind.REFERENCE) for name in wanted.reference}
    asked |= {name: Placement(table=name, kind=Kind.HASH, column=column) for name, column in wanted.hash.items()}
    chosen = [live.get(table.name) or (None if table.name in known else asked.get(table.name)) for table in tables]
    order = list(Kind)
    ordered = sorted(filter(None, chosen), key=lambda placement: order.index(placement.kind))
    placed = _parents_first({placement.table: placement for placement in ordered}, keys)
    return [_statement(release, placement, placement.table in live, wanted.shards) for placement in placed]


def _parents_first(placed: Mapping[str, Placement], keys: Iterable[tuple[str, str]]) -> list[Placement]:
    """Return the placements with parents before children, as Citus requires, and otherwise in their order."""
    order = TopologicalSorter[str](dict.fromkeys(placed, ()))
    for child, parent in keys:
        if child in placed and parent in placed:
            order.add(child, parent)
    try:
        return [placed[table] for table in order.static_order()]
    except CycleError as error:
        raise errors.Refused(
            f"tables {', '.join(sorted(set(error.args[1])))} refer to each other, and Citus requires the parent first",
            hint="Add one of the foreign keys at the end of the program, or load files: a load adds its keys last.",
        ) from error


def _statement(release: model.Release, placement: Placement, from_live: bool, shards: int | None) -> sql.Composed:
    table = sql.Literal(sql.Identifier(release.shadow_schema, placement.table).as_string())
    if placement.kind is Kind.REFERENCE:
        return sql.SQL("SELECT pg_catalog.create_reference_table({}::regclass)").format(table)
    if placement.kind is Kind.LOCAL:
        return sql.SQL("SELECT pg_catalog.citus_add_local_table_to_metadata({}::regclass)").format(table)
    column = sql.Literal(placement.column)
    live = sql.Identifier(release.live_schema, placement.table).as_string()
    like = sql.SQL("colocate_with => {}").format(sql.Literal(live if from_live else "default"))
    if shards and not from_live:
        like = sql.SQL("shard_count => {}").format(sql.Literal(shards))
    return sql.SQL("SELECT pg_catalog.create_distributed_table({}::regclass, {}, {})").format(table, column, like)


def _refuse_unknown(wanted: config.Distribute, tables: Sequence[model.Table]) -> None:
    columns = {table.name: {column.name for column in table.columns} for table in tables}
    unknown = [name for name in (*wanted.reference, *wanted.hash) if name not in columns]
    unknown += [f"{name}.{column}" for name, column in wanted.hash.items() if column not in columns.get(name, {column})]
    if unknown:
        raise errors.BadConfiguration(
            f"[distribute] names {unknown[0]}, which the release does not have",
            hint=f"Name some of its tables: {', '.join(columns)}.",
        )


def doubts(connection: db.Connection, live_schema: str) -> list[str]:
    """Return one sentence for each node that differs from the coordinator; none without Citus.

    A short difference does not count: another commit was running.
    """
    if not is_there(connection):
        return []
    deadline = time.monotonic() + _PASSING
    while found := _doubts(connection, live_schema):
        if time.monotonic() > deadline:
            break
        time.sleep(_LOOK_EVERY)
    return found


def refuse_doubts(connection: db.Connection, live_schema: str) -> None:
    """Refuse work that would block until a node is recovered.

    Raises:
        NodeInDoubt: a node has missed a commit, or does not answer.
    """
    found = doubts(connection, live_schema)
    if found:
        raise errors.NodeInDoubt(
            "; ".join(found),
            hint="Start the node: Citus recovers it within a minute. `bluegreen status` shows whether it has.",
        )


def settle(connection: db.Connection, live_schema: str, say: Callable[[str], None], *, wait: float) -> None:
    """Wait until all nodes have committed what the coordinator has.

    Raises:
        OutcomeUnknown: a node has not after `wait` seconds.
    """
    deadline = time.monotonic() + wait
    reported = False
    while found := doubts(connection, live_schema):
        if not reported:
            say(f"waiting for Citus to recover a node: {'; '.join(found)}")
            reported = True
        if time.monotonic() > deadline:
            raise errors.OutcomeUnknown(
                f"the swap is committed, but not on every node: {'; '.join(found)}",
                hint="Start the node: until then it has the old release. `bluegreen status` shows its state.",
            )
        _recover(connection)
        time.sleep(_LOOK_EVERY)


def _recover(connection: db.Connection) -> None:
    """Recover the nodes now instead of within a minute, if the role may."""
    try:
        connection.execute(queries.get("citus.recover"))
    except psycopg.errors.InsufficientPrivilege:
        return


def _doubts(connection: db.Connection, live_schema: str) -> list[str]:
    own = queries.value(connection, str, _own_schemas(live_schema))
    schemas = msgspec.json.decode(own or "[]", type=list[str])
    return differences(schemas, nodes(connection, live_schema))


def nodes(connection: db.Connection, live_schema: str) -> list[Node]:
    """Return the answer of each node except the coordinator: which schemas of live and its releases it has."""
    command = _own_schemas(live_schema).as_string(connection)
    answers = connection.execute(queries.get("citus.ask_nodes"), {"command": command}).fetchall()
    return [parsed(*answer) for answer in answers]


def _own_schemas(live_schema: str) -> sql.Composed:
    return queries.get("citus.own_schemas", schema=sql.Literal(live_schema))


def parsed(number: int, success: bool, result: str | None) -> Node:
    """Return the answer of a node, from a row of run_command_on_all_nodes."""
    if not success:
        return Node(number=number, failure=" ".join((result or "no answer").split()))
    return Node(number=number, schemas=tuple(msgspec.json.decode(result or "[]", type=list[str])))


def differences(schemas: Iterable[str], nodes: Iterable[Node]) -> list[str]:
    """Return one sentence for each node that differs from the coordinator, which has these schemas. Pure.

    A node may lack a schema: some exist on the coordinator only. A node with a schema that the coordinator lacks has
    missed a rename or a drop, or the coordinator has.
    """
    here = set(schemas)
    found = []
    for node in nodes:
        unknown = sorted(set(node.schemas) - here)
        if node.failure is not None:
            found.append(f"node {node.number} does not answer: {node.failure}")
        elif unknown:
            found.append(
                f"node {node.number} has schema {', '.join(unknown)}, which the coordinator lacks: a node has missed a "
                "commit"
            )
    return found
