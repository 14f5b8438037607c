"""Arguments, environment, bluegreen.toml, ledger and files as nobody should write them: no traceback, known exit codes.

Each case is made from its number alone. A case that fails is shown with all that it needs to be run by hand.
"""

import gzip
import json
import os
import random
import zipfile
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin
from uuid import uuid4

import click
import msgspec
import psycopg
import pytest
from psycopg import conninfo, sql
from psycopg.rows import TupleRow

from bluegreen_etl import config
from bluegreen_etl.cli.root import COMMANDS, main
from tests.support import PLAYERS, TEAMS, Bluegreen, Live

CASES = 500 if "CI" in os.environ else 50  # of each of the four kinds
DOCUMENTED = range(7)
# These start servers, or wait for something that does not come.
LEFT_OUT = {"demo", "embedded"}
LEFT_OUT_OPTIONS = {"watch", "dsn", "log_format", "debug", "help", "json", "config"}
TEXTS = ["", " ", "x", "teams", "league", "a'b\"c", "ü\u202e", "\x1b[2J", "%s {x} $1", "-1", "0", "1", "2", "99", "nan"]
TEXTS += [
    "inf",
    "1e400",
    "9" * 30,
    "1 %",
    "data",
    "data/teams.csv",
    "*",
    "nope.csv",
    "http://127.0.0.1:1/x.csv",
    "x" * 300,
]
WORDS = ["live", "ddl", "files", "backup", "ignore", "rebuild", "follow", "csv", "json", "parquet", "delete", "null"]
WORDS += ["before-promote", "none", "LATIN1", "UTF8", ",", ";", ">=1", "5 %", "warn", "a.sql", "id", "name"]
VALUES: list[Any] = [
    *TEXTS,
    *WORDS,
    -1,
    0,
    1,
    2,
    2**40,
    2**63,
    10**30,
    -0.5,
    1.5,
    1e300,
    float("inf"),
    float("nan"),
    True,
]
VALUES += [False, [], ["x"], ["teams"], ["id", "name"], [1], {}, {"a": 1}, {"id": "id"}, {"severity": "warn"}, [["id"]]]
WORK = [
    "load data",
    "load data --promote",
    "load data/teams.csv",
    "check live",
    "promote",
    "rollback",
    "status",
    "diff",
]
WORK += ["history", "report", "prune", "doctor", "backup --to backups", "open", "promote --dry-run", "run -- true"]

VARIABLES = [
    "BLUEGREEN_SCHEMA",
    "BLUEGREEN_ENVIRONMENT",
    "BLUEGREEN_CONFIG",
    "BLUEGREEN_METRICS",
    "BLUEGREEN_LOG_FORMAT",
]
VARIABLES += ["PGAPPNAME", "PGOPTIONS", "PGCONNECT_TIMEOUT", "LC_ALL", "TZ", "TMPDIR", "PATH", "NO_COLOR", "COLUMNS"]
PIECES = [b"\0", b"\xff", b'"', b"\n", b"\r", b",", b"{", b"[", b"\\", b"\x1b", b"1e999", b"\xef\xbb\xbf"]
SUFFIXES = [
    "csv",
    "tsv",
    "json",
    "ndjson",
    "parquet",
    "csv.gz",
    "json.gz",
    "csv.zst",
    "csv.bz2",
    "csv.xz",
    "csv.zip",
    "zip",
]
MEMBERS = ["../teams.csv", "/teams.csv", "a/b/teams.csv", "teams.csv\0"]


