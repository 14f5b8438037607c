"""Citus, where a table's rows lie on several nodes: where those of a release go, and whether all nodes have committed.

A commit on several nodes is one in two phases. A node that is lost between the two keeps the old names until it is
recovered, and the coordinator calls the commit a success all the same: so the nodes are asked.
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
RECOVERY_WAIT = 90.0  # seconds: Citus looks for what has to be recovered every 60
_LOOK_EVERY = 0.5
_PASSING = 2.0  # seconds for which nodes may differ because a commit is under way


class Kind(StrEnum):
    """How a table's rows are spread over the nodes; tables are distributed in this order."""

    REFERENCE = "reference"  # all of them on each node
    HASH = "hash"  # by the value of a column
    SINGLE = "single"  # all of them on one node
    LOCAL = "local"  # on the coordinator, known to the other nodes


class Placement(model.Record, frozen=True, kw_only=True):
    """Where a table's rows lie; `column` decides where they are spread by its value."""

    table: str
    kind: Kind
    column: str | None = None


class Node(model.Record, frozen=True, kw_only=True):
    """What a node has answered: the schemas that it has, or why it has not."""

    number: int
    schemas: tuple[str, ...] = ()
    failure: str | None = None


def is_there(connection: db.Connection) -> bool:
    """Say whether this database is one of Citus.

    Raises:
        Refused: it is too old a Citus.
    """
    row = connection.execute(queries.get("citus.version")).fetchone()
    if row is None:
        return False
    if int(row[0].partition(".")[0].partition("-")[0]) < OLDEST:
        raise errors.Refused(
            f"Citus {row[0]} is in this database", hint=f"bluegreen knows Citus {OLDEST} and newer; upgrade it."
        )
    return True


def distribute(connection: db.Connection, release: model.Release, wanted: config.Distribute) -> None:
    """Spread the release's tables as live's are, or as `wanted` says of those that live does not have.

    Raises:
        Refused: live has a table that is spread in a way of the past.
        BadConfiguration: `wanted` names a table or a column that the release does not have.
    """
    own = catalog.tables(connection, release.oid)
    whole = bool(wanted.schema) and release.base_oid is None
    live: dict[str, Placement] = {}
    known: set[str] = set()
    if release.base_oid is not None:
        whole = is_whole(connection, release.base_oid)
        live = {} if whole else placements(connection, release.base_oid)
        known = {table.name for table in catalog.tables(connection, release.base_oid)}
    _refuse_strangers(wanted, own)
    keys = connection.execute(queries.get("catalog.referring_tables"), {"oid": release.schema_oid}).fetchall()
    for statement in statements(release, own, live, known, wanted, whole=whole, keys=keys):
        connection.execute(statement)


def is_whole(connection: db.Connection, oid: int | None) -> bool:
    """Say whether a schema lies on one node as a whole."""
    row = connection.execute(queries.get("citus.schema"), {"oid": oid}).fetchone()
    return bool(row and row[0])


