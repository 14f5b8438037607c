"""What no dependency in the catalogs says: OIDs that users store, and event triggers that run with every statement."""

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]


def test_columns_that_hold_objects_of_live_are_named(
    bluegreen: Bluegreen, live: Live, connection: Connection, dsn: str
) -> None:
    """Promote and doctor warn about each; a column with objects of other schemas is none of them."""
    connection.execute("""
        CREATE FUNCTION league.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE TABLE public.audit (t regclass, f regproc, other regclass, y regtype, n regnamespace, locked text);
        INSERT INTO public.audit VALUES ('league.teams', 'league.f', 'public.audit', 'league.teams', 'league');
        CREATE TABLE public.busy (t regclass); INSERT INTO public.busy VALUES ('league.teams');
    """)
    bluegreen.write_league()
    warned = [f for f in bluegreen.json("doctor")["findings"] if f["topic"] == "outside"]
    expected = ["public.audit.f", "public.audit.n", "public.audit.t", "public.audit.y", "public.busy.t"]
    assert [f["found"].split()[1] for f in warned] == expected
    assert {f["grade"] for f in warned} == {"warn"}
    with psycopg.connect(dsn) as other:
        other.execute("LOCK TABLE public.busy")
        done = bluegreen("load", "data", "--promote")
    assert "warning: public.audit.f, public.audit.n, public.audit.t, public.audit.y outside live" in done.stderr


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("INSERT INTO ddl_log VALUES (1)", 'relation "ddl_log" does not exist'),
        ("RAISE EXCEPTION ''not on mondays''", "not on mondays"),
    ],
)
def test_failing_event_trigger_is_named(
    bluegreen: Bluegreen, live: Live, connection: Connection, body: str, said: str
) -> None:
    """By doctor before it fails, and by the load that it has stopped."""
    connection.execute(
        f"CREATE FUNCTION public.audit() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN {body}; END'; "
        "CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION public.audit()".encode()
    )
    try:
        bluegreen.write_league()
        [found] = [f for f in bluegreen.json("doctor")["findings"] if f["topic"] == "outside"]
        assert found["found"].startswith("event trigger watch runs public.audit()")
        done = bluegreen("load", "data", code=1)
        assert "event trigger watch has failed (function public.audit): " in done.stderr
        assert said in done.stderr
    finally:
        connection.execute("DROP EVENT TRIGGER watch")
    bluegreen("load", "data")
