"""What a cut-over will do, as data: promote and rollback are the same plan with the releases exchanged. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from psycopg import sql

from bluegreen_etl import activity, ledger, model, queries
from bluegreen_etl.catalog import Relation
from bluegreen_etl.cutover import matviews
from bluegreen_etl.cutover.dependents import Outside
from bluegreen_etl.model import Direction, Release, Via

# What the swap itself raises when live is not what was inspected; class BG is not PostgreSQL's.
CONFLICT_SQLSTATE = "BG001"
# What it raises when something outside cannot follow; the statement that failed is in the detail.
MISFIT_SQLSTATE = "BG002"
# LOCK TABLE refuses materialized views and foreign tables, and would lock what a view reads, in other schemas too.
# Naming the owner that the relation has already changes nothing and takes the same lock on it alone.
_ALTER = {"v": sql.SQL("VIEW"), "m": sql.SQL("MATERIALIZED VIEW"), "f": sql.SQL("FOREIGN TABLE")}

_ON_NODES = "5s"  # for any other statement, where nodes have to be waited for


class Plan(model.Record, frozen=True, kw_only=True):
    """One cut-over: `incoming` becomes live, `outgoing` (None: there is no live schema) goes back to its own name.

    `relations` are what live holds, views before tables. `inspected`, the value of the query `inspection`, stands for
    all that was looked at; `fingerprint` for what of it can change until the locks are held. `sequences` are the names
    that both releases have, with whether they ascend. `outside` is what depends on live and is re-created, and what
    the `carried` tables need, which stay live.
    A `rehearsal` is taken back instead of committed; `distributed`: live lies on several nodes.
    """

    direction: Direction
    live_schema: str
    incoming: Release
    outgoing: Release | None
    relations: tuple[Relation, ...]
    inspected: str
    fingerprint: str
    inspection: str = ""
    sequences: tuple[tuple[str, bool], ...]
    outside: Outside = Outside()
    carried: tuple[str, ...] = ()
    rehearsal: bool = False
    distributed: bool = False

    @property
    def locks(self) -> tuple[Relation, ...]:
        """What has to be locked, in the order in which readers and writers take it."""
        return (*self.outside.relations, *self.relations)


class Fence(model.Record, frozen=True, kw_only=True):
    """What must still hold when the transaction commits, or else it does not.

    `until`: readers may go on from then on, by the server's clock; `own`: nobody but these sessions may be there (None:
    the locks hold whoever is).
    """

    until: datetime
    own: tuple[int, ...] | None


class Terms(model.Record, frozen=True, kw_only=True):
    """How one try holds readers off: `timeout` None does not wait for locks at all; `order` gives their order.

    `fence`: what the way itself has to hold until the commit.
    """

    timeout: float | None
    order: tuple[Relation, ...]
    fence: Fence | None = None


class Try(model.Record, frozen=True, kw_only=True):
    """One try: what tells it from every other, and its terms."""

    token: UUID
    number: int
    waited: float
    via: Via
    terms: Terms


def lock_statement(relation: Relation, *, nowait: bool) -> sql.Composed:
    """Return the statement that takes ACCESS EXCLUSIVE on one relation, where it lies in the transaction."""
    place = sql.Identifier(relation.schema, relation.name)
    if relation.kind in _ALTER:
        return sql.SQL("ALTER {} {} OWNER TO {}").format(_ALTER[relation.kind], place, sql.Identifier(relation.owner))
    mode = sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE{}")
    return mode.format(place, sql.SQL(" NOWAIT" if nowait else ""))


def messages(plan: Plan, attempt: Try) -> list[sql.Composable]:
    """Return the whole try as it is sent: in one message, but for what several nodes have to do one by one."""
    statements = _transaction(plan, attempt)
    return list(statements) if plan.distributed else [_joined(*statements)]


def _transaction(plan: Plan, attempt: Try) -> Iterator[sql.Composable]:
    """Yield renames, locks, comparison, ledger, commit, and the time before and after.

    A rename is seen by nobody before the commit, and waits for whoever changes the schema itself (GRANT ON SCHEMA):
    it comes before the locks, so that nobody waits with it.
    """
    timeout = f"{max(round((attempt.terms.timeout or 0) * 1000), 1)}ms"
    locks = _locks(plan, attempt, nowait=attempt.terms.timeout is None)
    # Whatever the role's defaults are: each statement has to see what was committed while it waited for a lock.
    yield sql.SQL("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
    # The locks are held until the commit is on disk: that wait is the readers' wait. swap.run flushes after it.
    # Other nodes are told to commit at once, and must not be ahead of a coordinator that crashes then.
    yield queries.get("session.flush") if plan.distributed else sql.SQL("SET LOCAL synchronous_commit = off")
    # The definitions of what follows from outside were read with every name qualified.
    yield sql.SQL("SET LOCAL search_path = ''")
    yield sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(timeout))
    if plan.distributed:
        yield _bound(_ON_NODES)
        # In parallel, each rename would be in a transaction of its own on its node.
        yield sql.SQL("SET LOCAL citus.multi_shard_modify_mode = 'sequential'")
    # A load that clones live renames it for a moment: wait for its end here, where nobody waits for this.
    yield queries.get("cutover.renaming", schema=sql.Literal(plan.live_schema))
    # Once before the locks too, where nobody waits however long it takes to look at everything.
    yield _inspected(plan)
    yield from _renames(plan)
    yield sql.SQL("SELECT clock_timestamp()")
    if locks:
        yield from _locks_on_nodes(plan, attempt) if plan.distributed else [_lock_block(attempt.terms.order, locks)]
    yield from _swap(plan, attempt)
    if attempt.terms.fence:
        yield _still_held(attempt.terms.fence)
    yield sql.SQL("ROLLBACK" if plan.rehearsal else "COMMIT")
    yield sql.SQL("SELECT clock_timestamp()")


def script(plan: Plan, attempt: Try) -> str:
    """Return the same transaction for people and psql, with its locks written out."""
    prepared = matviews.preparation(plan.incoming, plan.outgoing, plan.outside.rebuilt) if plan.outgoing else []
    statements: list[sql.Composable] = [
        *map(sql.SQL, prepared),
        sql.SQL("BEGIN"),
        sql.SQL("SET LOCAL search_path = ''"),
        sql.SQL("SET LOCAL lock_timeout = '500ms'"),
        _inspected(plan),
        *_renames(plan),
        *_locks(plan, attempt, nowait=False),
        *_swap(plan, attempt),
        sql.SQL("COMMIT"),
    ]
    return "\\set ON_ERROR_STOP on\n" + "\n".join(statement.as_string() + ";" for statement in statements) + "\n"


def _lock_block(order: Sequence[Relation], locks: Sequence[sql.Composed]) -> sql.Composed:
    """Return a DO block that takes the locks one by one and says by name which one was not to be had."""
    body = queries.get(
        "cutover.lock_one_by_one",
        statements=sql.Literal([lock.as_string() for lock in locks]),
        names=sql.Literal([f"{relation.schema}.{relation.name}" for relation in order]),
    )
    return sql.SQL("DO {}").format(sql.Literal(body.as_string()))


def _still_held(fence: Fence) -> sql.Composed:
    own = sql.Literal(list(fence.own or ()))
    body = queries.get(
        "cutover.still_held",
        until=sql.Literal(fence.until),
        alone=sql.Literal(fence.own is not None),
        others=activity.query("cutover.other_readers", own=own),
    )
    return sql.SQL("DO {}").format(sql.Literal(body.as_string()))


def _locks_on_nodes(plan: Plan, attempt: Try) -> Iterator[sql.Composable]:
    """Yield the locks where live lies on several nodes: of all tables in one statement, which as a whole may wait."""
    nowait = attempt.terms.timeout is None
    yield _bound("500ms" if nowait else f"{round((attempt.terms.timeout or 0) * 1000)}ms")
    placed = _placed(plan, attempt)
    yield from (lock_statement(relation, nowait=nowait) for relation in placed if relation.kind in _ALTER)
    tables = [sql.Identifier(relation.schema, relation.name) for relation in placed if relation.kind not in _ALTER]
    if tables:
        mode = sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE{}")
        yield mode.format(sql.SQL(", ").join(tables), sql.SQL(" NOWAIT" if nowait else ""))
    yield _bound(_ON_NODES)


def _bound(time: str) -> sql.Composed:
    """Bound what the statements that follow may take: a node does not heed the coordinator's lock_timeout in all."""
    return sql.SQL("SET LOCAL statement_timeout = {}").format(sql.Literal(time))


