"""No part of a password is in anything that any command writes, whatever characters the password has."""

import itertools
import json
from collections.abc import Mapping
from urllib.parse import quote

import pytest
from psycopg import conninfo

from tests.support import Bluegreen, Live

# Each holds FIRST and SECOND, which are in nothing else that a command could write.
PASSWORDS = [
    "FIRST@SECOND",
    "FIRST/SECOND",
    "FIRST%SECOND",
    "FIRST SECOND",
    "FIRST'SECOND",
    'FIRST"SECOND',
    "FIRST\\SECOND",
]
PASSWORDS += ["FIRST:SECOND", "FIRST?SECOND", "FIRST#SECOND", "FIRST=SECOND&host=SECOND", "FIRST%40SECOND"]
COMMANDS = [
    "init --force",
    "load data --junit checks.xml",
    "run -- true",
    "open",
    "copy 2 teams data/teams.csv --part 1",
    "finish 2",
    "abort 2",
    "check live --junit checks.xml",
    "diff 2",
    "promote",
    "promote --dry-run",
    "rollback",
    "status",
    "history",
    "report --html page.html",
    "backup --to backups",
    "restore backups/none",
    "prune",
    "protect",
    "doctor",
]


def spellings(dsn: str, password: str) -> Mapping[str, str]:
    """Return connection strings to a database that does not exist, with the password escaped and not."""
    given = conninfo.conninfo_to_dict(dsn) | {"dbname": "nowhere"}
    user, host, port = (str(given.get(name, 5432)) for name in ("user", "host", "port"))
    rest = f"?host={quote(host, safe='')}&port={port}"
    return {
        "url": f"postgresql://{user}:{quote(password, safe='')}@/nowhere{rest}",
        "unescaped url": f"postgresql://{user}:{password}@/nowhere{rest}",
        "unescaped url with a host": f"postgresql://{user}:{password}@127.0.0.1:{port}/nowhere",
        "password in the query": f"postgresql://{user}@/nowhere{rest}&password={quote(password, safe='')}",
        "key=value": conninfo.make_conninfo(
            **{name: str(value) for name, value in given.items()} | {"password": password}
        ),
        "unescaped key=value": f"host={host} port={port} user={user} password={password} dbname=nowhere",
    }


def written(bluegreen: Bluegreen, command: str, **environment: str) -> str:
    """Return all that a failing command writes: to both streams, and into files."""
    files = ("metrics.prom", "checks.xml", "page.html")
    for name in files:
        (bluegreen.directory / name).unlink(missing_ok=True)
    first, *others = command.split()
    running = bluegreen.start(first, "--debug", "--metrics", "metrics.prom", *others, **environment)
    shown = "".join(running.communicate(timeout=60))
    assert running.returncode in {1, 2}, f"{command}: {running.returncode} {shown}"
    found = [bluegreen.directory / name for name in files]
    return shown + "".join(path.read_text() for path in found if path.exists())


@pytest.mark.parametrize(
    "form", ["url", "unescaped url", "unescaped url with a host", "key=value", "unescaped key=value"]
)
def test_password_is_in_no_error_of_any_command(bluegreen: Bluegreen, live: Live, form: str) -> None:
    """Each command with another password, so that each password comes with several commands."""
    bluegreen.write_league()
    # A host may be away: each of these tries for seconds.
    commands = COMMANDS[::4] if "host" in form else COMMANDS
    for command, password in zip(commands, itertools.cycle(PASSWORDS), strict=False):
        shown = written(bluegreen, command, BLUEGREEN_DSN=spellings(bluegreen.dsn, password)[form])
        assert "FIRST" not in shown, (command, password)
        assert "SECOND" not in shown, (command, password)


@pytest.mark.parametrize("password", PASSWORDS)
def test_password_of_the_configuration_is_in_no_error(bluegreen: Bluegreen, live: Live, password: str) -> None:
    """Each spelling: in bluegreen.toml, in an environment of it, in DATABASE_URL, and with another mistake."""
    for number, dsn in enumerate(spellings(bluegreen.dsn, password).values(), PASSWORDS.index(password)):
        text = json.dumps(dsn)
        environment, toml = (
            ({"BLUEGREEN_DSN": ""}, f"dsn = {text}\n"),
            ({"BLUEGREEN_DSN": "", "DATABASE_URL": dsn}, ""),
            ({"BLUEGREEN_DSN": "", "BLUEGREEN_ENVIRONMENT": "here"}, f"[environments.here]\ndsn = {text}\n"),
            ({"BLUEGREEN_DSN": ""}, f"dsn = {text}\n[checks]\nsample = -1\n"),
            ({"BLUEGREEN_DSN": ""}, f"dsn = {text}\nd s n = 1\n"),
            ({}, f'[promote]\nvia = "pgbouncer"\npgbouncer.consoles = [{text}]\n'),
        )[number % 6]
        bluegreen.write("bluegreen.toml", toml)
        shown = written(bluegreen, "promote", **environment)
        assert "FIRST" not in shown, (dsn, toml)
        assert "SECOND" not in shown, (dsn, toml)