class Case(NamedTuple):
    """A command as it is run, and what it finds."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    found: str = ""


def failure(bluegreen: Bluegreen, case: Case) -> str | None:
    """Run a case; return what went wrong in a way that nobody has planned."""
    running = bluegreen.start(*case.arguments, **case.environment)
    _, stderr = running.communicate(timeout=60)
    if running.returncode in DOCUMENTED and "Traceback" not in stderr and "this is a bug" not in stderr:
        return None
    return f"{case}\nexit code {running.returncode}\n{stderr[-2000:]}"


def chances(kind: str) -> Iterator[random.Random]:
    """Yield the chance of each case."""
    for number in range(CASES):
        yield random.Random(f"{kind} {number}")


# ---- arguments and environment


def some_arguments(chance: random.Random) -> tuple[str, ...]:
    """Return a command with options of its own and values that may fit."""
    name = chance.choice([name for name in COMMANDS if name not in LEFT_OUT])
    command = main.get_command(click.Context(main), name)
    assert command
    arguments = [name]
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            arguments += [chance.choice(TEXTS) for _ in range(chance.choice([0, 1, 1, 1, 2]))]
        elif isinstance(parameter, click.Option) and chance.random() < 0.2 and parameter.name not in LEFT_OUT_OPTIONS:
            kinds = parameter.type.choices if isinstance(parameter.type, click.Choice) else TEXTS
            value = [] if parameter.is_flag else [str(chance.choice(list(kinds)))]
            arguments += [chance.choice(parameter.opts), *value]
    return tuple(arguments) if name != "run" else (*arguments[:1], "--", "true")


def test_arguments_and_environment(bluegreen: Bluegreen, live: Live) -> None:
    """Every command with its options, and variables with values that may fit."""
    bluegreen.write_league()
    found = []
    for chance in chances("arguments"):
        environment = {name: chance.choice([*TEXTS, "\udcff"]) for name in VARIABLES if chance.random() < 0.1}
        found.append(failure(bluegreen, Case(some_arguments(chance), environment)))
    assert [each for each in found if each] == []


# ---- bluegreen.toml


def keys(kind: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:  # noqa: ANN401 - any type of a field
    """Yield every key that bluegreen.toml may have, with names of this test's tables and columns."""
    if get_origin(kind) is Annotated:
        yield from keys(get_args(kind)[0], path)
    elif isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        for field in msgspec.structs.fields(kind):
            yield from keys(field.type, (*path, field.encode_name))
    elif get_origin(kind) is dict:
        for name in ("teams", "name"):
            yield from keys(get_args(kind)[1], (*path, name))
    elif get_origin(kind) in {Union, UnionType}:
        for inner in get_args(kind):
            yield from keys(inner, path)
    else:
        yield path


KEYS = sorted({key for key in keys(config.Settings) if key[0] not in {"dsn", "hooks", "pg_bindir"}})


def toml(value: Any) -> str:  # noqa: ANN401 - any value of TOML
    """Return a value as TOML writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {toml(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return str(value) if isinstance(value, float) else json.dumps(value)


def some_toml(chance: random.Random) -> str:
    """Return one to three settings, most of them with a value that does not fit."""
    chosen = chance.sample(KEYS, chance.choice([1, 1, 2, 3]))
    return "".join(f"{'.'.join(map(json.dumps, key))} = {toml(chance.choice(VALUES))}\n" for key in chosen)


def test_configuration(bluegreen: Bluegreen, live: Live) -> None:
    """Every key of bluegreen.toml, with values of every type."""
    bluegreen.write_league()
    bluegreen.write("a.sql", "SELECT id FROM teams WHERE id < 0")
    found = []
    for chance in chances("configuration"):
        text = some_toml(chance)
        bluegreen.write("bluegreen.toml", text)
        found.append(failure(bluegreen, Case(tuple(chance.choice(WORK).split()), {}, text)))
    assert [each for each in found if each] == []


# ---- files


def some_file(chance: random.Random) -> tuple[str, bytes]:
    """Return the name and the bytes of a data file that was damaged, or is called as what it is not."""
    rows = [{"id": 1, "name": "Ajax"}, {"id": 2, "name": None}]
    data = chance.choice(
        [TEAMS, PLAYERS, json.dumps(rows), "\n".join(map(json.dumps, rows)), "id\tname\n1\t\\N\n"]
    ).encode()
    for _ in range(chance.choice([0, 1, 1, 5])):
        place = chance.randrange(len(data) + 1)
        piece = chance.choice(
            [b"\0", b"\xff", b'"', b"\n", b"\r", b",", b"{", b"[", b"\\", b"\x1b", b"1e999", b"\xef\xbb\xbf"]
        )
        data = data[:place] + piece * chance.choice([1, 1, 1000]) + data[place + chance.choice([0, 1, 5]) :]
    if chance.random() < 0.2:
        data = gzip.compress(data)[: chance.choice([None, 5, -4])]
    return f"teams.{chance.choice(SUFFIXES)}", data


def test_files(bluegreen: Bluegreen, live: Live) -> None:
    """Damaged, cut short, packed, or in another format than their names say."""
    bluegreen.write("teams.csv", TEAMS)
    found = []
    for number, chance in enumerate(chances("files")):
        name, data = some_file(chance)
        path = bluegreen.write(f"{number}/{name}", data)
        if chance.random() < 0.1:
            with zipfile.ZipFile(path := path.with_name("teams.zip"), "w") as archive:
                archive.writestr(chance.choice([name, *MEMBERS]), data)
        options = chance.choice([[], ["--structure", "files"], ["--reject-limit", "100"], ["--dry-run"]])
        case = Case(
            ("load", str(path.parent.relative_to(bluegreen.directory)), *options), {}, f"{path.name}: {data[:300]!r}"
        )
        found.append(failure(bluegreen, case))
    assert [each for each in found if each] == []


# ---- the ledger

ODD = {
    "text": ["odd", "", "\x1b[2J", "x" * 1000],
    "jsonb": ["{}", "[]", "null", '[{"a": 1}]', '"text"', "1", '[["1", "2", "3"]]'],
    "timestamp with time zone": ["infinity", "-infinity", "0001-01-01 BC", "1970-01-01"],
    "double precision": ["NaN", "Infinity", "-1", "1e300"],
    "boolean": ["true", "false"],
    "ARRAY": ["{}", "{NULL}", "{a,b,c}"],
    "uuid": ["00000000-0000-0000-0000-000000000000"],
    "pg_lsn": ["0/0", "FFFFFFFF/FFFFFFFF"],
    "inet": ["::1"],
    "xid8": ["0", "18446744073709551615"],
    "oid": ["0", "1", "4294967295"],
}
NUMBERS = ["0", "-1", "1", "2147483647"]


def damage(dsn: str, chance: random.Random) -> str:
    """Change one thing in the ledger; return the statement."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        columns = connection.execute(
            "SELECT table_name, column_name, data_type FROM information_schema.columns "
            "WHERE table_schema = 'bluegreen' ORDER BY 1, 2"
        ).fetchall()
        table, column, kind = chance.choice(columns)
        change = chance.choice(
            ["UPDATE bluegreen.{t} SET {c} = {v}"] * 7
            + ["ALTER TABLE bluegreen.{t} ALTER {c} DROP NOT NULL; UPDATE bluegreen.{t} SET {c} = NULL"] * 2
            + ["DELETE FROM bluegreen.{t}", "DROP TABLE bluegreen.{t} CASCADE"]
            + ["ALTER TABLE bluegreen.{t} DROP COLUMN {c} CASCADE"]
        )
        value = sql.Literal(chance.choice(ODD.get(kind, NUMBERS)))
        statement = sql.SQL(change).format(t=sql.Identifier(table), c=sql.Identifier(column), v=value)
        for place in {each[0] for each in columns}:
            connection.execute(sql.SQL("ALTER TABLE bluegreen.{} DISABLE TRIGGER ALL").format(sql.Identifier(place)))
        try:
            connection.execute(statement)
        except psycopg.Error:  # a column that is a key, or no such value
            return "nothing"
        return statement.as_string()


