"""Files that cannot be loaded: each refusal says which file, line, column and value, and live stays as it was."""

import gzip
import lzma
import os

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.acceptance.refusals import refused
from tests.support import PLAYERS, TEAMS, Bluegreen, Live

HEADER = "id,team_id,name,born,note\n"


def values(connection: psycopg.Connection[TupleRow], query: str) -> list[object]:
    """Return the first column of a query."""
    return [row[0] for row in connection.execute(query.encode())]


# ---- which files


def test_missing_file_is_named_with_the_nearest_one_that_exists(bluegreen: Bluegreen, live: Live) -> None:
    """A typing error gets the name that was meant."""
    bluegreen.write_league()
    said = refused(bluegreen, "load", "data/teams.csv", "data/player.csv", live=live)
    assert said.sentence == "data/player.csv does not exist"
    assert said.hint == "Did you mean data/players.csv?"


def test_missing_directory_is_named_with_the_working_directory(bluegreen: Bluegreen, live: Live) -> None:
    """Cron jobs fail because they run elsewhere, so the hint says where this one ran."""
    said = refused(bluegreen, "load", "somewhere", live=live)
    assert said.sentence == "somewhere does not exist"
    assert str(bluegreen.directory) in said.hint


def test_glob_without_a_match_is_refused(bluegreen: Bluegreen, live: Live) -> None:
    """A glob that matches nothing is not a load of nothing."""
    assert refused(bluegreen, "load", "data/*.csv", live=live).sentence == "data/*.csv matches no file"


