"""The cut-over as data: which statements, in which order. What they do to a server, the other rings show."""

from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from bluegreen_etl.catalog import Relation
from bluegreen_etl.cutover import plan as planning
from bluegreen_etl.cutover.dependents import Outside
from bluegreen_etl.cutover.plan import Plan, Terms, Try
from bluegreen_etl.model import Direction, Status, Via
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
    outside=Outside(
        relations=(relation("report", "v", "app"),),
        statements=("CREATE OR REPLACE VIEW app.report AS SELECT 1",),
    ),
)


def attempt(plan: Plan = PLAN, *, timeout: float | None = None) -> Try:
    """The third try of a plan."""
    terms = Terms(timeout=timeout, order=plan.locks)
    return Try(token=UUID(int=7), number=3, waited=0.25, via=Via.LOCKS, terms=terms)


def text(plan: Plan = PLAN, *, timeout: float | None = None) -> str:
    """Return the transaction as it is sent, without the escapes of the statements that stand in an array."""
    [message] = planning.messages(plan, attempt(plan, timeout=timeout))
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
def test_a_try_waits_for_a_lock_no_longer_than_it_is_told(timeout: float | None, written: str) -> None:
    """A lock_timeout of 0 would mean for ever."""
    assert f"SET LOCAL lock_timeout = '{written}'" in text(timeout=timeout)
    assert ("NOWAIT" in text(timeout=timeout)) == (timeout is None)


def test_rollback_is_promote_with_the_releases_exchanged() -> None:
    """Forward and back differ in their arguments only."""
    incoming, outgoing = release(1, Status.PREVIOUS), release(2, Status.LIVE)
    back = msgspec.structs.replace(PLAN, direction=Direction.ROLLBACK, incoming=incoming, outgoing=outgoing)
    assert_in_order(
        text(back),
        'ALTER SCHEMA "league" RENAME TO "league__r2"',
        'ALTER SCHEMA "league__r1" RENAME TO "league"',
        "'rolled back to'",
    )
    assert text(back).count("ALTER SCHEMA") == text().count("ALTER SCHEMA")


def test_the_first_release_replaces_nothing() -> None:
    """Nothing to lock, one rename, and no release that steps back."""
    first = msgspec.structs.replace(PLAN, outgoing=None, relations=(), sequences=(), fingerprint="", outside=Outside())
    assert "LOCK TABLE" not in text(first)
    assert text(first).count("ALTER SCHEMA") == 1
    assert "status = 'previous'" not in text(first)
    assert "'no release before'" in text(first)


def test_the_script_for_people_is_the_recorded_one() -> None:
    """What `promote --dry-run` prints; `python -m tests.unit.test_plan` records a change that is meant."""
    assert planning.script(PLAN, attempt()) == SNAPSHOT.read_text(encoding="utf-8")


if __name__ == "__main__":
    SNAPSHOT.write_text(planning.script(PLAN, attempt()), encoding="utf-8")
