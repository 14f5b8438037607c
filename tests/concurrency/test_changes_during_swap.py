"""The swap compares live with what promote inspected: a change in between is a conflict, not overwritten."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import TupleRow

from bluegreen_etl import errors
from tests.concurrency import scene

Connection = psycopg.Connection[TupleRow]
OUTSIDE = """
    CREATE SCHEMA app;
    CREATE VIEW app.gens AS SELECT gen FROM league.t01;
    CREATE FUNCTION app.gen() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT gen FROM league.t01; END;
    CREATE FUNCTION league.stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
    CREATE FUNCTION league__r2.stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
    CREATE TABLE app.notes (id int CONSTRAINT noted REFERENCES league.t01, n int DEFAULT 1);
    CREATE TRIGGER stamp BEFORE INSERT ON app.notes FOR EACH ROW EXECUTE FUNCTION league.stamp();
    CREATE POLICY known ON app.notes USING (EXISTS (SELECT FROM league.t01 AS t WHERE t.id = notes.id));
"""
CHANGES = (
    "GRANT SELECT ON league.t02 TO PUBLIC",
    "GRANT SELECT (gen) ON league.t02 TO PUBLIC",
    "GRANT USAGE ON SCHEMA league TO PUBLIC",
    "REVOKE EXECUTE ON FUNCTION league.stamp() FROM PUBLIC",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA league GRANT SELECT ON TABLES TO PUBLIC",
    "COMMENT ON COLUMN league.t02.gen IS 'generation'",
    "ALTER TABLE league.t02 ENABLE ROW LEVEL SECURITY",
    "CREATE INDEX ON league.t02 (gen)",
    "CREATE VIEW app.more AS SELECT gen FROM league.t02",
    "CREATE OR REPLACE VIEW app.gens AS SELECT gen + 1 - 1 AS gen FROM league.t01",
    "ALTER VIEW app.gens SET (security_barrier = true)",
    "ALTER FUNCTION app.gen() STABLE",
    "ALTER TABLE app.notes DISABLE TRIGGER stamp",
    "ALTER POLICY known ON app.notes USING (EXISTS (SELECT FROM league.t02 AS t WHERE t.id = notes.id))",
    "COMMENT ON CONSTRAINT noted ON app.notes IS 'of a row'",
    "ALTER TABLE app.notes ADD CONSTRAINT twice FOREIGN KEY (id) REFERENCES league.t02",
)


def test_whatever_is_changed_while_promote_prepares_is_noticed(
    dsn: str, tmp_path: Path, connection: Connection
) -> None:
    """A change after the inspection of live is a conflict; live keeps it, and the next promote includes it."""
    scene.generations(dsn, tmp_path, tables=2)
    connection.execute(OUTSIDE)
    surroundings = scene.context(dsn)
    unnoticed = []
    for change in CHANGES:
        plan = scene.exchange_plan(surroundings)
        connection.execute(change.encode())
        try:
            scene.carry_out(surroundings, plan)
        except errors.Conflict as error:
            assert "was changed meanwhile" in error.message  # noqa: PT017 - each of a long list, and all of them are told
        else:
            unnoticed.append(change)
            scene.exchange(surroundings)
    assert unnoticed == []
    scene.exchange(surroundings)
    assert scene.live_generation(connection) == 2


def test_what_only_maintains_live_is_no_change(dsn: str, tmp_path: Path, connection: Connection) -> None:
    """ANALYZE, VACUUM FULL and REINDEX during a promote do not stop it."""
    scene.generations(dsn, tmp_path, tables=2)
    surroundings = scene.context(dsn)
    plan = scene.exchange_plan(surroundings)
    for work in ("ANALYZE league.t01", "VACUUM FULL league.t01", "REINDEX TABLE league.t01"):
        connection.execute(work.encode())
    scene.carry_out(surroundings, plan)


def test_view_made_while_the_swap_waits_for_its_locks_is_noticed(
    dsn: str, tmp_path: Path, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The swap's locks wait for a transaction that makes the change after the first comparison."""
    scene.wait_for_lasting_holders(monkeypatch)
    scene.generations(dsn, tmp_path, tables=2)
    connection.execute("CREATE SCHEMA app")
    surroundings = scene.context(dsn, max_wait=10)
    plan = scene.exchange_plan(surroundings)
    with (
        ThreadPoolExecutor() as pool,
        scene.holding(dsn, "CREATE VIEW app.gens AS SELECT gen FROM league.t01") as holder,
    ):
        swap = pool.submit(scene.carry_out, surroundings, plan)
        scene.wait_until(lambda: scene.sessions(connection, "wait_event_type = 'Lock'"))
        holder.commit()
        with pytest.raises(errors.Conflict):
            swap.result()
