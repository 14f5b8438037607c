"""The cut-over as data: which statements, in which order. What they do to a server, the other rings show."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from psycopg import sql

from bluegreen_etl import queries
from bluegreen_etl.catalog import Relation
from bluegreen_etl.cutover import steps
from bluegreen_etl.cutover.dependents import Dependents
from bluegreen_etl.cutover.foreign_keys import Reference
from bluegreen_etl.cutover.plan import Plan, Terms, Try
from bluegreen_etl.model import Direction, ForeignKey, Status, Via
from tests.records import release

SNAPSHOT = Path(__file__).parents[1] / "data" / "cutover.sql"


def relation(name: str, kind: str, schema: str = "league") -> Relation:
    """A relation that `ann` owns."""
    return Relation(oid=1, schema=schema, name=name, kind=kind, owner="ann")


PLAN = Plan(
    direction=Direction.PROMOTE,
    live_schema="league",
    incoming=release(2),
    outgoing=release(1, Status.LIVE),
    relations=(relation("squads", "v"), relation("sizes", "m"), relation("Teams", "r"), relation("abroad", "f")),
    inspected="7 coffee",
    fingerprint="3 cafe",
    sequences=(("teams_id_seq", True), ("countdown", False)),
    dependents=Dependents(
        relations=(relation("report", "v", "app"),),
        statements=("CREATE OR REPLACE VIEW app.report AS SELECT 1",),
    ),
)

FIRST = msgspec.structs.replace(
    PLAN, outgoing=None, relations=(), sequences=(), fingerprint="", dependents=Dependents()
)
BACK = msgspec.structs.replace(
    PLAN,
    direction=Direction.ROLLBACK,
    incoming=release(1, Status.PREVIOUS),
    outgoing=release(2, Status.LIVE),
)


def attempt(plan: Plan = PLAN, *, timeout: float | None = None) -> Try:
    """The third try of a plan."""
    terms = Terms(timeout=timeout, order=plan.locks)
    return Try(token=UUID(int=7), number=3, waited=0.25, via=Via.LOCKS, terms=terms)


def text(plan: Plan = PLAN, *, timeout: float | None = None) -> str:
    """Return the transaction as it is sent, without the escapes of statements in an array."""
    [message] = steps.messages(steps.steps(plan, attempt(plan, timeout=timeout)), distributed=False)
    return message.as_string().replace("\\", "")


def assert_in_order(whole: str, *parts: str) -> None:
    """Insist that the parts come one after the other."""
    position = 0
    for part in parts:
        found = whole.find(part, position)
        assert found >= 0, f"{part!r} is missing after {whole[:position]!r}"
        position = found + len(part)


def test_the_statements_come_in_the_order_that_makes_the_swap_atomic() -> None:
    """Renames first, which nobody sees, locks before the comparison that counts, ledger before COMMIT."""
    assert_in_order(
        text(),
        "BEGIN",
        "SET LOCAL synchronous_commit = off",
        "SET LOCAL lock_timeout = ",
        "live is not the schema that was inspected",
        'ALTER SCHEMA "league" RENAME TO "league__r1"',
        'ALTER SCHEMA "league__r2" RENAME TO "league"',
        "SELECT clock_timestamp()",
        "LOCK TABLE",
        "was changed meanwhile",
        "setval",
        "CREATE OR REPLACE VIEW app.report",
        "status = 'previous'",
        "status = 'live'",
        "INSERT INTO bluegreen.cutover",
        "INSERT INTO bluegreen.event",
        "pg_notify",
        "COMMIT",
        "SELECT clock_timestamp()",
    )


def test_views_are_locked_before_tables_and_outside_before_live() -> None:
    """Readers take them in this order; LOCK TABLE is only for what takes it without its own dependents."""
    assert_in_order(
        text(),
        'ALTER VIEW "app"."report" OWNER TO "ann"',
        'ALTER VIEW "league__r1"."squads" OWNER TO "ann"',
        'ALTER MATERIALIZED VIEW "league__r1"."sizes" OWNER TO "ann"',
        'LOCK TABLE "league__r1"."Teams" IN ACCESS EXCLUSIVE MODE',
        'ALTER FOREIGN TABLE "league__r1"."abroad" OWNER TO "ann"',
    )


@pytest.mark.parametrize(("timeout", "written"), [(None, "1ms"), (0.0001, "1ms"), (0.02, "20ms"), (0.5, "500ms")])
def test_an_attempt_waits_for_a_lock_no_longer_than_its_timeout(timeout: float | None, written: str) -> None:
    """A lock_timeout of 0 would mean for ever."""
    assert f"SET LOCAL lock_timeout = '{written}'" in text(timeout=timeout)
    assert ("EXCLUSIVE MODE NOWAIT" in text(timeout=timeout)) == (timeout is None)
    assert f"waits CONSTANT boolean := {'false' if timeout is None else 'true'};" in text(timeout=timeout)


def test_rollback_is_promote_with_the_releases_exchanged() -> None:
    """Forward and back differ in their arguments only."""
    assert_in_order(
        text(BACK),
        'ALTER SCHEMA "league" RENAME TO "league__r2"',
        'ALTER SCHEMA "league__r1" RENAME TO "league"',
        "'rolled back to'",
    )
    assert text(BACK).count("ALTER SCHEMA") == text().count("ALTER SCHEMA")


def test_the_first_release_replaces_nothing() -> None:
    """Nothing to lock, one rename, and no release that steps back."""
    assert "LOCK TABLE" not in text(FIRST)
    assert text(FIRST).count("ALTER SCHEMA") == 1
    assert "status = 'previous'" not in text(FIRST)
    assert "'no release before'" in text(FIRST)


REFERENCE = Reference(
    key=ForeignKey(
        table="visits",
        name="visits_team",
        definition="FOREIGN KEY …",
        validated=True,
        comment=None,
        columns=("team",),
        parent="Teams",
        parent_columns=("id",),
        nullable=False,
    ),
    schema="app",
    child_schema="app",
    parent_schema="league__r2",
)
PLANS = {
    "promote": PLAN,
    "first release": FIRST,
    "rollback": BACK,
    "dependents": msgspec.structs.replace(
        PLAN, dependents=msgspec.structs.replace(PLAN.dependents, references=(REFERENCE,))
    ),
    "citus": msgspec.structs.replace(PLAN, distributed=True),
}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_dry_run_prints_the_statements_that_promote_sends(plan: Plan) -> None:
    """Every statement in its order, before and after the commit; only the block that takes locks is written out."""
    sent = [*steps.steps(plan, attempt(plan, timeout=0.5)), *steps.flush_steps(UUID(int=7), None)]
    assert sent_text(sent, distributed=plan.distributed) == ";\n".join(step.statement.as_string() for step in sent)
    left = steps.script(plan, attempt(plan, timeout=0.5)).removeprefix("\\set ON_ERROR_STOP on\n")
    for step in sent:
        for statement in step.script or (step.statement,):
            expected = f"{statement.as_string()};\n"
            left = left.removeprefix(f"-- {step.name}\n")
            assert left.startswith(expected)
            left = left.removeprefix(expected)
    assert left == ""


def sent_text(found: Iterable[steps.Step], *, distributed: bool) -> str:
    """Return what goes to the server, whole."""
    return ";\n".join(message.as_string() for message in steps.messages(found, distributed=distributed))


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_locks_that_are_written_out_are_those_of_the_block(plan: Plan) -> None:
    """The block contains exactly the statements of the script; several nodes get no block."""
    blocks = [step for step in steps.steps(plan, attempt(plan, timeout=0.5)) if step.script]
    assert len(blocks) == (1 if plan.locks and not plan.distributed else 0)
    for step in blocks:
        inner = queries.get(
            "cutover.lock_one_by_one",
            statements=sql.Literal([lock.as_string() for lock in step.script]),
            names=sql.Literal([f"{relation.schema}.{relation.name}" for relation in plan.locks]),
            oids=sql.Literal([relation.oid for relation in plan.locks]),
            waits=sql.Literal(True),
            patience=sql.Literal(timedelta(seconds=steps.LASTING)),
        )
        assert step.statement.as_string() == sql.SQL("DO {}").format(sql.Literal(inner.as_string())).as_string()


def test_script_sets_what_the_swap_sets() -> None:
    """The role's own isolation level, a load that clones live and the disk must not decide what the script does."""
    script = steps.script(PLAN, attempt(timeout=0.5))
    assert_in_order(
        script,
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;",
        "SET LOCAL synchronous_commit = off;",
        "SET LOCAL lock_timeout = '500ms';",
        "bluegreen renaming ",
        "LOCK TABLE",
        "COMMIT;",
        "UPDATE bluegreen.cutover SET held",
        "COMMIT;",
    )
    several = steps.script(PLANS["citus"], attempt(timeout=0.5))
    assert_in_order(
        several,
        "citus.propagate_set_commands",
        "BEGIN",
        "SET LOCAL statement_timeout = '5s';",
        "citus.multi_shard_modify_mode",
        "LOCK TABLE",
        "COMMIT;",
    )
    assert "synchronous_commit = off" not in several


def test_script_is_the_recorded_one() -> None:
    """`promote --dry-run` prints this; `python -m tests.unit.test_plan` records an intended change."""
    assert steps.script(PLAN, attempt(timeout=0.5)) == SNAPSHOT.read_text(encoding="utf-8")


if __name__ == "__main__":
    SNAPSHOT.write_text(steps.script(PLAN, attempt(timeout=0.5)), encoding="utf-8")
