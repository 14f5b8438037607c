"""What others learn of a release: hooks, a log for machines, metrics; and a server that is away for a moment."""

import contextlib
import json
import re
import socket
import threading

import psycopg
import pytest
from psycopg import conninfo
from psycopg.rows import TupleRow

from tests.acceptance.refusals import refused
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
HOOKS = """
[hooks]
after_load = "cat >> seen; echo >> seen"
before_promote = "cat >> seen; echo >> seen; test ! -e forbidden"
after_promote = "cat >> seen; echo >> seen; exit 9"
after_failure = "cat >> seen; echo >> seen"
"""


def seen(bluegreen: Bluegreen) -> list[tuple[str, int, int | None]]:
    """Return what the hooks received, and forget it: event, release, and the release that it replaces."""
    path = bluegreen.directory / "seen"
    told = [json.loads(line) for line in path.read_text().splitlines()]
    path.unlink()
    return [(one["event"], one["release"]["number"], one["replaces"]) for one in told]


def test_hooks_learn_of_each_turn_and_a_failing_one_before_stops(bluegreen: Bluegreen, live: Live) -> None:
    """A hook that fails after the promote is reported, and changes nothing."""
    bluegreen.write("bluegreen.toml", HOOKS)
    bluegreen.write_league()
    done = bluegreen("load", "data", "--promote")
    assert "hook after_promote ended with exit code 9" in done.stderr
    assert seen(bluegreen) == [("after_load", 2, None), ("before_promote", 2, 1), ("after_promote", 2, 1)]
    bluegreen("load", "data")
    bluegreen.write("forbidden", "")
    said = refused(bluegreen, "promote", live=live)
    assert said.sentence == "hook before_promote ended with exit code 1: release 3 stays ready"
    bluegreen.write("data/teams.csv", "id,name\nx,y\n")
    seen(bluegreen)
    refused(bluegreen, "load", "data", live=live)
    assert seen(bluegreen) == [("after_failure", 4, None)]


def test_log_for_machines_is_one_json_object_a_line(bluegreen: Bluegreen, live: Live) -> None:
    """The log has stages, messages and errors with their times; stdout is unchanged."""
    bluegreen.write_league()
    done = bluegreen("load", "data", "--log-format", "json")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["stage"] for line in lines if line["event"] == "stage"] == ["structure", "copy", "finish", "check"]
    assert all({"at", "level", "event"} <= line.keys() for line in lines)
    assert "players" in done.stdout
    failed = bluegreen("promote", "99", "--log-format", "json", code=1)
    last = json.loads(failed.stderr.splitlines()[-1])
    assert (last["event"], last["text"], last["exit_code"]) == ("failed", "schema league has no release 99", 1)
    assert last["hint"]


def test_metrics_tell_how_the_last_command_went(bluegreen: Bluegreen, live: Live) -> None:
    """Also of one that has failed; the file is never half written, and one that cannot be is no failure."""
    bluegreen.write_league()
    bluegreen("load", "data", "--promote", "--metrics", "league.prom")
    text = (bluegreen.directory / "league.prom").read_text()
    labels = 'command="load",schema="league"'
    assert f"bluegreen_exit_code{{{labels}}} 0" in text
    assert f"bluegreen_release{{{labels}}} 2" in text
    assert f'bluegreen_table_rows{{{labels},table="players"}} 3' in text
    assert re.search(r"^bluegreen_readers_held_seconds{[^}]*} 0\.\d+$", text, re.MULTILINE)
    assert text.endswith("# EOF\n")
    bluegreen("promote", "99", "--metrics", "league.prom", code=1)
    assert (
        'bluegreen_exit_code{command="promote",schema="league"} 1' in (bluegreen.directory / "league.prom").read_text()
    )
    assert "could not be written" in bluegreen("status", "--metrics", "nowhere/x").stderr


def test_server_that_is_away_for_a_moment_is_tried_again(bluegreen: Bluegreen, live: Live, dsn: str) -> None:
    """With a line of log; nobody listens on the port at first, and then the server's own socket is behind it."""
    given = conninfo.conninfo_to_dict(dsn)
    path = f"{given['host']}/.s.PGSQL.{given.get('port', 5432)}"
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        address = conninfo.make_conninfo(dsn, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable")
        running = bluegreen.start("status", "--dsn", address)
        assert running.stderr.readline().startswith("connecting again: ")
        listener.listen()
        threading.Thread(target=relay, args=(listener, path), daemon=True).start()
        stdout, stderr = running.communicate(timeout=30)
        listener.shutdown(socket.SHUT_RDWR)
    assert running.returncode == 0, stderr
    assert "PostgreSQL" in stdout


def relay(listener: socket.socket, path: str) -> None:
    """Carry bytes between a client and the server's socket."""

    def carry(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError), target:
            while data := source.recv(65536):
                target.sendall(data)

    while True:
        try:
            client = listener.accept()[0]
        except OSError:
            return
        server = socket.socket(socket.AF_UNIX)
        server.connect(path)
        for pair in ((client, server), (server, client)):
            threading.Thread(target=carry, args=pair, daemon=True).start()


@pytest.mark.parametrize("change", [{"dbname": "no_such_database"}, {"user": "nobody_at_all"}])
def test_server_that_refuses_is_not_asked_again(bluegreen: Bluegreen, dsn: str, change: dict[str, str]) -> None:
    """What is wrong with the name of a user or database stays wrong."""
    done = bluegreen("status", "--dsn", conninfo.make_conninfo(dsn, **change), code=1)
    assert "trying again" not in done.stderr
