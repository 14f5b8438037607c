"""The steps of a cut-over, each a name and its SQL. The swap sends them and `--dry-run` prints them. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from uuid import UUID

import msgspec
from psycopg import sql

from bluegreen_etl import activity, ledger, model, queries
from bluegreen_etl.catalog import Relation
from bluegreen_etl.cutover import matviews
from bluegreen_etl.cutover.plan import Fence, Plan, Try
from bluegreen_etl.model import Direction, EventKind, Release

# The swap raises these itself; PostgreSQL has no class BG. CONFLICT: live is not what was inspected.
CONFLICT_SQLSTATE = "BG001"
# CHANGED: as CONFLICT, and another look may find what can be done.
CHANGED_SQLSTATE = "BG003"
# MISFIT: a dependent cannot be re-created; the detail holds the statement that failed.
MISFIT_SQLSTATE = "BG002"
# LOCK TABLE refuses materialized views and foreign tables, and also locks what a view reads, in other schemas too.
# Setting the owner that the relation already has changes nothing and takes the same lock on that relation only.
_ALTER = {"v": sql.SQL("VIEW"), "m": sql.SQL("MATERIALIZED VIEW"), "f": sql.SQL("FOREIGN TABLE")}

LONGEST_WAIT = 0.5  # seconds that an attempt waits for its locks: readers queue behind it for as long
LASTING = 0.5  # seconds; a transaction that is older will not end within the longest wait
_NODE_TIMEOUT = "5s"  # for any statement but the locks, if it runs on other nodes too


class Step(model.Record, frozen=True):
    """One statement of a cut-over, and what it is for.

    Args:
        script: the statements that the script has instead; empty: the same statement.
    """

    name: str
    statement: sql.Composable
    script: tuple[sql.Composable, ...] = ()


def steps(plan: Plan, attempt: Try) -> Iterator[Step]:
    """Yield the steps of one attempt, from the settings to COMMIT.

    Nobody sees a rename before the commit. It waits for sessions that change the schema itself (GRANT ON SCHEMA), so it
    comes before the locks: nobody waits meanwhile.
    """
    yield from _begin(plan, attempt)
    # Before the locks too: comparing everything may take long, and nobody waits for it here.
    yield _inspected(plan)
    yield from _renames(plan)
    yield Step("read the clock before the locks", sql.SQL("SELECT clock_timestamp()"))
    if attempt.terms.order:
        yield from _locks_on_nodes(plan, attempt) if plan.distributed else [_lock_block(plan, attempt)]
    yield from _swap(plan, attempt)
    if attempt.terms.fence:
        yield _check_fence(attempt.terms.fence)
    yield Step("end the transaction", sql.SQL("ROLLBACK" if plan.rehearsal else "COMMIT"))
    yield Step("read the clock after the commit", sql.SQL("SELECT clock_timestamp()"))


def flush_steps(token: UUID, held: float | None) -> Iterator[Step]:
    """Yield the steps after the commit: write the time that readers waited, and flush the swap to disk with it."""
    yield Step("begin", sql.SQL("BEGIN"))
    yield Step("wait for the disk at this commit", queries.get("session.flush"))
    measured = {"held": sql.Literal(held), "token": sql.Literal(token)}
    yield Step("record what was measured", queries.get("ledger_queries.measure_cutover", **measured))
    yield Step("flush to disk", sql.SQL("COMMIT"))


def messages(found: Iterable[Step], *, distributed: bool) -> list[sql.Composable]:
    """Return the steps as they are sent: joined into one message, or one by one if other nodes take part."""
    statements = [step.statement for step in found]
    return statements if distributed else [sql.SQL(";\n").join(statements)]


def script(plan: Plan, attempt: Try) -> str:
    """Return the cut-over as a script for psql: the steps of one attempt, with each table lock written out."""
    prepared = matviews.preparation(plan.incoming, plan.outgoing, plan.dependents.rebuilt) if plan.outgoing else []
    lines = ["\\set ON_ERROR_STOP on", *(f"{statement};" for statement in prepared)]
    for step in (*steps(plan, attempt), *flush_steps(attempt.token, None)):
        lines.append(f"-- {step.name}")
        lines += [f"{statement.as_string()};" for statement in step.script or (step.statement,)]
    return "\n".join(lines) + "\n"


def lock_statement(relation: Relation, *, nowait: bool) -> sql.Composed:
    """Return the statement that takes ACCESS EXCLUSIVE on one relation."""
    place = sql.Identifier(relation.schema, relation.name)
    if relation.kind in _ALTER:
        return sql.SQL("ALTER {} {} OWNER TO {}").format(_ALTER[relation.kind], place, sql.Identifier(relation.owner))
    return _lock_tables([place], nowait=nowait)


def _lock_tables(places: Iterable[sql.Identifier], *, nowait: bool) -> sql.Composed:
    mode = sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE{}")
    return mode.format(sql.SQL(", ").join(places), sql.SQL(" NOWAIT" if nowait else ""))


def _begin(plan: Plan, attempt: Try) -> Iterator[Step]:
    """Yield the start of the transaction, its settings, and the wait for a load that clones live."""
    if plan.distributed:
        yield Step("send the settings of the transaction to other nodes", queries.get("citus.send_settings"))
    # Whatever the role's defaults are: each statement must see what was committed while it waited for a lock.
    yield Step("begin", sql.SQL("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"))
    if plan.distributed:
        # Other nodes commit when the coordinator says so, and must not be ahead of a coordinator that crashes then.
        yield Step("wait for the disk at the commit", queries.get("session.flush"))
    else:
        # The locks are held until the commit is on disk, and readers wait for that. The flush comes after it.
        yield Step("do not wait for the disk at the commit", sql.SQL("SET LOCAL synchronous_commit = off"))
    # The definitions of the dependents were read with every name qualified.
    yield Step("qualify every name", sql.SQL("SET LOCAL search_path = ''"))
    timeout = f"{max(round((attempt.terms.timeout or 0) * 1000), 1)}ms"
    yield Step("limit the wait for locks", sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(timeout)))
    if plan.distributed:
        yield _limit(_NODE_TIMEOUT)
        # In parallel, each node would run its rename in a transaction of its own.
        mode = sql.SQL("SET LOCAL citus.multi_shard_modify_mode = 'sequential'")
        yield Step("run one statement at a time on other nodes", mode)
    # A load that clones live renames it for a moment: wait here, where nobody waits for this transaction.
    renaming = queries.get("cutover.renaming", schema=sql.Literal(plan.live_schema))
    yield Step("wait for a load that is cloning live", renaming)


def _do(body: sql.Composed) -> sql.Composed:
    return sql.SQL("DO {}").format(sql.Literal(body.as_string()))


def _lock_block(plan: Plan, attempt: Try) -> Step:
    """Return a DO block that takes the locks one by one, and reports the relation whose lock it could not take."""
    nowait = attempt.terms.timeout is None
    locks = [lock_statement(relation, nowait=nowait) for relation in _renamed(plan, attempt)]
    body = queries.get(
        "cutover.lock_one_by_one",
        statements=sql.Literal([lock.as_string() for lock in locks]),
        names=sql.Literal([f"{relation.schema}.{relation.name}" for relation in attempt.terms.order]),
        oids=sql.Literal([relation.oid for relation in attempt.terms.order]),
        waits=sql.Literal(not nowait),
        patience=sql.Literal(timedelta(seconds=LASTING)),
    )
    return Step("lock the relations of live and its dependents", _do(body), script=tuple(locks))


def _locks_on_nodes(plan: Plan, attempt: Try) -> Iterator[Step]:
    """Yield the locks if other nodes take part: all tables in one statement, which has one timeout."""
    nowait = attempt.terms.timeout is None
    yield _limit("500ms" if nowait else f"{round((attempt.terms.timeout or 0) * 1000)}ms")
    renamed = _renamed(plan, attempt)
    for relation in renamed:
        if relation.kind in _ALTER:
            yield Step(f"lock {relation.name}", lock_statement(relation, nowait=nowait))
    tables = [sql.Identifier(relation.schema, relation.name) for relation in renamed if relation.kind not in _ALTER]
    if tables:
        yield Step("lock the tables", _lock_tables(tables, nowait=nowait))
    yield _limit(_NODE_TIMEOUT)


def _limit(time: str) -> Step:
    """Limit the time of each statement: a node does not apply the coordinator's lock_timeout to every lock."""
    statement = sql.SQL("SET LOCAL statement_timeout = {}").format(sql.Literal(time))
    return Step("limit the time of each statement", statement)