def test_empty_file_is_refused_before_anything_is_written(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """A file of 0 bytes is an export that died; not even a ledger is made for it."""
    bluegreen.write_league(players="")
    assert refused(bluegreen, "load", "data", live=live).sentence == "data/players.csv is empty"
    assert values(connection, "SELECT nspname FROM pg_namespace WHERE nspname IN ('bluegreen', 'league__r2')") == []


def test_directory_without_data_files_is_refused(bluegreen: Bluegreen, live: Live) -> None:
    """The hint says how data files are named."""
    bluegreen.write("data/README.txt", "nothing here")
    said = refused(bluegreen, "load", "data", live=live)
    assert said.sentence == "data contains no data files"
    assert ".csv, .tsv, .json, .ndjson" in said.hint


def test_no_files_named_at_all_is_a_usage_error(bluegreen: Bluegreen, live: Live) -> None:
    """Neither the command line nor bluegreen.toml says what to load."""
    assert refused(bluegreen, "load", code=2, live=live).sentence == "no data files were named"


def test_file_of_unknown_format_is_refused(bluegreen: Bluegreen, live: Live) -> None:
    """A file that is named must not be passed over in silence."""
    bluegreen.write("teams.xlsx", b"PK\3\4")
    assert refused(bluegreen, "load", "teams.xlsx", live=live).sentence == "the format of teams.xlsx is unknown"


def test_file_that_matches_no_table_is_refused_with_the_tables_there_are(bluegreen: Bluegreen, live: Live) -> None:
    """A file too many is as suspicious as one that is missing."""
    bluegreen.write_league()
    bluegreen.write("data/referees.csv", "id\n1\n")
    said = refused(bluegreen, "load", "data", live=live)
    assert said.sentence == "data/referees.csv matches no table of league"
    assert "players, teams" in said.hint


def test_table_of_live_without_a_file_is_refused(bluegreen: Bluegreen, live: Live) -> None:
    """Otherwise the table would be empty after the promote."""
    bluegreen.write("data/teams.csv", TEAMS)
    said = refused(bluegreen, "load", "data", live=live)
    assert said.sentence == "no file for table players of league: it would be empty after the promote"


# ---- which columns


def test_columns_that_do_not_fit_are_named(bluegreen: Bluegreen, live: Live) -> None:
    """Too many, too few, twice, nameless: refused by the header alone."""
    before = live.dump()
    for teams, sentence in (
        ("id,name,city\n1,Ajax,Amsterdam\n", "data/teams.csv has column city, which table teams lacks"),
        ("id\n1\n", "data/teams.csv lacks column name, which may not be null in table teams"),
        ("id,name,id\n1,Ajax,1\n", 'data/teams.csv, line 1: column "id" appears twice'),
        ("id,\n1,Ajax\n", "data/teams.csv, line 1: column 2 has no name"),
    ):
        bluegreen.write_league(teams=teams)
        assert refused(bluegreen, "load", "data").sentence == sentence
    assert live.dump() == before


def test_missing_nullable_column_takes_its_default(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """Only a column that must be given has to be in the file."""
    connection.execute("ALTER TABLE league.players ALTER note SET DEFAULT 'none yet'")
    before = live.dump()
    bluegreen.write_league(players="id,team_id,name\n1,1,Ann\n")
    done = bluegreen("load", "data")
    assert live.dump() == before
    assert "data/players.csv has no born, note: using defaults" in done.stderr
    rows = connection.execute("SELECT name, born, note FROM league__r2.players").fetchall()
    assert rows == [("Ann", None, "none yet")]


def test_generated_column_in_the_file_is_refused(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """What the server computes cannot be loaded."""
    connection.execute("ALTER TABLE league.teams ADD initial text GENERATED ALWAYS AS (left(name, 1)) STORED")
    bluegreen.write_league(teams="id,name,initial\n1,Ajax,A\n")
    said = refused(bluegreen, "load", "data", live=live)
    assert said.sentence == "data/teams.csv has column initial, which is a generated column of table teams"


# ---- which rows

BROKEN = HEADER + '1,1,"two\nlines\nand more",1999-02-28,"a\nb"\n2,1,Zoë,soon,\n'


def test_bad_row_is_named_by_its_line_in_the_file(bluegreen: Bluegreen, live: Live) -> None:
    """Line ends inside quotes count as an editor counts them."""
    bluegreen.write_league(players=BROKEN)
    said = refused(bluegreen, "load", "data", live=live)
    assert said.sentence == 'data/players.csv, line 6, column born: invalid input syntax for type date: "soon"'


def test_lines_are_counted_in_files_from_windows_too(bluegreen: Bluegreen, live: Live) -> None:
    """The server counts the lines of such a file differently."""
    bluegreen.write_league(players=HEADER.replace("\n", "\r\n") + '1,1,"two\nlines",,\r\n2,1,Zoë,,\r\n3,one,Ann,,\r\n')
    said = refused(bluegreen, "load", "data", live=live)
    assert said.sentence == 'data/players.csv, line 5, column team_id: invalid input syntax for type integer: "one"'


def test_lines_are_counted_in_files_of_the_old_macintosh_too(bluegreen: Bluegreen, live: Live) -> None:
    """Where lines end in a carriage return alone, that is what is counted."""
    bluegreen.write_league(players=(HEADER + "1,1,Zoë,,\n2,1,Eve,,\n3,one,Ann,,\n").replace("\n", "\r"))
    said = refused(bluegreen, "load", "data", live=live)
    assert said.sentence == 'data/players.csv, line 4, column team_id: invalid input syntax for type integer: "one"'


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("xz", lzma.compress)])
def test_bad_row_in_a_compressed_file_is_named_by_its_line(
    bluegreen: Bluegreen, live: Live, suffix: str, pack: type[bytes]
) -> None:
    """The line is that of the text, which is what zless shows."""
    bluegreen.write("data/teams.csv", TEAMS)
    bluegreen.write(f"data/players.csv.{suffix}", pack((HEADER + "1,1,Ann,,\n2,1,Zoë,never,\n").encode()))
    said = refused(bluegreen, "load", "data", live=live)
    assert said.sentence == (
        f'data/players.csv.{suffix}, line 3, column born: invalid input syntax for type date: "never"'
    )


def test_damaged_archive_is_refused(bluegreen: Bluegreen, live: Live) -> None:
    """A download that was cut off is not a shorter file."""
    bluegreen.write("data/teams.csv", TEAMS)
    packed = gzip.compress(PLAYERS.encode())
    bluegreen.write("data/players.csv.gz", packed[:-9])
    said = refused(bluegreen, "load", "data", live=live)
    assert said.sentence.startswith("data/players.csv.gz cannot be read to its end: ")


def test_long_value_is_shortened(bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]) -> None:
    """A megabyte in the wrong place must not fill the log."""
    connection.execute("ALTER TABLE league.players ALTER note TYPE varchar(20)")
    bluegreen.write_league(players=f"{HEADER}1,1,Ann,,{'x' * 5000}\n")
    said = refused(bluegreen, "load", "data", live=live)
    assert said.sentence == (
        f'data/players.csv, line 2, column note: value too long for type character varying(20): "{"x" * 60}…"'
    )
    bluegreen.write_league(players=f"{HEADER}1,1,Ann,{'x' * 5000},\n")
    said = refused(bluegreen, "load", "data", live=live)
    assert said.sentence == (
        f'data/players.csv, line 2, column born: invalid input syntax for type date: "{"x" * 60}…"'
    )


def test_value_over_several_lines_is_shown_in_one(bluegreen: Bluegreen, live: Live) -> None:
    """The column is named although the value has line ends, and the error stays one line."""
    bluegreen.write_league(players=HEADER + '1,1,Ann,"long\nago",\n')
    said = refused(bluegreen, "load", "data", live=live)
    assert said.sentence == (r'data/players.csv, line 3, column born: invalid input syntax for type date: "long\nago"')