def placements(connection: db.Connection, oid: int) -> dict[str, Placement]:
    """Return where the tables of a schema lie that are not the coordinator's alone.

    Raises:
        Refused: one is spread in a way that only old versions knew.
    """
    rows = connection.execute(queries.get("citus.placements"), {"oid": oid}).fetchall()
    strange = [table for table, kind, _ in rows if kind not in list(Kind)]
    if strange:
        raise errors.Refused(
            f"table {strange[0]} is distributed by append or range, which bluegreen does not know",
            hint="Distribute it by hash: alter_distributed_table, or create_distributed_table.",
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
    """Return what spreads the tables: pure. Reference tables come first, and tables before those that refer to them.

    Args:
        live: where live's tables lie; a release's lies in the same co-location group, with the same number of shards.
        known: all tables that live has.
        whole: the schema lies on one node as a whole.
        keys: which tables have foreign keys already, and to which others.

    Raises:
        Refused: tables refer to each other.
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
    """Return these so that keys lead to what is distributed already, as Citus asks, and otherwise in their order."""
    order = TopologicalSorter[str](dict.fromkeys(placed, ()))
    for child, parent in keys:
        if child in placed and parent in placed:
            order.add(child, parent)
    try:
        return [placed[table] for table in order.static_order()]
    except CycleError as error:
        raise errors.Refused(
            f"tables {', '.join(sorted(set(error.args[1])))} refer to each other, and Citus distributes neither first",
            hint="Let the program add one of the keys at its end, or load files: the keys of a load come last.",
        ) from error


def _statement(release: model.Release, placement: Placement, from_live: bool, shards: int | None) -> sql.Composed:
    own = sql.Literal(sql.Identifier(release.shadow_schema, placement.table).as_string())
    if placement.kind is Kind.REFERENCE:
        return sql.SQL("SELECT pg_catalog.create_reference_table({}::regclass)").format(own)
    if placement.kind is Kind.LOCAL:
        return sql.SQL("SELECT pg_catalog.citus_add_local_table_to_metadata({}::regclass)").format(own)
    column = sql.Literal(placement.column)
    live = sql.Identifier(release.live_schema, placement.table).as_string()
    like = sql.SQL("colocate_with => {}").format(sql.Literal(live if from_live else "default"))
    if shards and not from_live:
        like = sql.SQL("shard_count => {}").format(sql.Literal(shards))
    return sql.SQL("SELECT pg_catalog.create_distributed_table({}::regclass, {}, {})").format(own, column, like)


def _refuse_strangers(wanted: config.Distribute, tables: Sequence[model.Table]) -> None:
    columns = {table.name: {column.name for column in table.columns} for table in tables}
    strange = [name for name in (*wanted.reference, *wanted.hash) if name not in columns]
    strange += [f"{name}.{column}" for name, column in wanted.hash.items() if column not in columns.get(name, {column})]
    if strange:
        raise errors.BadConfiguration(
            f"[distribute] names {strange[0]}, which the release does not have",
            hint=f"Its tables are {', '.join(columns)}.",
        )


def doubts(connection: db.Connection, live_schema: str) -> list[str]:
    """Return, a sentence each, which nodes are not as the coordinator is; none where there is no Citus.

    A difference that passes is none: some other commit was under way.
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
    """Refuse to begin what would hang until a node is recovered.

    Raises:
        NodeInDoubt: a node has missed a commit, or cannot be asked.
    """
    found = doubts(connection, live_schema)
    if found:
        raise errors.NodeInDoubt(
            "; ".join(found), hint="Bring the node back: Citus recovers it within a minute. `bluegreen status` tells."
        )


def settle(connection: db.Connection, live_schema: str, say: Callable[[str], None], *, wait: float) -> None:
    """Wait until all nodes have what the coordinator has committed.

    Raises:
        OutcomeUnknown: one has not after `wait` seconds.
    """
    deadline = time.monotonic() + wait
    told = False
    while found := doubts(connection, live_schema):
        if not told:
            say(f"waiting for the recovery of a node: {'; '.join(found)}")
            told = True
        if time.monotonic() > deadline:
            raise errors.OutcomeUnknown(
                f"the swap is committed, but not everywhere: {'; '.join(found)}",
                hint="Bring the node back: until then it has the old release. `bluegreen status` tells.",
            )
        _recover(connection)
        time.sleep(_LOOK_EVERY)


def _recover(connection: db.Connection) -> None:
    """Have Citus recover now what it would within a minute, where the role may."""
    try:
        connection.execute(queries.get("citus.recover"))
    except psycopg.errors.InsufficientPrivilege:
        return


def _doubts(connection: db.Connection, live_schema: str) -> list[str]:
    row = connection.execute(_own_schemas(live_schema)).fetchone()
    own = msgspec.json.decode(row[0], type=list[str]) if row else []
    return told(own, nodes(connection, live_schema))


def nodes(connection: db.Connection, live_schema: str) -> list[Node]:
    """Return what each node but the coordinator has of a live schema and its releases."""
    command = _own_schemas(live_schema).as_string(connection)
    answers = connection.execute(queries.get("citus.ask_nodes"), {"command": command}).fetchall()
    return [parsed(*answer) for answer in answers]


def _own_schemas(live_schema: str) -> sql.Composed:
    return queries.get("citus.own_schemas", schema=sql.Literal(live_schema))


def parsed(number: int, success: bool, result: str | None) -> Node:
    """Return what a node has answered, as run_command_on_all_nodes gives it."""
    if not success:
        return Node(number=number, failure=" ".join((result or "no answer").split()))
    return Node(number=number, schemas=tuple(msgspec.json.decode(result or "[]", type=list[str])))


def told(own: Iterable[str], nodes: Iterable[Node]) -> list[str]:
    """Return, a sentence each, which nodes are not as the coordinator is: pure.

    A node without a schema is well: what is the coordinator's alone need not be there. One that has a schema which the
    coordinator lacks has missed a rename, or a drop; or the coordinator has.
    """
    here = set(own)
    found = []
    for node in nodes:
        strange = sorted(set(node.schemas) - here)
        if node.failure is not None:
            found.append(f"node {node.number} cannot be asked: {node.failure}")
        elif strange:
            found.append(
                f"node {node.number} has schema {', '.join(strange)}, which the coordinator has not: a commit has not "
                "reached all"
            )
    return found
