"""A session that blocks a swap is named, and cancelled on request; readers do not wait with the swap."""

import threading
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.rows import TupleRow

from bluegreen_etl import errors
from bluegreen_etl.commands import load, promote
from bluegreen_etl.shadow import copy
from tests.concurrency import scene
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]


class Report(threading.Thread):
    """A long statement on a table of live, in a session that continues after the statement."""

    def __init__(self, dsn: str, statement: str) -> None:
        super().__init__()
        self.connection = psycopg.connect(dsn, autocommit=True, application_name="report")
        self.cancelled = False
        self._statement = statement

    def run(self) -> None:
        """Run the statement until it ends or fails."""
        try:
            self.connection.execute(self._statement.encode())
        except psycopg.errors.QueryCanceled:
            self.cancelled = True

    @property
    def pid(self) -> int:
        """The pid of the session."""
        return self.connection.info.backend_pid

    def begin(self, connection: Connection) -> None:
        """Start the thread, and return when the statement runs."""
        self.start()
        scene.wait_until(lambda: scene.sessions(connection, f"pid = {self.pid} AND state = 'active'"))

    def end(self) -> None:
        """End the session and the thread."""
        self.connection.cancel_safe(timeout=5)
        self.join(timeout=20)


@pytest.fixture
def report(dsn: str, live: Live) -> Iterator[Report]:
    """A statement that reads live for a minute."""
    thread = Report(dsn, "SELECT pg_sleep(60) FROM league.teams")
    yield thread
    thread.end()
    thread.connection.close()


@pytest.fixture
def ready(bluegreen: Bluegreen, live: Live) -> str:
    """Load release 2; return a dump of live."""
    bluegreen.write_league()
    bluegreen("load", "data")
    return live.dump()


@pytest.mark.usefixtures("ready")
def test_blocking_statement_is_cancelled_on_request(
    bluegreen: Bluegreen, report: Report, connection: Connection
) -> None:
    """The message names the cancelled statement; its session stays connected."""
    report.begin(connection)
    done = bluegreen("promote", "--cancel-blockers", "0.5", "--max-wait", "20")
    report.join(timeout=20)
    assert report.cancelled
    assert f"cancelled: pid {report.pid} ({report.connection.info.user}, report" in done.stderr
    assert report.connection.execute("SELECT 1").fetchone() == (1,)
    assert scene.statuses(connection) == {1: "previous", 2: "live"}


def test_nobody_is_cancelled_before_the_time_nor_without_being_asked(
    dsn: str, live: Live, report: Report, connection: Connection, bluegreen: Bluegreen, ready: str
) -> None:
    """No statement is cancelled by default, or if --max-wait is over first."""
    report.begin(connection)
    for seconds in (None, 50):
        with pytest.raises(errors.LockNotObtained):
            promote.promote(scene.context(dsn, max_wait=0.5, cancel_blockers=seconds))
    assert report.is_alive()
    assert live.dump() == ready


def test_session_that_runs_nothing_is_left_alone(dsn: str, live: Live, connection: Connection, ready: str) -> None:
    """A session idle in its transaction has no statement to cancel, and sessions are never terminated."""
    listener = scene.Listener()
    with scene.holding(dsn, "SELECT FROM league.teams") as holder:
        with pytest.raises(errors.LockNotObtained, match=f"pid {holder.info.backend_pid} "):
            promote.promote(scene.context(dsn, max_wait=1, cancel_blockers=0, listener=listener))
        assert not any("cancelled" in line for line in listener.said)
        assert holder.execute("SELECT 1").fetchone() == (1,)
    assert live.dump() == ready


def test_statement_of_another_role_is_named_if_it_may_not_be_cancelled(
    dsn: str, bluegreen: Bluegreen, connection: Connection, report: Report
) -> None:
    """A role may cancel only its own sessions: promote says so in one line and gives up as before."""
    connection.execute("CREATE ROLE loader LOGIN")
    try:
        name = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
        connection.execute(
            f"GRANT CREATE ON DATABASE {name} TO loader; GRANT pg_read_all_stats TO loader;"
            "ALTER SCHEMA league OWNER TO loader; ALTER TABLE league.teams OWNER TO loader;"
            "ALTER TABLE league.players OWNER TO loader; ALTER VIEW league.squads OWNER TO loader"
        )
        bluegreen.write_league()
        own = Bluegreen(psycopg.conninfo.make_conninfo(dsn, user="loader"), bluegreen.directory)
        own("load", "data")
        report.begin(connection)
        failed = own("promote", "--cancel-blockers", "0.2", "--max-wait", "1", code=4)
        assert f"not cancelled: pid {report.pid} " in failed.stderr
        assert not report.cancelled
    finally:
        report.end()
        connection.execute("REASSIGN OWNED BY loader TO CURRENT_USER; DROP OWNED BY loader; DROP ROLE loader")


