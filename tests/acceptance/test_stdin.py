"""Standard input in place of a file: piped, redirected, compressed, endless, broken."""

import gzip
import hashlib
import json
import signal
import subprocess
import time

import psutil
import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.acceptance.refusals import refused
from tests.support import PLAYERS, TEAMS, Bluegreen, Live

CSV = ("--table", "players", "--format", "csv")


@pytest.fixture(autouse=True)
def teams(bluegreen: Bluegreen) -> None:
    """The other table's file, always there."""
    bluegreen.write("teams.csv", TEAMS)


def test_pipe_is_loaded_like_a_file(bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]) -> None:
    """Standard input fills a table next to files; its size is what arrived."""
    done = bluegreen.json("load", "teams.csv", "-", *CSV, "--promote", stdin=PLAYERS)
    text = PLAYERS.encode()
    [file] = [file for file in done["loaded"]["files"] if file["table"] == "players"]
    assert (file["path"], file["size"], file["sha256"]) == (
        "standard input",
        len(text),
        hashlib.sha256(text).hexdigest(),
    )
    assert [row[0] for row in connection.execute("SELECT name FROM league.players ORDER BY id")] == [
        'Robert "Bobby" Øst',
        "Zoë",
        "Ann",
    ]
    ledger = connection.execute("SELECT bytes FROM bluegreen.source WHERE path = 'standard input'").fetchone()
    assert ledger == (len(text),)
    sizes = {table["table"]: table["bytes"] for table in done["loaded"]["tables"]}
    assert sizes == {"players": len(text), "teams": len(TEAMS.encode())}


def test_formats_and_compressions_are_read(bluegreen: Bluegreen, live: Live) -> None:
    """The format is said, the compression is seen."""
    objects = [{"id": 1, "team_id": 1, "name": "Zoë"}, {"id": 2, "team_id": 2, "name": "Ann"}]
    for name, data in (
        ("csv", gzip.compress(PLAYERS.encode())),
        ("ndjson", "\n".join(json.dumps(each) for each in objects).encode()),
        ("json", json.dumps(objects).encode()),
        ("tsv", b"id\tteam_id\tname\n1\t1\tAnn\n"),
    ):
        done = bluegreen.json("load", "teams.csv", "-", "--table", "players", "--format", name, stdin=data)
        assert {table["rows"] for table in done["tables"] if table["table"] == "players"} <= {1, 2, 3}


def test_format_alone_is_that_of_all_files(bluegreen: Bluegreen, live: Live) -> None:
    """Without --table there is no standard input that it could be about."""
    bluegreen.write("players.txt", PLAYERS)
    done = bluegreen.json("load", "teams.csv", "players.txt", "--format", "csv")
    assert {table["table"]: table["rows"] for table in done["tables"]} == {"players": 3, "teams": 2}


def test_settings_may_say_what_it_is(bluegreen: Bluegreen, live: Live) -> None:
    """As a file of the table; then no option is needed."""
    bluegreen.write("bluegreen.toml", '[tables.players]\nfiles = ["-"]\nformat = "csv"\n')
    done = bluegreen.json("load", "teams.csv", stdin=PLAYERS)
    assert {table["table"]: table["rows"] for table in done["tables"]} == {"players": 3, "teams": 2}


def test_first_load_infers_the_table(bluegreen: Bluegreen, connection: psycopg.Connection[TupleRow]) -> None:
    """Its beginning is looked at several times, and then it is read from its start."""
    bluegreen("load", "teams.csv", "-", *CSV, "--promote", stdin=PLAYERS)
    assert connection.execute("SELECT count(*), count(born), min(born)::text FROM league.players").fetchone() == (
        3,
        2,
        "1999-02-28",
    )


def test_dry_run_says_that_the_size_is_unknown(bluegreen: Bluegreen, live: Live) -> None:
    """Only the beginning has been read; a redirected file has a size."""
    done = bluegreen("load", "teams.csv", "-", *CSV, "--dry-run", stdin=PLAYERS)
    assert done.stdout.splitlines()[2].split() == ["players", "standard", "input", "csv", "none", "unknown"]
    path = bluegreen.write("players", PLAYERS)
    with path.open("rb") as file:
        redirected = subprocess.run(
            bluegreen.command("load", "teams.csv", "-", *CSV, "--dry-run", "--json"),
            cwd=bluegreen.directory,
            env=bluegreen.environment(),
            stdin=file,
            capture_output=True,
            check=True,
        )
    sizes = {file["table"]: file["size"] for file in json.loads(redirected.stdout)["files"]}
    assert sizes == {"players": len(PLAYERS.encode()), "teams": len(TEAMS.encode())}


# ---- what is refused