def _locks(plan: Plan, attempt: Try, *, nowait: bool) -> list[sql.Composed]:
    """Return the locks in the order of the try; what lies in live has been renamed by then."""
    return [lock_statement(relation, nowait=nowait) for relation in _placed(plan, attempt)]


def _placed(plan: Plan, attempt: Try) -> list[Relation]:
    renamed = plan.outgoing.shadow_schema if plan.outgoing else plan.live_schema
    return [
        msgspec.structs.replace(relation, schema=renamed) if relation.schema == plan.live_schema else relation
        for relation in attempt.terms.order
    ]


def _renames(plan: Plan) -> Iterable[sql.Composed]:
    """Yield the renames, and before them the comparison of what they rename."""
    live = sql.Identifier(plan.live_schema)
    rename = sql.SQL("ALTER SCHEMA {} RENAME TO {}")
    body = queries.get(
        "cutover.compare_schemas",
        conflict=sql.Literal(CONFLICT_SQLSTATE),
        live=sql.Literal(plan.live_schema),
        live_oid=_live_oid(plan),
        incoming=sql.Literal(plan.incoming.shadow_schema),
        incoming_oid=sql.Literal(plan.incoming.schema_oid),
    )
    yield sql.SQL("DO {}").format(sql.Literal(body.as_string()))
    if plan.outgoing is not None:
        yield rename.format(live, sql.Identifier(plan.outgoing.shadow_schema))
    yield rename.format(sql.Identifier(plan.incoming.shadow_schema), live)


