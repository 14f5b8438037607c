"""The ledger: made on first use, migrated forward, never backward, and complete about every release."""

import hashlib
import threading
from collections.abc import Iterator
from typing import LiteralString
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import TupleRow, dict_row

from bluegreen_etl import errors, ledger, load_stats, queries
from bluegreen_etl.model import MOVES, Release, Status
from tests.support import PLAYERS, TEAMS, Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
NEWEST = len(queries.blocks("ledger"))


def version(connection: Connection) -> int:
    """Return the ledger's version."""
    row = connection.execute("SELECT version FROM bluegreen.ledger").fetchone()
    assert row
    return int(row[0])


def rows(connection: Connection, query: LiteralString, release: Release | None = None) -> list[dict[str, object]]:
    """Return the rows of a query by column name; its parameter is a release's id."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, {"id": release.id} if release else None).fetchall()


# ---- making and migrating


def test_looking_makes_no_ledger(connection: Connection) -> None:
    """Reading commands leave a database that has none as it is."""
    assert not ledger.exists(connection)
    assert ledger.releases(connection, "league") == []
    assert not ledger.is_protected(connection)
    assert not ledger.exists(connection)


def test_the_ledger_is_made_on_first_use(connection: Connection) -> None:
    """In its newest version, and a second call changes nothing."""
    ledger.ensure(connection)
    assert version(connection) == NEWEST
    connection.execute("UPDATE bluegreen.ledger SET protected = true")
    ledger.ensure(connection)
    assert ledger.is_protected(connection)


def test_an_older_ledger_is_migrated_forward(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the versions that are missing run, and what is in it stays."""
    ledger.ensure(connection)
    release = ledger.open_release(connection, "league", base_oid=None)
    newer = {f"version_{NEWEST + 1}": "ALTER TABLE bluegreen.release ADD COLUMN colour text DEFAULT 'green'"}
    monkeypatch.setitem(queries.blocks("ledger"), *newer.popitem())
    ledger.ensure(connection)
    assert version(connection) == NEWEST + 1
    assert connection.execute("SELECT colour FROM bluegreen.release").fetchall() == [("green",)]
    assert ledger.find(connection, "league", 1) == release


