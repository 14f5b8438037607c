"""A live schema whose loads can be stopped at any stage, so that a test can interfere there."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.rows import TupleRow

from tests import warm
from tests.concurrency import scene
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]

STAGES = ("structure", "copy", "finish", "analyze", "check")
_PATTERNS = {"copy": "%COPY%", "finish": "%CREATE INDEX%", "analyze": "%ANALYZE%", "check": "%pause_check%"}
_DDL = """
    CREATE TABLE public.slow (pattern text);
    CREATE FUNCTION public.pause(value int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
        BEGIN
            IF current_query() LIKE (SELECT pattern FROM public.slow) THEN
                PERFORM pg_advisory_xact_lock_shared(4711);
            END IF;
            RETURN value;
        END
    $$;
    ALTER TABLE league.players ADD CHECK (public.pause(id) > 0);
    CREATE INDEX ON league.players ((public.pause(id)));
"""
_CHECK = "-- stops here\nSELECT id AS pause_check FROM players WHERE public.pause(id) < 0"
STOPPED = "wait_event = 'advisory'"
_STOPPED_ANYWHERE = f"{STOPPED} OR application_name ~ '^(pg_dump|bluegreen load)' AND wait_event_type = 'Lock'"


class SlowLoad:
    """Files, checks and live for a load that can be stopped."""

    def __init__(self, bluegreen: Bluegreen, live: Live, connection: Connection) -> None:
        self.bluegreen = bluegreen
        self.live = live
        self.connection = connection
        connection.execute(_DDL)
        bluegreen.write_league()
        bluegreen.write("checks/pause.sql", _CHECK)
        self.before = live.dump()

    @contextmanager
    def stopped(self, stage: str) -> Iterator[warm.Command]:
        """Start a load, wait until it stops in a stage, and let it continue when the body ends."""
        statement = "LOCK TABLE league.teams" if stage == "structure" else "SELECT pg_advisory_xact_lock(4711)"
        self.connection.execute("DELETE FROM public.slow")
        self.connection.execute("INSERT INTO public.slow VALUES (%s)", (_PATTERNS.get(stage),))
        with scene.holding(self.bluegreen.dsn, statement) as holder:
            load = self.bluegreen.start("load", "data", "--checks", "checks")
            try:
                scene.wait_until(lambda: scene.sessions(self.connection, _STOPPED_ANYWHERE))
                yield load
            finally:
                with contextlib.suppress(psycopg.OperationalError):  # the server may be gone
                    self.connection.execute("DELETE FROM public.slow")
                    holder.rollback()
                load.communicate(timeout=60)

    def assert_untouched(self) -> None:
        """Assert that live is unchanged to the last byte, and that no shadow is left."""
        assert self.live.dump() == self.before
        scene.assert_whole(self.connection)

    def assert_next_load_works(self) -> None:
        """Load again, promote, and assert that ledger and schemas agree."""
        self.bluegreen("load", "data", "--checks", "checks", "--promote")
        scene.assert_whole(self.connection)
