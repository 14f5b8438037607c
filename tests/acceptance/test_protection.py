"""A protected database wants a confirmation whichever way it is reached; a password is shown nowhere."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
import pytest
from psycopg import conninfo
from psycopg.rows import TupleRow

from bluegreen_etl import client_programs
from tests.acceptance.refusals import refused
from tests.concurrency.scene import wait_until
from tests.support import Bluegreen, Live

SECRET = "s3cr3t/%41&=' word"


def url(dsn: str, **more: str) -> str:
    """Return a connection string as a URL."""
    given = {**conninfo.conninfo_to_dict(dsn), **more}
    user, database = str(given.pop("user")), str(given.pop("dbname"))
    password = f":{quote(str(given.pop('password')), safe='')}" if "password" in given else ""
    query = "&".join(f"{key}={quote(str(value), safe='')}" for key, value in given.items())
    return f"postgresql://{user}{password}@/{database}?{query}"


def variables(dsn: str) -> dict[str, str]:
    """Return a connection string as libpq's environment variables."""
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE"}
    given = conninfo.conninfo_to_dict(dsn)
    return {variable: str(given[key]) for key, variable in names.items() if key in given}


@pytest.fixture
def protected(bluegreen: Bluegreen, live: Live) -> Live:
    """A protected database: release 1 previous, 2 live, 3 ready."""
    bluegreen.write_league()
    bluegreen("load", "data", "--promote")
    bluegreen("load", "data")
    bluegreen("protect")
    return live


def test_protected_database_refuses_what_changes_live(bluegreen: Bluegreen, protected: Live) -> None:
    """Promote, rollback, prune, load --promote and taking the mark away; load alone is allowed."""
    name = conninfo.conninfo_to_dict(bluegreen.dsn)["dbname"]
    before = protected.dump()
    for arguments, what in (
        (("promote",), "promote of league"),
        (("rollback",), "rollback of league"),
        (("prune", "--keep", "0"), "prune of league"),
        (("load", "data", "--promote"), "promote of league"),
        (("protect", "--off"), f"unprotect of {name}"),
    ):
        said = refused(bluegreen, *arguments)
        assert said.sentence == f"database {name} is protected: {what} needs a confirmation"
        assert "--force" in said.hint
    assert protected.dump() == before
    state = bluegreen.json("status")
    assert state["protected"] is True
    assert {r["number"]: r["status"] for r in state["releases"]} == {1: "previous", 2: "live", 3: "ready"}
    bluegreen("promote", "--dry-run")
    bluegreen("load", "data")
    bluegreen("protect", "--off", code=1, BLUEGREEN_SCHEMA="")


def test_force_confirms(bluegreen: Bluegreen, protected: Live) -> None:
    """The same commands work once the target is confirmed."""
    assert bluegreen.json("promote", "--force")["cutover"]["to_number"] == 3
    assert bluegreen.json("rollback", "--force")["cutover"]["to_number"] == 2
    bluegreen("prune", "--keep", "0", "--force")
    bluegreen("load", "data", "--promote", "--force")
    assert bluegreen.json("status")["live"] == 4
    bluegreen("protect", "--off", "--force")
    bluegreen("rollback")