def test_bad_row_is_named_by_its_line(bluegreen: Bluegreen, live: Live) -> None:
    """Also far behind what is kept of the input."""
    before = live.dump()
    for count in (1, 1_500_000):
        rows = "".join(f"{number},1,Ann Other\n" for number in range(1, count + 1))
        text = f"id,team_id,name\n{rows}0,one,Bo\n3,1,Zoë\n"
        said = refused(bluegreen, "load", "teams.csv", "-", *CSV, stdin=text)
        assert said.sentence == (
            f'standard input, line {count + 2}, column team_id: invalid input syntax for type integer: "one"'
        )
    assert live.dump() == before


def test_empty_and_damaged_input_is_refused(bluegreen: Bluegreen, live: Live) -> None:
    """An export that died before its first byte, or later."""
    before = live.dump()
    for data, sentence in (
        (b"", "standard input is empty"),
        (gzip.compress(PLAYERS.encode())[:-9], "standard input cannot be read to its end: "),
    ):
        assert refused(bluegreen, "load", "teams.csv", "-", *CSV, stdin=data).sentence.startswith(sentence)
    assert live.dump() == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("-",), "no table is named for standard input"),
        (("-", "-", "--table", "players"), "DATA contain standard input twice"),
        (("teams.csv", "--table", "players"), "--table needs standard input, but DATA do not contain `-`"),
    ],
)
def test_what_does_not_fit_together_is_a_usage_error(
    bluegreen: Bluegreen, live: Live, arguments: tuple[str, ...], sentence: str
) -> None:
    """Each with a hint."""
    assert refused(bluegreen, "load", *arguments, stdin=PLAYERS, code=2, live=live).sentence == sentence


def test_parquet_needs_a_file(bluegreen: Bluegreen, live: Live) -> None:
    """It is read from its end."""
    said = refused(
        bluegreen, "load", "teams.csv", "-", "--table", "players", "--format", "parquet", stdin="PAR1", live=live
    )
    assert said.sentence == "standard input cannot be read from its end"
    assert said.hint == "Write the data to a file, and load the file."


def test_closed_input_is_refused(bluegreen: Bluegreen, live: Live) -> None:
    """Its number may be that of another file by then."""
    command = " ".join(bluegreen.command("load", "teams.csv", "-", *CSV))
    done = subprocess.run(
        ["sh", "-c", f"exec {command} <&-"],
        cwd=bluegreen.directory,
        env=bluegreen.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "bluegreen: error: standard input is closed")


# ---- however long it is


def started(bluegreen: Bluegreen) -> "subprocess.Popen[bytes]":
    """Start a load of what will be written into its pipe."""
    return subprocess.Popen(
        bluegreen.command("load", "teams.csv", "-", *CSV),
        cwd=bluegreen.directory,
        env=bluegreen.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def feed(process: "subprocess.Popen[bytes]", text: bytes, count: int) -> None:
    """Write `text` so many times into the pipe, and leave it open."""
    assert process.stdin is not None
    for _ in range(count):
        process.stdin.write(text)
    process.stdin.flush()


def test_endless_input_takes_little_memory_and_can_be_interrupted(bluegreen: Bluegreen, live: Live) -> None:
    """200 MB pass through and then nothing comes any more: Ctrl-C still ends the load."""
    before = live.dump()
    with started(bluegreen) as process:
        feed(process, b"team_id,name\n", 1)
        feed(process, b"1,%s\n" % (b"x" * 47) * 20_000, 200)
        assert psutil.Process(process.pid).memory_info().rss < 120 << 20
        process.send_signal(signal.SIGINT)
        begun = time.monotonic()
        assert process.stderr is not None
        said = process.stderr.read().decode()
        assert process.wait() == 1
        assert time.monotonic() - begun < 10
        assert "bluegreen: error: interrupted: live is unchanged" in said
    assert live.dump() == before


@pytest.mark.usefixtures("live")
def test_error_that_arrives_while_the_pipe_is_silent_is_raised(
    bluegreen: Bluegreen, connection: psycopg.Connection[TupleRow]
) -> None:
    """The server has refused a row by the time that the next ones come."""
    aborted = "SELECT true FROM pg_stat_activity WHERE datname = current_database() AND state LIKE '%(aborted)'"
    rows = b"1,%s\n" % (b"x" * 47) * 1_000
    with started(bluegreen) as process:
        feed(process, b"team_id,name\n", 1)
        feed(process, rows, 30)  # more than what is looked at before the load
        feed(process, b"one,Zo\n", 1)
        deadline = time.monotonic() + 20
        while not connection.execute(aborted).fetchone():
            assert time.monotonic() < deadline
            feed(process, rows, 1)  # until its block is full, and long before the next one is
            time.sleep(0.05)
        said = process.communicate(rows * 30)[1].decode()
        assert process.returncode == 1
    assert 'standard input, line 30002, column team_id: invalid input syntax for type integer: "one"' in said
