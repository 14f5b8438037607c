"""open, copy, finish: one release that many processes fill, by the commands and by the library in other processes."""

import datetime
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import psycopg
import pyarrow as pa
import pytest
from psycopg.rows import TupleRow

from bluegreen_etl import SharedRelease, errors, ledger, queries
from bluegreen_etl.commands import status
from tests.concurrency import scene
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]


def copy(release: SharedRelease, key: int) -> int:
    """Copy a part in a process of its own; return how many rows it has."""
    players = {"team_id": [1, 2], "name": ["Ann", f"Zoë {key}"], "born": [datetime.date(1999, 2, 28), None]}
    return release.part("players", pa.table(players), key=str(key)).rows


def test_commands_fill_one_release(bluegreen: Bluegreen, live: Live, connection: Connection) -> None:
    """From open to promote, with a part that comes twice, one that is refused, and files that are called the same."""
    definition = live.definition()
    bluegreen.write_league()
    bluegreen.write("more/players.csv", "id;team_id;name\n7;2;seven\n")
    bluegreen.write("bluegreen.toml", '[tables.players]\ndelimiter = ";"\n[load]\nopen_for = 3600\n')
    assert bluegreen("open").stdout == "2\n"
    [_, state] = bluegreen.json("status")["releases"]
    until, begun = (datetime.datetime.fromisoformat(state[name]) for name in ("open_until", "created_at"))
    assert datetime.timedelta(seconds=3600) < until - begun < datetime.timedelta(seconds=3700)
    copied = bluegreen.json("copy", "2", "teams", "data/teams.csv", "--part", "all")
    assert (copied["part"]["rows"], copied["part"]["files"], copied["repeated"]) == (2, 1, False)
    bluegreen("copy", "2", "players", "more/players.csv", "--part", "7")
    again = bluegreen("copy", "2", "players", "more/players.csv", "--part", "7")
    assert "part 7 of table players is already copied: 1 row" in again.stderr
    options = ("--format", "csv", "--encoding", "LATIN1")
    rows = "id;team_id;name\n8;1;x\n9;1;Zoë\n".encode("LATIN1")
    bluegreen("copy", "2", "players", "-", "--part", "8", *options, stdin=rows)
    shown = bluegreen("status").stdout
    assert "release 2, with 3 parts, until 20" in shown
    assert "open      league__r2  5 " in shown
    assert "give one NUMBER" in bluegreen("finish", "2", "--expect", "4", "--expect", "x=1", code=2).stderr
    assert "the release has 3 parts, 4 expected" in bluegreen("finish", "2", "--expect", "4", code=1).stderr
    released = bluegreen.json("finish", "2", "--expect", "players=2", "--expect", "teams=1", "--promote")
    tables = {
        table["table"]: (table["rows"], table["files"], table["frozen"]) for table in released["loaded"]["tables"]
    }
    assert tables == {"players": (3, 2, False), "teams": (2, 1, False)}
    assert live.definition() == definition
    assert connection.execute("SELECT name FROM league.players ORDER BY id").fetchall() == [
        ("seven",),
        ("x",),
        ("Zoë",),
    ]
    paths = connection.execute("SELECT path FROM bluegreen.source ORDER BY path").fetchall()
    assert paths == [("data/teams.csv (part all)",), ("more/players.csv (part 7)",), ("standard input (part 8)",)]
    kinds = [event.kind for event in ledger.events(connection, "league")]
    assert kinds == ["adopted", "load began", "opened", "ready", "promoted"]


def test_handle_goes_to_other_processes(live: Live, connection: Connection) -> None:
    """The handle can be pickled; every part is there, and a sequence continues after the parts."""
    release = SharedRelease.open(live.dsn, schema="league")
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        teams = pool.submit(release.part, "teams", [(1, "Ajax"), (2, "Łódź")], key="all")
        assert list(pool.map(copy, [release] * 4, [1, 2, 3, 1])) == [2, 2, 2, 2]
        assert teams.result().rows == 2
    loaded = SharedRelease(release.number, live.dsn, schema="league").finish(expect={"players": ["1", "2", "3"]})
    assert {table.table: table.rows for table in loaded.tables} == {"players": 6, "teams": 2}
    assert release.promote().schema == "league"
    inserted = connection.execute("INSERT INTO league.players (team_id, name) VALUES (1, 'x') RETURNING id").fetchone()
    assert inserted == (7,)


def test_without_tables_nothing_is_opened(dsn: str) -> None:
    """There is no file yet that could say what they look like."""
    with pytest.raises(errors.Refused, match="there is neither a schema league with tables nor DDL"):
        SharedRelease.open(dsn, schema="league")


def test_ledger_of_an_older_version_can_be_looked_at(dsn: str, connection: Connection) -> None:
    """Nobody has to migrate it for that: it knows of no release that is open."""
    for number, text in enumerate(queries.blocks("ledger").values(), 1):
        if "open_until" in text:
            break
        ledger._migrate(connection, number)
    ledger.open_release(connection, "league", base_oid=None)
    [release] = status.status(scene.context(dsn)).releases
    assert (release.dead, release.open_until, release.parts) == (True, None, None)


def test_session_setting_that_the_server_refuses_is_named_by_copy(bluegreen: Bluegreen, live: Live) -> None:
    """The error has the key, as that of `load` has; nothing of the part is copied."""
    bluegreen.write_league()
    number = bluegreen("open").stdout.strip()
    bluegreen.write("bluegreen.toml", '[load.session]\nto = "x"\n')
    done = bluegreen("copy", number, "teams", "data/teams.csv", "--part", "1", code=2)
    assert "the server refuses load.session.to: " in done.stderr