def typed(bluegreen: Bluegreen, answer: bytes | signal.Signals, *arguments: str, code: int) -> str:
    """Run a command on a terminal, where somebody answers its question; return what was to be seen there."""
    ours, theirs = os.openpty()
    running = subprocess.Popen(
        bluegreen.command(*arguments),
        cwd=bluegreen.directory,
        env=bluegreen.environment(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    too_late = threading.Timer(60, running.kill)
    too_late.start()
    shown = b""
    with os.fdopen(ours, "r+b", buffering=0) as terminal:
        while not shown.endswith(b": "):
            shown += terminal.read(1000)
        # Between its question and its waiting for the answer a terminal forgets some of what is typed.
        wait_until(lambda: psutil.Process(running.pid).status() == psutil.STATUS_SLEEPING)
        time.sleep(0.1)
        if isinstance(answer, signal.Signals):
            running.send_signal(answer)
        else:
            terminal.write(answer)
        while True:
            try:
                shown += terminal.read(1000)
            except OSError:  # its other end is closed
                break
    assert running.wait() == code, shown
    too_late.cancel()
    return shown.decode()


def test_name_that_is_typed_confirms_and_nothing_else(bluegreen: Bluegreen, protected: Live) -> None:
    """Another word, the end of input and Ctrl-C are no."""
    end_of_input = b"\x04"
    for answer in (b"yes\n", b"\n", end_of_input, signal.SIGINT):
        shown = typed(bluegreen, answer, "promote", code=1)
        assert "is protected. Type league to promote: " in shown
        assert "is protected: promote of league needs a confirmation" in shown
        assert "HINT: " in shown
    assert bluegreen.json("status")["live"] == 2
    assert "readers were blocked" in typed(bluegreen, b"league\n", "promote", code=0)
    assert bluegreen.json("status")["live"] == 3


def test_protected_whichever_way_it_is_reached(bluegreen: Bluegreen, protected: Live) -> None:
    """The mark is in the database, not in a spelling of its address."""
    bluegreen.write("bluegreen.toml", f'[environments.mine]\ndsn = "{url(bluegreen.dsn)}"\n')
    plain = conninfo.make_conninfo(bluegreen.dsn, application_name="plain")
    ways: list[tuple[tuple[str, ...], dict[str, str], str]] = [
        (("--dsn", url(bluegreen.dsn)), {}, "--dsn or BLUEGREEN_DSN"),
        (("--dsn", plain), {}, "--dsn or BLUEGREEN_DSN"),
        ((), {"BLUEGREEN_DSN": "", "DATABASE_URL": url(bluegreen.dsn)}, "DATABASE_URL"),
        ((), {"BLUEGREEN_DSN": "", **variables(bluegreen.dsn)}, "PG* variables"),
        (("-e", "mine"), {"BLUEGREEN_DSN": ""}, "the environment's section of bluegreen.toml"),
        ((), {"BLUEGREEN_DSN": "", "VERCEL_ENV": "mine"}, "mine, by VERCEL_ENV"),
        ((), {"BLUEGREEN_DSN": "", "HEROKU_APP_NAME": "mine"}, "mine, by HEROKU_APP_NAME"),
    ]
    before = protected.dump()
    for arguments, environment, origin in ways:
        assert origin in bluegreen("status", *arguments, code=0, **environment).stdout
        said = refused(bluegreen, "promote", *arguments, live=None, code=1, **environment)
        assert said.sentence.endswith("is protected: promote of league needs a confirmation")
    assert protected.dump() == before


def test_environment_that_is_protected_marks_its_database(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """Once reached as production, the database is protected for everybody."""
    bluegreen.write("bluegreen.toml", "[environments.production]\nprotected = true\n")
    bluegreen.write_league()
    refused(bluegreen, "load", "data", "--promote", "-e", "production", live=live)
    assert connection.execute("SELECT to_regnamespace('bluegreen')").fetchone() == (None,)
    bluegreen("load", "data", "-e", "production")
    (bluegreen.directory / "bluegreen.toml").unlink()
    refused(bluegreen, "promote", live=live)
    assert bluegreen.json("status")["protected"] is True
    bluegreen("promote", "--force")


# ---- secrets


def wrapper(bluegreen: Bluegreen, major: int) -> Path:
    """Put client programs into the test's directory that write their arguments down and then are the real ones."""
    seen = bluegreen.directory / "arguments.txt"
    for program in ("pg_dump", "pg_restore"):
        real = client_programs.client_program(program, server_major=major)
        path = bluegreen.write(f"bin/{program}", f'#!/bin/sh\necho "$@" >> "{seen}"\nexec "{real}" "$@"\n')
        path.chmod(0o755)
    return seen


def debugged(bluegreen: Bluegreen, *arguments: str, code: int, **environment: str) -> str:
    """Run a command with --debug and return all that it wrote."""
    running = bluegreen.start(*arguments, "--debug", **environment)
    shown = "".join(running.communicate(timeout=60))
    assert running.returncode == code, shown
    return shown


@pytest.mark.parametrize("form", ["url", "key=value"])
def test_password_is_in_no_output_and_no_argument_list(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow], form: str
) -> None:
    """Neither where all goes well nor in an error, not with --debug, not in the arguments of pg_dump."""
    seen = wrapper(bluegreen, connection.info.server_version // 10000)
    bluegreen.write("bluegreen.toml", 'pg_bindir = "bin"\n')
    bluegreen.write_league()
    make = url if form == "url" else conninfo.make_conninfo
    good = {"BLUEGREEN_DSN": make(bluegreen.dsn, password=SECRET)}
    gone = {"BLUEGREEN_DSN": make(bluegreen.dsn, password=SECRET, host="/nowhere")}
    unknown = {"BLUEGREEN_DSN": make(bluegreen.dsn, password=SECRET, dbname="nowhere")}
    shown = "".join(
        debugged(bluegreen, *arguments.split(), code=code, **environment)
        for arguments, code, environment in (
            ("load data --promote", 0, good),
            ("status --json", 0, good),
            ("history", 0, good),
            ("promote 99", 1, good),
            ("load data", 1, gone),
            ("load data", 1, unknown),
        )
    )
    assert shown.count("Traceback (most recent call last)") >= 3
    for spelling in (SECRET, quote(SECRET, safe=""), "s3cr3t", "word"):
        assert spelling not in shown
    arguments = seen.read_text()
    assert "--schema-only" in arguments
    assert "s3cr3t" not in arguments
    assert os.fspath(bluegreen.directory) not in arguments


@pytest.mark.parametrize(
    "dsn",
    ["host=/x password=s3 cr3t", "postgresql://u:s3cr3t%zz@h/d", "s3cr3t", "u=s3cr3t"],
)
def test_connection_string_that_cannot_be_read_is_not_repeated(bluegreen: Bluegreen, dsn: str) -> None:
    """libpq quotes what it stumbles over, which is often the password."""
    for environment in ({"BLUEGREEN_DSN": dsn}, {"BLUEGREEN_DSN": "", "DATABASE_URL": dsn}):
        shown = debugged(bluegreen, "status", code=2, **environment)
        assert "bluegreen: error: the connection string is neither" in shown
        assert "HINT: " in shown
        assert "cr3t" not in shown