def _renamed(plan: Plan, attempt: Try) -> list[Relation]:
    """Return the relations to lock under the names that they have after the renames."""
    schema = plan.outgoing.shadow_schema if plan.outgoing else plan.live_schema
    return [
        msgspec.structs.replace(relation, schema=schema) if relation.schema == plan.live_schema else relation
        for relation in attempt.terms.order
    ]


def _check_fence(fence: Fence) -> Step:
    allowed = sql.Literal(list(fence.allowed or ()))
    body = queries.get(
        "cutover.still_held",
        until=sql.Literal(fence.until),
        alone=sql.Literal(fence.allowed is not None),
        others=activity.query("cutover.other_readers", own=allowed),
    )
    return Step("check that readers are still paused", _do(body))


def _renames(plan: Plan) -> Iterator[Step]:
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
    yield Step("check that both schemas have their names", _do(body))
    if plan.outgoing is not None:
        statement = rename.format(live, sql.Identifier(plan.outgoing.shadow_schema))
        yield Step("rename live to the outgoing release", statement)
    yield Step("rename the incoming release to live", rename.format(sql.Identifier(plan.incoming.shadow_schema), live))


def _swap(plan: Plan, attempt: Try) -> Iterator[Step]:
    """Yield what the swap does while it holds the locks."""
    fingerprint = queries.get("cutover.fingerprint", oid=_live_oid(plan))
    look = sql.SQL("found := ({})").format(fingerprint)
    yield _comparison("check again what could change until now", plan, look, plan.fingerprint)
    if plan.outgoing is not None:
        for name, ascending in plan.sequences:
            yield Step(f"advance sequence {name}", _sequence(plan, plan.outgoing, name, ascending))
    if plan.repointing:
        yield Step("let the functions of the release find live", sql.SQL("DO {}").format(sql.Literal(plan.repointing)))
    if plan.dependents.statements:
        yield _re_create(plan.dependents.statements)
    yield from _ledger(plan, attempt)


