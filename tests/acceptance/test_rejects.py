"""A load that continues after bad rows: its messages, the file of the rows, and when it stops."""

import csv
import gzip

import psycopg
from psycopg.rows import TupleRow

from tests.acceptance.refusals import refused
from tests.support import PLAYERS, Bluegreen, Live

BROKEN = PLAYERS + '4,two,Bo,,\n5,1,Cy\n6,1,Di,2001-02-30,"two\nlines"\n7,1,,,\n8,1,Ed,,\n'
HEAD = ["file", "line", "reason", "text"]


def rejects(bluegreen: Bluegreen, number: int, table: str = "players") -> list[list[str]]:
    """Return what the file of a table's rejected rows holds."""
    path = bluegreen.directory / "rejects" / f"league__r{number}" / f"{table}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_bad_rows_are_left_out_counted_and_kept(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """In the table, on stderr, in JSON, the ledger, status and history; and with file, line, reason and text."""
    bluegreen.write_league(players=BROKEN)
    bluegreen.write("bluegreen.toml", "[tables.players]\nreject_limit = 5\n")
    done = bluegreen("load", "data", "--metrics", "metrics")
    assert "table players: 5 rejected rows, in rejects/league__r2/players.csv" in done.stderr.splitlines()
    assert "table players: 5 rejected rows, in rejects/league__r2/players.csv" in done.stderr.splitlines()
    assert [line.split()[:3] for line in done.stdout.splitlines() if line.startswith(("table", "pl", "te"))] == [
        ["table", "rows", "rejected"],
        ["players", "4", "5"],
        ["teams", "2", "0"],
    ]
    assert 'bluegreen_table_rejected_rows{command="load",schema="league",table="players"} 5' in (
        (bluegreen.directory / "metrics").read_text()
    )
    assert rejects(bluegreen, 2) == [
        HEAD,
        ["data/players.csv", "6", 'column team_id: invalid input syntax for type integer: "two"', "4,two,Bo,,"],
        ["data/players.csv", "7", 'missing data for column "born": "5,1,Cy"', "5,1,Cy"],
        [
            "data/players.csv",
            "8",
            'column born: date/time field value out of range: "2001-02-30"',
            '6,1,Di,2001-02-30,"two\nlines"',
        ],
        [
            "data/players.csv",
            "10",
            'column name: null value in column "name" of relation "players" violates not-null constraint: "7,1,,,"',
            "7,1,,,",
        ],
    ]
    assert connection.execute("SELECT array_agg(id ORDER BY id) FROM league__r2.players").fetchone() == ([1, 2, 3, 8],)
    [condition] = [each for each in bluegreen.json("status")["releases"] if each["number"] == 2]
    assert (condition["rows"], condition["rejected"]) == (6, 5)
    assert "rejected" in bluegreen("status").stdout
    assert "5 rows for table players, to rejects/league__r2/players.csv" in bluegreen("history").stdout
    loaded = bluegreen.json("load", "data", "--promote")["loaded"]["tables"]
    assert [(load["table"], load["rejected"], load["rejects"]) for load in loaded] == [
        ("players", 5, "rejects/league__r3/players.csv"),
        ("teams", 0, None),
    ]


def test_one_too_many_stops_the_load(bluegreen: Bluegreen, live: Live) -> None:
    """The first one is named, and the file that has them all; nothing is written where nothing may be broken."""
    bluegreen.write_league(players=BROKEN)
    said = refused(bluegreen, "load", "data", "--reject-limit", "4", live=live)
    assert said.sentence == (
        "more than 4 rows for table players are bad; rejects/league__r2/players.csv has them, the first is "
        'data/players.csv, line 6, column team_id: invalid input syntax for type integer: "two"'
    )
    assert said.hint == "Fix the files and load again, or raise `reject_limit`."
    assert len(rejects(bluegreen, 2)) == 5
    said = refused(bluegreen, "load", "data", "--reject-limit", "50%", live=live)
    assert said.sentence.startswith("5 of 9 rows for table players are bad, more than 50 %; ")
    said = refused(bluegreen, "load", "data", live=live)
    assert said.sentence == "data/players.csv, line 7: has 3 values for 5 columns"
    assert not (bluegreen.directory / "rejects" / "league__r4").exists()
    done = bluegreen("load", "data", "--reject-limit", "some", code=2)
    assert "'some' is neither a number of rows nor a share" in done.stderr


def test_rows_of_every_format_may_be_broken(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """JSON that is none, a file that comes compressed, and what comes once on standard input."""
    bluegreen.write("teams.ndjson", '{"id": 1, "name": "Ajax"}\n{"id": 2,\n\n{"id": "x", "name": "PSV"}\n[]\n')
    rows = "".join(f"{number},1,player {number},,\n" for number in range(1, 20_000))
    players = ("id,team_id,name,born,note\n" + rows + "20000,1,Eve,soon,\n20001,1,Fay,,\n").encode()
    bluegreen.write("players.csv.gz", gzip.compress(players))
    bluegreen("load", "teams.ndjson", "players.csv.gz", "--reject-limit", "3", "--promote")
    assert [row[:2] for row in rejects(bluegreen, 2, "teams")[1:]] == [
        ["teams.ndjson", "2"],
        ["teams.ndjson", "5"],
        ["teams.ndjson", "4"],
    ]
    assert [row[:2] for row in rejects(bluegreen, 2)[1:]] == [["players.csv.gz", "20001"]]
    assert connection.execute("SELECT count(*) FROM league.players").fetchone() == (20_000,)
    piped = ["-", "--table", "players", "--format", "csv"]
    bluegreen("load", "teams.ndjson", *piped, "--reject-limit", "3", stdin=players)
    assert [row[:2] for row in rejects(bluegreen, 3)[1:]] == [["standard input", "20001"]]
    assert connection.execute("SELECT count(*) FROM league__r3.players").fetchone() == (20_000,)


def test_what_is_no_matter_of_single_rows_still_stops_the_load(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """A quote without an end, an orphan of a row that was left out, a place where nothing can be written."""
    lines = "".join(f"{number},1,player,,\n" for number in range(3, 70_000))
    bluegreen.write_league(players=PLAYERS + lines + '70000,1,"open,,\n70001,1,Cy,,\n')
    said = refused(bluegreen, "load", "data", "--reject-limit", "9", live=live)
    assert said.sentence == "data/players.csv, line 70003: a quoted value is not closed"
    bluegreen.write_league(teams="id,name\n1,Ajax\ntwo,PSV\n")
    connection.execute("ALTER TABLE league.players ALTER team_id DROP NOT NULL")
    done = bluegreen("load", "data", "--reject-limit", "9", code=1)
    assert "table teams: 1 rejected row, in rejects/league__r3/teams.csv" in done.stderr
    assert "table teams: 1 rejected row, in rejects/league__r3/teams.csv" in done.stderr
    assert 'orphan in table players: Key (team_id)=(2) is not present in table "teams"' in done.stderr
    bluegreen.write("elsewhere/rejects", "a file where a directory is wanted")
    bluegreen.write("elsewhere/bluegreen.toml", "[load]\nreject_limit = 9\n")
    said = refused(bluegreen, "load", "data", "--config", "elsewhere/bluegreen.toml", live=live)
    assert said.sentence.endswith(
        'line 3, column id: invalid input syntax for type integer: "two"; it cannot be written to '
        "elsewhere/rejects/league__r4/teams.csv: Not a directory"
    )


def test_no_file_is_written_through_a_link_or_over_another_one(bluegreen: Bluegreen, live: Live) -> None:
    """Neither what another run has left under the name, nor what a link points to."""
    bluegreen.write_league(players=BROKEN)
    theirs = bluegreen.write("rejects/league__r2/players.csv", "theirs")
    target = bluegreen.write("target", "untouched")
    (bluegreen.directory / "rejects/league__r2/players.2.csv").symlink_to(target)
    (bluegreen.directory / "rejects/league__r2/players.3.csv").symlink_to(bluegreen.directory / "dangling")
    done = bluegreen("load", "data", "--reject-limit", "9")
    assert "in rejects/league__r2/players.4.csv" in done.stderr
    assert theirs.read_text() == "theirs"
    assert target.read_text() == "untouched"
    assert not (bluegreen.directory / "dangling").exists()
    elsewhere = bluegreen.directory / "elsewhere"
    elsewhere.mkdir()
    (bluegreen.directory / "rejects/league__r3").symlink_to(elsewhere)
    said = refused(bluegreen, "load", "data", "--reject-limit", "9", live=live)
    assert said.sentence.endswith("rejects/league__r3 is a symbolic link")
    assert list(elsewhere.iterdir()) == []
