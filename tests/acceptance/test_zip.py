"""A zip in place of files: loaded as they would be, refused with the member's name."""

import hashlib
import zipfile

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.acceptance.refusals import refused
from tests.support import PLAYERS, TEAMS, Bluegreen, Live


def write_zip(bluegreen: Bluegreen, name: str = "data.zip", **members: str) -> None:
    """Write a zip of CSV files below the test's directory."""
    with zipfile.ZipFile(bluegreen.directory / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, text in members.items():
            archive.writestr(f"export/{member}.csv", text)
        archive.writestr("export/README.md", "hello")


def test_zip_is_loaded_like_the_files_in_it(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """Rows, sizes and digests are the same; only the paths show where the data came from."""
    bluegreen.write_league()
    write_zip(bluegreen, teams=TEAMS, players=PLAYERS)
    plain, packed = bluegreen.json("load", "data"), bluegreen.json("load", "data.zip")
    assert [file["path"] for file in packed["files"]] == ["data.zip/export/players.csv", "data.zip/export/teams.csv"]
    for key in ("size", "sha256", "table"):
        assert [file[key] for file in packed["files"]] == [file[key] for file in plain["files"]]
    rows = connection.execute("TABLE league__r2.players ORDER BY id").fetchall()
    assert connection.execute("TABLE league__r3.players ORDER BY id").fetchall() == rows
    ledger = connection.execute(
        "SELECT path, bytes, sha256 FROM bluegreen.source WHERE path LIKE '%zip%' AND table_name = 'teams'"
    ).fetchall()
    text = TEAMS.encode()
    assert ledger == [("data.zip/export/teams.csv", len(text), hashlib.sha256(text).hexdigest())]


def test_settings_name_members_by_globs(bluegreen: Bluegreen, live: Live) -> None:
    """Relative to bluegreen.toml, as other files are."""
    write_zip(bluegreen, teams=TEAMS, p1=PLAYERS)
    (bluegreen.directory / "sub").mkdir()
    bluegreen.write(
        "sub/bluegreen.toml",
        '[sources]\npaths = ["../data.zip/export/teams.csv"]\n'
        '[tables.players]\nfiles = ["../data.zip/**/p[0-9].csv"]\n',
    )
    loaded = bluegreen.json("load", "--config", "sub/bluegreen.toml")
    assert {table["table"]: table["rows"] for table in loaded["tables"]} == {"players": 3, "teams": 2}


def test_bad_row_of_a_member_is_named_by_its_line(bluegreen: Bluegreen, live: Live) -> None:
    """The line is that of the file in the zip."""
    write_zip(bluegreen, teams=TEAMS, players="id,team_id,name\n1,1,Ann\n2,two,Zoë\n")
    said = refused(bluegreen, "load", "data.zip", live=live)
    assert said.sentence == (
        'data.zip/export/players.csv, line 3, column team_id: invalid input syntax for type integer: "two"'
    )


def test_broken_zips_are_refused(bluegreen: Bluegreen, live: Live) -> None:
    """Cut off, no zip at all, without the member that was named."""
    before = live.dump()
    write_zip(bluegreen, teams=TEAMS, players=PLAYERS)
    said = refused(bluegreen, "load", "data.zip/export/teams.csv", "data.zip/export/playrs.csv")
    assert said.sentence == "data.zip/export/playrs.csv does not exist"
    assert said.hint == "Did you mean data.zip/export/players.csv?"
    data = (bluegreen.directory / "data.zip").read_bytes()
    bluegreen.write("data.zip", data[:-40])
    assert refused(bluegreen, "load", "data.zip").sentence.startswith("data.zip cannot be read as a zip: ")
    bluegreen.write("data.zip", TEAMS)
    assert refused(bluegreen, "load", "data.zip").sentence.startswith("data.zip cannot be read as a zip: ")
    assert live.dump() == before


def test_damaged_member_is_refused_while_it_is_loaded(bluegreen: Bluegreen, live: Live) -> None:
    """What the shadow has got by then goes away with it."""
    rows = "".join(f"{number},team {number}\n" for number in range(200_000))
    write_zip(bluegreen, players=PLAYERS, teams=f"id,name\n{rows}")
    data = (bluegreen.directory / "data.zip").read_bytes()
    place = len(data) - 50_000
    bluegreen.write("data.zip", data[:place] + bytes(1000) + data[place + 1000 :])
    said = refused(bluegreen, "load", "data.zip", live=live)
    assert said.sentence.startswith("data.zip/export/teams.csv cannot be read to its end: ")


def test_zip_with_two_files_of_one_name_is_refused(bluegreen: Bluegreen, live: Live) -> None:
    """Only one of them can be read, so that the rows of the other would be missing without a word."""
    with zipfile.ZipFile(bluegreen.directory / "data.zip", "w") as archive:
        archive.writestr("teams.csv", TEAMS)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("teams.csv", "id,name\n")
    for data in ("data.zip", "data.zip/teams.csv", "data.zip/*.csv"):
        said = refused(bluegreen, "load", data, live=live)
        assert said.sentence == "data.zip has more than one file called teams.csv"
