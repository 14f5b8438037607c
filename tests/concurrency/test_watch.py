"""A load that is watched from another terminal."""

import json
import os
import pty
import re
import signal
import subprocess

import psycopg
from psycopg import conninfo
from psycopg.rows import TupleRow

from tests import warm
from tests.concurrency.slow import SlowLoad
from tests.support import PLAYERS, TEAMS, Bluegreen, Live

SIZES = {"players": len(PLAYERS.encode()), "teams": len(TEAMS.encode())}


def first_line(process: warm.Command) -> str:
    """Return the first output of a command that keeps running."""
    return process.stdout.readline()


def test_a_load_can_be_watched_from_another_terminal(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow], dsn: str
) -> None:
    """Shows the stage, each session and the bytes by table; ends with exit code 0 on Ctrl-C, and when the load ends."""
    slow = SlowLoad(bluegreen, live, connection)
    with slow.stopped("copy"):
        watch = bluegreen.start("status", "--watch", "0.2", "--json")
        seen = json.loads(first_line(watch))
        assert (seen["number"], seen["status"], seen["stage"]) == (2, "loading", "copy")
        assert {name: flow["total"] for name, flow in seen["tables"].items()} == SIZES
        assert seen["whole"]["total"] == sum(SIZES.values())
        assert [(each["does"], each["table"]) for each in seen["sessions"] if each["table"]] == [("copy", "players")]
        interrupted = bluegreen.start("status", "--watch")
        assert re.match(
            r"\S+ \S+ release 2: copy for \d+ s, .* of 1\d\d B read, .*: copy players\n", first_line(interrupted)
        )
        interrupted.send_signal(signal.SIGINT)
        assert interrupted.communicate(timeout=20)[1] == ""
        assert interrupted.returncode == 0
        assert re.search(r"copy +players", drawn(bluegreen))
        assert onlooker_sees(bluegreen, connection, dsn) >= {("copy", "players", None)}
    *_, last = watch.communicate(timeout=60)[0].splitlines()
    assert (watch.returncode, json.loads(last)["status"], json.loads(last)["sessions"]) == (0, "ready", [])
    assert bluegreen("status", "--watch").stderr == "no load of league is running\n"


def test_a_load_that_is_killed_while_it_is_watched_is_reported(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """The watch ends; a report lists the load among the failed ones, with its stage."""
    slow = SlowLoad(bluegreen, live, connection)
    with slow.stopped("copy") as load:
        watch = bluegreen.start("status", "--watch", "0.2")
        assert "release 2: copy for" in first_line(watch)
        load.kill()
        *_, last = watch.communicate(timeout=20)[0].splitlines()
    assert (watch.returncode, last.partition("release ")[2]) == (0, "2 of league is dead")
    [died] = [line for line in bluegreen("report").stdout.splitlines() if "its process was killed" in line]
    assert (died.split()[0], died.split()[3]) == ("2", "copy")


def test_a_release_that_is_open_for_parts_can_be_watched(bluegreen: Bluegreen, live: Live) -> None:
    """The total is unknown: shows what has arrived, without a remaining time."""
    bluegreen.write_league()
    bluegreen("open")
    bluegreen("copy", "2", "teams", "data/teams.csv", "--part", "1")
    watch = bluegreen.start("status", "--watch", "--json")
    seen = json.loads(first_line(watch))
    assert (seen["stage"], seen["whole"]["total"], seen["whole"]["left"]) == ("open for parts", None, None)
    assert {name: flow["done"] for name, flow in seen["tables"].items()} == {"teams": SIZES["teams"]}
    bluegreen("abort", "2")
    assert json.loads(watch.communicate(timeout=20)[0].splitlines()[-1])["status"] in {"failed", "pruned"}


def drawn(bluegreen: Bluegreen) -> str:
    """Return the second frame drawn on a terminal; it starts at the position of the first."""
    ours, theirs = pty.openpty()
    watch = subprocess.Popen(
        bluegreen.command("status", "--watch", "0.1"), env=bluegreen.environment(TERM="xterm"), stdout=theirs
    )
    os.close(theirs)
    text = ""
    while len(pictures := re.split(r"\x1b\[\d+A\r\x1b\[J", text)) < 3:
        text += os.read(ours, 4096).decode(errors="replace")
    watch.send_signal(signal.SIGINT)
    assert watch.wait(timeout=20) == 0
    os.close(ours)
    return pictures[1]


def onlooker_sees(
    bluegreen: Bluegreen, connection: psycopg.Connection[TupleRow], dsn: str
) -> set[tuple[str | None, str | None, int | None]]:
    """Return the sessions shown to a role that may read only the ledger."""
    connection.execute("CREATE ROLE onlooker LOGIN")
    try:
        connection.execute("GRANT USAGE ON SCHEMA bluegreen TO onlooker")
        connection.execute("GRANT SELECT ON ALL TABLES IN SCHEMA bluegreen TO onlooker")
        watch = Bluegreen(conninfo.make_conninfo(dsn, user="onlooker"), bluegreen.directory).start(
            "status", "--watch", "--json"
        )
        seen = json.loads(first_line(watch))
        watch.send_signal(signal.SIGINT)
        watch.communicate(timeout=20)
    finally:
        connection.execute("DROP OWNED BY onlooker; DROP ROLE onlooker")
    assert seen["whole"]["total"] == sum(SIZES.values())
    return {(each["does"], each["table"], each["rows"]) for each in seen["sessions"]}