def test_null_in_a_column_that_forbids_it_is_named(bluegreen: Bluegreen, live: Live) -> None:
    """An empty field is NULL, unless it is quoted."""
    bluegreen.write_league(teams="id,name\n1,Ajax\n2,\n")
    said = refused(bluegreen, "load", "data", live=live)
    assert said.sentence.startswith(
        'data/teams.csv, line 3, column name: null value in column "name" of relation "teams" violates not-null'
    )


def test_line_that_is_not_as_long_as_the_header_is_named(bluegreen: Bluegreen, live: Live) -> None:
    """Among the first lines this is seen before anything is written."""
    before = live.dump()
    for line, sentence in (
        ("2,Łódź,surplus", "data/teams.csv, line 3: has 3 values for 2 columns"),
        ("2", "data/teams.csv, line 3: has 1 values for 2 columns"),
        ('2,"Łódź', "data/teams.csv, line 3: a quoted value is not closed"),
    ):
        bluegreen.write_league(teams=f"id,name\n1,Ajax\n{line}\n3,Ajax II\n")
        assert refused(bluegreen, "load", "data").sentence == sentence
    assert live.dump() == before


def test_broken_line_far_down_is_named(bluegreen: Bluegreen, live: Live) -> None:
    """Further down it is the server that finds it."""
    before = live.dump()
    rows = "".join(f"{number},team {number}\n" for number in range(1, 2001))
    for line, sentence in (
        ("2001,Łódź,surplus", "data/teams.csv, line 2002: extra data after last expected column"),
        ("2001", 'data/teams.csv, line 2002: missing data for column "name"'),
        ('2001,"Łódź', 'data/teams.csv, line 2004: unterminated CSV quoted field: "2001,"Łódź'),
        ("two thousand,Łódź", 'data/teams.csv, line 2002, column id: invalid input syntax for type integer: "two tho'),
    ):
        bluegreen.write_league(teams=f"id,name\n{rows}{line}\n3000,last\n")
        assert refused(bluegreen, "load", "data").sentence.startswith(sentence)
    assert live.dump() == before


# ---- which letters


@pytest.mark.parametrize("rows_before", [1, 200_000])
def test_file_in_another_encoding_is_refused_and_loads_once_it_is_named(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow], rows_before: int
) -> None:
    """Latin-1 in what should be UTF-8 is found in the first lines and far down alike."""
    rows = "".join(f"{number},team {number}\n" for number in range(1, rows_before + 1))
    bluegreen.write_league(players="id,team_id,name,born,note\n1,1,Ann,,\n")
    bluegreen.write("data/teams.csv", f"id,name\n{rows}".encode() + b"900000,M\xfcnchen\n")
    said = refused(bluegreen, "load", "data", live=live)
    assert said.sentence.startswith(f"data/teams.csv, line {rows_before + 2}")
    assert "0xfc" in said.sentence
    assert "encoding" in said.hint
    bluegreen("load", "data", "--encoding", "LATIN1", "--promote")
    assert values(connection, "SELECT name FROM league.teams WHERE id = 900000") == ["München"]


def test_utf_16_is_refused_with_the_way_to_convert_it(bluegreen: Bluegreen, live: Live) -> None:
    """What spreadsheets call Unicode text."""
    bluegreen.write_league()
    bluegreen.write("data/teams.csv", TEAMS.encode("utf-16"))
    said = refused(bluegreen, "load", "data", live=live)
    assert said.sentence == "data/teams.csv is encoded in UTF-16, which PostgreSQL cannot read"
    assert "iconv" in said.hint


def test_unknown_encoding_is_a_usage_error(bluegreen: Bluegreen, live: Live) -> None:
    """The hint lists names that PostgreSQL knows."""
    bluegreen.write_league()
    said = refused(bluegreen, "load", "data", "--encoding", "latin-99", code=2, live=live)
    assert said.sentence == 'unknown encoding "latin-99"'


def test_what_is_no_file_is_named_as_skipped(bluegreen: Bluegreen, live: Live) -> None:
    """A link that leads nowhere, a pipe and a loop in a directory: somebody may think that their rows are loaded."""
    bluegreen.write_league()
    data = bluegreen.directory / "data"
    (data / "dangling.csv").symlink_to("nowhere.csv")
    (data / "loop.csv").symlink_to("loop.csv")
    os.mkfifo(data / "pipe.csv")
    (data / "directory").mkdir()
    for given in ("data", "data/*"):
        said = bluegreen("load", given, "--dry-run").stderr
        skipped = [line.split(":")[0] for line in said.splitlines() if "not a regular file" in line]
        assert skipped == [f"skipped data/{name}.csv" for name in ("dangling", "loop", "pipe")]