@pytest.fixture
def original(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow], superuser: psycopg.Connection[TupleRow]
) -> str:
    """DSN of a database with releases, one of them open, checks and cut-overs, whose ledger has no checks left."""
    bluegreen.write_league()
    bluegreen.write("checks/a.sql", "-- severity: warn\nSELECT id FROM teams")
    for command in (
        "load data --promote --checks checks",
        "rollback",
        "promote 2",
        "load data --checks checks",
        "open",
    ):
        bluegreen(*command.split())
    bluegreen("copy", "4", "teams", "data/teams.csv", "--part", "1")
    constraints = (
        "SELECT conrelid::regclass::text, conname FROM pg_constraint "
        "WHERE contype = 'c' AND connamespace = 'bluegreen'::regnamespace"
    )
    for table, name in superuser.execute(constraints).fetchall():
        superuser.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"'.encode())
    connection.close()
    superuser.close()
    return bluegreen.dsn


def test_ledger(original: str, bluegreen: Bluegreen, administrator: psycopg.Connection[TupleRow], server: str) -> None:
    """Each column of the ledger with odd values, tables without rows, and tables and columns that are gone."""
    user, name = (str(conninfo.conninfo_to_dict(original)[key]) for key in ("user", "dbname"))
    found = []
    for chance in chances("ledger"):
        copy = f"fuzz_{uuid4().hex[:12]}"
        places = {"copy": sql.Identifier(copy), "name": sql.Identifier(name), "user": sql.Identifier(user)}
        administrator.execute(sql.SQL("CREATE DATABASE {copy} TEMPLATE {name} STRATEGY file_copy").format(**places))
        administrator.execute(sql.SQL("GRANT CREATE ON DATABASE {copy} TO {user}").format(**places))
        bluegreen.dsn = conninfo.make_conninfo(original, dbname=copy)
        statement = damage(conninfo.make_conninfo(server, dbname=copy), chance)
        command = chance.choice([*WORK, "finish 4", "abort 4", "copy 4 players data/players.csv --part 1", "check 3"])
        found.append(failure(bluegreen, Case(tuple(command.split()), {}, statement)))
        administrator.execute(sql.SQL("DROP DATABASE {copy} WITH (FORCE)").format(**places))
    bluegreen.dsn = original
    assert [each for each in found if each] == []