def test_a_migration_that_fails_leaves_the_ledger_as_it_was(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of a version or nothing of it."""
    ledger.ensure(connection)
    broken = "ALTER TABLE bluegreen.release ADD COLUMN colour text; SELECT 1 / 0"
    monkeypatch.setitem(queries.blocks("ledger"), f"version_{NEWEST + 1}", broken)
    with pytest.raises(psycopg.errors.DivisionByZero):
        ledger.ensure(connection)
    assert version(connection) == NEWEST
    assert rows(connection, "SELECT * FROM bluegreen.release") == []
    with pytest.raises(psycopg.errors.UndefinedColumn):
        connection.execute("SELECT colour FROM bluegreen.release")


def test_a_newer_ledger_is_refused(bluegreen: Bluegreen, live: Live, connection: Connection) -> None:
    """An old program must not write into what it does not know; live is not touched."""
    ledger.ensure(connection)
    connection.execute("UPDATE bluegreen.ledger SET version = %s", (NEWEST + 1,))
    with pytest.raises(errors.Refused):
        ledger.ensure(connection)
    before = live.dump()
    bluegreen.write_league()
    done = bluegreen("load", "data", "--promote", code=1)
    assert f"has version {NEWEST + 1}, this bluegreen knows up to {NEWEST}" in done.stderr
    assert live.dump() == before


def test_first_commands_at_once_make_one_ledger(dsn: str, connection: Connection) -> None:
    """The second waits for the first and finds the work done."""
    barrier = threading.Barrier(4)
    failures: list[BaseException] = []

    def ensure() -> None:
        try:
            with psycopg.connect(dsn, autocommit=True) as own:
                barrier.wait()
                ledger.ensure(own)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=ensure) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert version(connection) == NEWEST


# ---- moves


def at(connection: Connection, status: Status) -> Release:
    """Return a new release that has come to a status on a legal way."""
    ways = {
        Status.LOADING: [],
        Status.READY: [Status.READY],
        Status.LIVE: [Status.READY, Status.LIVE],
        Status.PREVIOUS: [Status.READY, Status.LIVE, Status.PREVIOUS],
        Status.FAILED: [Status.FAILED],
        Status.PRUNED: [Status.FAILED, Status.PRUNED],
    }
    release = ledger.open_release(connection, "league", base_oid=None)
    for step in ways[status]:
        release = ledger.advance(connection, release, step)
    return release


@pytest.mark.parametrize("before", Status)
def test_only_legal_moves_are_written(connection: Connection, before: Status) -> None:
    """Any other is a conflict and leaves the release as it was."""
    ledger.ensure(connection)
    for after in Status:
        with connection.transaction(force_rollback=True):
            release = at(connection, before)
            if after in MOVES[before]:
                assert ledger.advance(connection, release, after).status is after
            else:
                with pytest.raises(errors.Conflict):
                    ledger.advance(connection, release, after)
                assert ledger.find(connection, "league", release.number).status is before


def test_a_move_from_a_status_that_is_past_is_a_conflict(connection: Connection) -> None:
    """Somebody else has moved the release since it was read."""
    ledger.ensure(connection)
    release = at(connection, Status.LOADING)
    ledger.advance(connection, release, Status.FAILED, "boom")
    with pytest.raises(errors.Conflict):
        ledger.advance(connection, release, Status.READY)
    assert ledger.find(connection, "league", release.number).failure == "boom"


def test_at_most_one_release_is_live(connection: Connection) -> None:
    """Whatever a program does, the ledger itself refuses a second one."""
    ledger.ensure(connection)
    at(connection, Status.LIVE)
    with pytest.raises(psycopg.errors.UniqueViolation):
        at(connection, Status.LIVE)


def test_releases_are_numbered_for_each_schema(connection: Connection) -> None:
    """One after the other, and by schema."""
    ledger.ensure(connection)
    made = [ledger.open_release(connection, schema, base_oid=None).number for schema in ("a", "b", "a", "a")]
    assert made == [1, 1, 2, 3]
    with pytest.raises(errors.Refused):
        ledger.find(connection, "b", 2)


# ---- completeness


def test_a_load_that_failed_tells_in_which_stage(bluegreen: Bluegreen, live: Live, connection: Connection) -> None:
    """A stage is in the ledger from its beginning; only one that has ended has a duration."""
    bluegreen.write_league(teams="id,name\n1,Ajax\n1,Ajax\n")
    bluegreen("load", "data", code=1)
    found = connection.execute("SELECT name, seconds IS NULL FROM bluegreen.stage ORDER BY at").fetchall()
    assert found[0] == ("structure", False)
    assert found[-1][1] is True


def test_every_fact_about_a_release_is_in_the_ledger(bluegreen: Bluegreen, live: Live, connection: Connection) -> None:
    """Files with size and digest, rows and seconds by table, stages, checks, and the cut-over with its transaction."""
    bluegreen.write_league()
    bluegreen.write("checks/born.sql", "-- severity: warn\nSELECT id, name FROM players WHERE born IS NULL")
    bluegreen("load", "data", "--checks", "checks", "--promote")
    [old, new] = ledger.releases(connection, "league")

    assert rows(connection, "SELECT * FROM bluegreen.source WHERE release_id = %(id)s ORDER BY path", new) == [
        {
            "release_id": new.id,
            "table_name": table,
            "path": f"data/{table}.csv",
            "format": "csv",
            "compression": "none",
            "bytes": len(text.encode()),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
        }
        for table, text in (("players", PLAYERS), ("teams", TEAMS))
    ]
    loads = {load.table: load for load in load_stats.all_loaded_tables(connection, "league", [2])[2]}
    assert {name: (load.files, load.rows, load.bytes, load.frozen) for name, load in loads.items()} == {
        "players": (1, 3, len(PLAYERS.encode()), True),
        "teams": (1, 2, len(TEAMS.encode()), True),
    }
    assert all(load.seconds > 0 for load in loads.values())
    stages = rows(connection, "SELECT name, seconds FROM bluegreen.stage WHERE release_id = %(id)s ORDER BY at", new)
    assert [stage["name"] for stage in stages] == ["structure", "copy", "finish", "check"]
    assert all(isinstance(stage["seconds"], float) and stage["seconds"] > 0 for stage in stages)
    sizes = {"players": len(PLAYERS.encode()), "teams": len(TEAMS.encode())}
    reading = rows(connection, "SELECT table_name, total, done FROM bluegreen.reading WHERE release_id = %(id)s", new)
    assert {item["table_name"]: (item["total"], item["done"]) for item in reading} == {
        table: (size, size) for table, size in sizes.items()
    }
    checks = rows(
        connection,
        "SELECT name, severity, status, failures, sample FROM bluegreen.check_result "
        "WHERE release_id = %(id)s ORDER BY id",
        new,
    )
    assert checks[-1] == {
        "name": "born",
        "severity": "warn",
        "status": "warned",
        "failures": 1,
        "sample": [["2", "Zoë"]],
    }
    assert {check["status"] for check in checks[:-1]} == {"passed"}

    [cutover] = rows(connection, "SELECT *, pg_xact_status(xid) AS outcome FROM bluegreen.cutover")
    assert (cutover["to_release"], cutover["from_release"], cutover["direction"]) == (new.id, old.id, "promote")
    assert (cutover["outcome"], cutover["by_role"]) == ("committed", connection.info.user)
    assert isinstance(cutover["token"], UUID)
    assert isinstance(cutover["held"], float)
    assert 0 < cutover["held"] < 10
    assert cutover["tries"] == 1
    assert isinstance(cutover["waited"], float)
    assert cutover["waited"] < 1

    assert [(event.number, event.kind) for event in ledger.events(connection, "league")] == [
        (1, "adopted"),
        (2, "load began"),
        (2, "ready"),
        (2, "promoted"),
    ]


def test_both_releases_know_when_they_changed_places(bluegreen: Bluegreen, live: Live, connection: Connection) -> None:
    """Their status, times and OIDs; the OID stays whatever the schema is called."""
    bluegreen.write_league()
    oid = connection.execute("SELECT 'league'::regnamespace::oid::bigint").fetchone()
    bluegreen("load", "data", "--promote")
    [old, new] = ledger.releases(connection, "league")
    assert (old.status, old.origin, old.schema_oid) == (Status.PREVIOUS, "adopted", oid and oid[0])
    assert (new.status, new.origin, new.structure, new.base_oid) == (Status.LIVE, "loaded", "live", old.schema_oid)
    assert new.created_at < (new.ready_at or new.created_at) < (new.promoted_at or new.created_at)
    assert old.retired_at
    bluegreen("rollback")
    [old, new] = ledger.releases(connection, "league")
    assert (old.status, new.status) == (Status.LIVE, Status.PREVIOUS)
    assert old.retired_at is None
    assert [c.direction for c in ledger.cutovers(connection, "league")] == ["promote", "rollback"]


def test_a_failed_load_says_why(bluegreen: Bluegreen, live: Live, connection: Connection) -> None:
    """The message that the user saw is in the ledger too."""
    bluegreen.write_league(players="id,team_id,name,born,note\n1,1,Ann,tomorrows,\n")
    bluegreen("load", "data", code=1)
    [_, failed] = ledger.releases(connection, "league")
    assert failed.status is Status.FAILED
    assert failed.failure is not None
    assert failed.failure.startswith("data/players.csv, line 2, column born: ")
    assert ledger.events(connection, "league")[-1].detail == failed.failure


# ---- trust


@pytest.fixture
def stranger(connection: Connection) -> Iterator[str]:
    """A role that others do not trust."""
    connection.execute("CREATE ROLE stranger")
    yield "stranger"
    connection.execute("DROP OWNED BY stranger CASCADE; DROP ROLE stranger")


def test_ledger_of_a_stranger_is_refused(
    bluegreen: Bluegreen, live: Live, connection: Connection, stranger: str
) -> None:
    """By doctor and load; the statements of the hint fix it."""
    ledger.ensure(connection)
    connection.execute("CREATE FUNCTION bluegreen.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
    connection.execute("CREATE TRIGGER t BEFORE INSERT ON bluegreen.event FOR EACH ROW EXECUTE FUNCTION bluegreen.f()")
    connection.execute("CREATE RULE r AS ON DELETE TO bluegreen.event DO INSTEAD NOTHING")
    connection.execute(f"ALTER TABLE bluegreen.release OWNER TO {stranger}".encode())
    bluegreen.write_league()
    assert "the ledger may run code of another role as" in bluegreen("load", "data", code=1).stderr
    assert "the ledger may run code of another role as" in bluegreen("doctor", code=1).stdout
    with pytest.raises(errors.NotPermitted) as caught:
        ledger.ensure(connection)
    assert caught.value.hint
    connection.execute(caught.value.hint.encode())
    bluegreen("load", "data", "--promote")


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM bluegreen.ledger",
        "ALTER TABLE bluegreen.release DROP CONSTRAINT release_origin_check; UPDATE bluegreen.release SET origin = ''",
        "UPDATE bluegreen.check_result SET severity = 'odd'",
    ],
)
def test_damaged_ledger_is_one_clear_error(
    bluegreen: Bluegreen, live: Live, connection: Connection, damage: str
) -> None:
    """Exit code 1 and a hint, whatever the command; never a traceback."""
    bluegreen.write_league()
    bluegreen("load", "data", "--promote")
    connection.execute(damage.encode())
    done = bluegreen("report", code=1)
    assert "the ledger, the schema bluegreen, is damaged" in done.stderr
    assert "Restore the schema `bluegreen`" in done.stderr


@pytest.mark.usefixtures("stranger")
def test_a_role_that_may_not_delete_may_not_write(connection: Connection) -> None:
    """Some statements delete rows: without that privilege each promote would leave work undone."""
    ledger.ensure(connection)
    connection.execute("GRANT USAGE ON SCHEMA bluegreen TO stranger")
    connection.execute("GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA bluegreen TO stranger")
    connection.execute("SET ROLE stranger")
    assert ledger.exists(connection)
    with pytest.raises(errors.NotPermitted):
        ledger.protect(connection, protected=True)
    connection.execute("RESET ROLE")