def _swap(plan: Plan, attempt: Try) -> Iterable[sql.Composable]:
    """Yield what is done under the locks."""
    look = sql.SQL("found := ({})").format(queries.get("cutover.fingerprint", oid=_live_oid(plan)))
    yield _comparison(plan, look, plan.fingerprint)
    if plan.outgoing is not None:
        yield from (_sequence(plan, plan.outgoing, name, ascending) for name, ascending in plan.sequences)
    if plan.outside.statements:
        yield _following(plan.outside.statements)
    yield from _ledger(plan, attempt)


def _following(statements: Sequence[str]) -> sql.Composed:
    body = queries.get(
        "cutover.follow_one_by_one", statements=sql.Literal(list(statements)), misfit=sql.Literal(MISFIT_SQLSTATE)
    )
    return sql.SQL("DO {}").format(sql.Literal(body.as_string()))


def _live_oid(plan: Plan) -> sql.Literal:
    return sql.Literal(plan.outgoing.schema_oid if plan.outgoing else None)


def _inspected(plan: Plan) -> sql.Composed:
    return _comparison(plan, sql.SQL("EXECUTE {} INTO found").format(sql.Literal(plan.inspection)), plan.inspected)


def _comparison(plan: Plan, look: sql.Composed, expected: str) -> sql.Composed:
    body = queries.get(
        "cutover.compare",
        conflict=sql.Literal(CONFLICT_SQLSTATE),
        live=sql.Literal(plan.live_schema),
        live_oid=_live_oid(plan),
        incoming_id=sql.Literal(plan.incoming.id),
        incoming_status=sql.Literal(str(plan.incoming.status)),
        outgoing_id=sql.Literal(plan.outgoing.id if plan.outgoing else None),
        expected=sql.Literal(expected),
        look=look,
    )
    return sql.SQL("DO {}").format(sql.Literal(body.as_string()))


def _sequence(plan: Plan, outgoing: Release, name: str, ascending: bool) -> sql.Composed:
    place = sql.Identifier(plan.live_schema, name)
    return queries.get(
        "catalog.sequence_not_behind",
        sequence=place,
        sequence_text=sql.Literal(place.as_string()),
        live=sql.Identifier(outgoing.shadow_schema, name),
        further=sql.SQL(">" if ascending else "<"),
    )


def _ledger(plan: Plan, attempt: Try) -> Iterable[sql.Composed]:
    outgoing_id = plan.outgoing.id if plan.outgoing else None
    if plan.outgoing is not None:
        yield queries.get("cutover.retire", id=sql.Literal(outgoing_id))
    for each in plan.outside.references:
        if each.key.validated:
            yield ledger.keep_unvalidated(plan.live_schema, each.schema, each.key)
    yield queries.get("cutover.go_live", id=sql.Literal(plan.incoming.id))
    yield queries.get(
        "cutover.insert_cutover",
        token=sql.Literal(attempt.token),
        schema=sql.Literal(plan.live_schema),
        direction=sql.Literal(str(plan.direction)),
        to=sql.Literal(plan.incoming.id),
        outgoing=sql.Literal(outgoing_id),
        tries=sql.Literal(attempt.number),
        waited=sql.Literal(attempt.waited),
        via=sql.Literal(str(attempt.via)),
    )
    detail = f"release {plan.outgoing.number} before" if plan.outgoing else "no release before"
    yield queries.get(
        "cutover.insert_cutover_event",
        schema=sql.Literal(plan.live_schema),
        number=sql.Literal(plan.incoming.number),
        kind=sql.Literal("promoted" if plan.direction is Direction.PROMOTE else "rolled back to"),
        detail=sql.Literal(detail),
    )
    payload = {"schema": plan.live_schema, "release": plan.incoming.number, "direction": str(plan.direction)}
    yield queries.get("cutover.notify", payload=sql.Literal(model.to_json(payload)))


def _joined(*statements: sql.Composable) -> sql.Composed:
    return sql.SQL(";\n").join(statements)