def _re_create(statements: Sequence[str]) -> Step:
    body = queries.get(
        "cutover.follow_one_by_one", statements=sql.Literal(list(statements)), misfit=sql.Literal(MISFIT_SQLSTATE)
    )
    return Step("re-create the dependents", _do(body))


def _live_oid(plan: Plan) -> sql.Literal:
    return sql.Literal(plan.outgoing.schema_oid if plan.outgoing else None)


def _inspected(plan: Plan) -> Step:
    look = sql.SQL("EXECUTE {} INTO found").format(sql.Literal(plan.inspection))
    return _comparison("check that nothing has changed since it was inspected", plan, look, plan.inspected)


def _comparison(name: str, plan: Plan, look: sql.Composed, expected: str) -> Step:
    body = queries.get(
        "cutover.compare",
        conflict=sql.Literal(CONFLICT_SQLSTATE),
        changed=sql.Literal(CHANGED_SQLSTATE),
        live=sql.Literal(plan.live_schema),
        live_oid=_live_oid(plan),
        incoming_id=sql.Literal(plan.incoming.id),
        incoming_status=sql.Literal(str(plan.incoming.status)),
        outgoing_id=sql.Literal(plan.outgoing.id if plan.outgoing else None),
        expected=sql.Literal(expected),
        look=look,
    )
    return Step(name, _do(body))


def _sequence(plan: Plan, outgoing: Release, name: str, ascending: bool) -> sql.Composed:
    place = sql.Identifier(plan.live_schema, name)
    return queries.get(
        "catalog.sequence_not_behind",
        sequence=place,
        sequence_text=sql.Literal(place.as_string()),
        live=sql.Identifier(outgoing.shadow_schema, name),
        further=sql.SQL(">" if ascending else "<"),
    )


def _ledger(plan: Plan, attempt: Try) -> Iterator[Step]:
    outgoing_id = plan.outgoing.id if plan.outgoing else None
    if plan.outgoing is not None:
        yield Step("retire the outgoing release", queries.get("cutover.retire", id=sql.Literal(outgoing_id)))
    for reference in plan.dependents.references:
        if reference.key.validated:
            statement = ledger.keep_unvalidated(plan.live_schema, reference.schema, reference.key)
            yield Step("remember a foreign key to be validated", statement)
    yield Step("record the release as live", queries.get("cutover.go_live", id=sql.Literal(plan.incoming.id)))
    cutover = queries.get(
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
    yield Step("record the cut-over", cutover)
    kind = EventKind.PROMOTED if plan.direction is Direction.PROMOTE else EventKind.ROLLED_BACK
    detail = f"release {plan.outgoing.number} before" if plan.outgoing else "no release before"
    event = queries.get(
        "cutover.insert_cutover_event",
        schema=sql.Literal(plan.live_schema),
        number=sql.Literal(plan.incoming.number),
        kind=sql.Literal(str(kind)),
        detail=sql.Literal(detail),
    )
    yield Step("record the event", event)
    payload = {"schema": plan.live_schema, "release": plan.incoming.number, "direction": str(plan.direction)}
    yield Step("notify listeners", queries.get("cutover.notify", payload=sql.Literal(model.to_json(payload))))