def test_older_snapshot_is_cancelled_too(
    dsn: str, bluegreen: Bluegreen, live: Live, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its old snapshot blocks the swap, not a lock."""
    monkeypatch.setattr(copy, "DEAL_BYTES", 0)
    report = Report(dsn, "SELECT pg_sleep(60)")
    report.begin(connection)
    try:
        bluegreen.write_league()
        load.load(scene.context(dsn), [str(bluegreen.directory / "data")])
        listener = scene.Listener()
        promote.promote(scene.context(dsn, max_wait=20, cancel_blockers=0.2, listener=listener))
        assert any(line.startswith(f"cancelled: pid {report.pid}") for line in listener.said)
    finally:
        report.end()
        report.connection.close()
    assert report.cancelled
    assert scene.statuses(connection) == {1: "previous", 2: "live"}


def test_nobody_waits_while_the_swap_waits_for_a_change_of_the_schema(dsn: str, live: Live, ready: str) -> None:
    """An uncommitted GRANT ON SCHEMA blocks the rename: readers continue, and the error names the blocker."""
    reader = scene.Reader(dsn, "SELECT FROM league.players")
    with scene.holding(dsn, "GRANT USAGE ON SCHEMA league TO PUBLIC", application="granting") as holder:
        reader.start()
        with pytest.raises(errors.LockNotObtained, match=f"pid {holder.info.backend_pid} .*granting"):
            promote.promote(scene.context(dsn, max_wait=4))
        reader.end()
    assert reader.reads > 100
    assert reader.worst < 0.2
    assert live.dump() == ready


@pytest.mark.parametrize("command", ["promote", "rollback"])
def test_rehearsal_does_everything_and_changes_nothing(
    bluegreen: Bluegreen, live: Live, connection: Connection, command: str
) -> None:
    """The dry run reports how long readers would be blocked; ledger and live are unchanged, and promote then works."""
    bluegreen.write_league()
    bluegreen("load", "data", "--promote")
    bluegreen("load", "data")
    before = live.dump(), live.dump("bluegreen", sequences=False)
    done = bluegreen.json(command, "--rehearse")
    assert (live.dump(), live.dump("bluegreen", sequences=False)) == before
    rehearsal = done["rehearsal"]
    assert done["cutover"] is None
    assert rehearsal["direction"] == command
    assert rehearsal["to_number"] == {"promote": 3, "rollback": 1}[command]
    assert 0 < rehearsal["held"] < 1
    assert rehearsal["tries"] >= 1
    bluegreen(command)
    scene.assert_whole(connection)


def test_rehearsal_meets_what_the_cut_over_would_meet(
    bluegreen: Bluegreen, live: Live, connection: Connection, ready: str
) -> None:
    """Locks that are not obtained: exit code 4, and the blocker's name."""
    with scene.holding(bluegreen.dsn, "SELECT FROM league.teams", application="nightly report"):
        failed = bluegreen("promote", "--rehearse", "--max-wait", "1", code=4)
    assert "nightly report" in failed.stderr
    connection.execute("CREATE TABLE public.sizes (team league.teams)")
    assert "public.sizes" in bluegreen("promote", "--rehearse", code=1).stderr
    connection.execute("DROP TABLE public.sizes")
    assert live.dump() == ready


@pytest.mark.usefixtures("live")
def test_autovacuum_gives_way_as_it_does_for_any_ddl(dsn: str, bluegreen: Bluegreen, connection: Connection) -> None:
    """The server would cancel it after deadlock_timeout, for which a swap never waits."""
    connection.execute(
        "ALTER TABLE league.teams SET (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0, "
        "autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)"
    )
    connection.execute(
        "DO 'BEGIN FOR i IN 1 .. 20000 LOOP UPDATE league.teams SET name = name WHERE id = 1; END LOOP; END'"
    )
    bluegreen.write_league()
    bluegreen("load", "data")
    scene.wait_until(lambda: scene.sessions(connection, "query LIKE 'autovacuum: VACUUM%league.teams%'"))
    listener = scene.Listener()
    promote.promote(scene.context(dsn, max_wait=20, listener=listener))
    assert any("cancelled, as it blocks the swap: pid " in line for line in listener.said)
    assert scene.statuses(connection) == {1: "previous", 2: "live"}
