"""What strangers have put on the role's search path is never called by a statement of the tool."""

import re
from collections.abc import Iterator
from itertools import product
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import TupleRow

import bluegreen_etl
from bluegreen_etl import queries
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
FILES = (
    "catalog",
    "checks",
    "citus",
    "cutover",
    "definition",
    "doctor",
    "ledger",
    "ledger_queries",
    "load_progress",
    "session",
)
# The types of what the tool's statements read: a decoy with exactly these wins over the server's own polymorphic one.
TYPES = (
    "text",
    "name",
    "oid",
    "integer",
    "bigint",
    "jsonb",
    "boolean",
    "regclass",
    "xid",
    "double precision",
    "timestamptz",
)
ARRAYS = ("text[]", "name[]", "oid[]", "integer[]", "smallint[]", "jsonb[]")
COMPARED = ("text", "name", "oid", "integer", "bigint", "jsonb")
OPERATORS = ("=", "<>", "<", ">", "<=", ">=", "||", "~", "!~", "~~", "!~~", "+", "-", "*", "->", "->>", "#>>", "?")


def functions_used() -> set[str]:
    """Return the names that the tool's SQL calls, by its own text, and those that its Python sends."""
    text = "\n".join(body for file in FILES for body in queries.blocks(file).values())
    return set(re.findall(r"\b([a-z_][a-z_0-9]*)\(", text)) | {"set_config", "current_setting", "left"}


def make_decoys(connection: Connection, schema: str, owner: str) -> int:
    """Make a decoy of each function and operator in a schema, each of which records its call."""
    known = {
        str(row[0])
        for row in connection.execute(
            "SELECT DISTINCT proname FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace"
        )
    }
    names = sorted(functions_used() & known)
    place = sql.Identifier(schema).as_string()
    body = "LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_catalog.nextval('decoys.called'); RETURN 1 / 0; END $$"
    made: list[str] = [
        f'CREATE FUNCTION {place}."{name}"({kind}) RETURNS text {body}' for name in names for kind in (*TYPES, *ARRAYS)
    ]
    made += [
        f'CREATE FUNCTION {place}."{name}"({one}, {two}) RETURNS text {body}'
        for name in names
        for one, two in product(("text", "name", "jsonb", "text[]", "oid[]"), ("text", "name"))
    ]
    made += [
        f"CREATE FUNCTION {place}.decoy({one}, {two}) RETURNS boolean {body}"
        for one, two in product(COMPARED, COMPARED)
    ]
    made += [
        f"CREATE OPERATOR {place}.{operator} (FUNCTION = {place}.decoy, LEFTARG = {one}, RIGHTARG = {two})"
        for operator in OPERATORS
        for one, two in product(COMPARED, COMPARED)
    ]
    role = sql.Identifier(owner).as_string()
    connection.execute(f"SET ROLE {role}".encode())
    connection.execute("SET check_function_bodies = off")
    connection.execute(";\n".join(made).encode())
    connection.execute("RESET ROLE")
    return len(made)


@pytest.fixture
def stranger(administrator: Connection) -> Iterator[str]:
    """A role without privileges; it is dropped after the test's database, with which its decoys go."""
    name = f"stranger_{uuid4().hex[:12]}"
    administrator.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
    yield name
    administrator.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def called(connection: Connection) -> bool:
    """Return whether a decoy was called; sequences do not roll back."""
    row = connection.execute("SELECT is_called FROM decoys.called").fetchone()
    return bool(row and row[0])


@pytest.mark.parametrize("place", ["public", "league"])
def test_no_decoy_is_called(
    stranger: str, bluegreen: Bluegreen, live: Live, connection: Connection, place: str
) -> None:
    """Every command, as a superuser: those of a release's life, and those that only look."""
    connection.execute("CREATE SCHEMA decoys; CREATE SEQUENCE decoys.called; GRANT USAGE ON SCHEMA decoys TO PUBLIC")
    connection.execute("GRANT USAGE ON SEQUENCE decoys.called TO PUBLIC")
    role = sql.Identifier(stranger)
    connection.execute(sql.SQL("GRANT CREATE, USAGE ON SCHEMA public, league TO {}").format(role))
    assert make_decoys(connection, place, stranger) > 1000
    if place == "league":
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("ALTER DATABASE {} SET search_path = league, public").format(name))
    connection.execute("""
        CREATE SCHEMA app;
        CREATE VIEW app.names AS SELECT id, name FROM league.players;
        CREATE MATERIALIZED VIEW app.squads AS SELECT * FROM league.teams;
        CREATE TABLE app.booked (id int REFERENCES league.players, PRIMARY KEY (id));
        INSERT INTO app.booked VALUES (1);
    """)
    bluegreen.write_league()
    bluegreen.write("checks/named.sql", "SELECT id FROM players WHERE name IS NULL")
    bluegreen.write("fill.sql", "SELECT 1")
    bluegreen.write(
        "bluegreen.toml", 'schema = "league"\n[checks]\npath = "checks"\n[promote]\non_orphans = "delete"\n'
    )
    for command in (
        ("doctor",),
        ("load", "data"),
        ("status",),
        ("check", "2"),
        ("diff",),
        ("promote", "--dry-run"),
        ("promote",),
        ("doctor",),
        ("check", "live", "--store-failures"),
        ("rollback",),
        ("history",),
        ("report",),
        ("backup", "--to", "kept"),
        ("prune", "--keep", "0"),
        ("open",),
        ("copy", "3", "teams", "data/teams.csv", "--part", "1"),
        ("copy", "3", "players", "data/players.csv", "--part", "1"),
        ("finish", "3"),
    ):
        bluegreen(*command)
        assert not called(connection), command
    kept = next((bluegreen.directory / "kept").iterdir())
    bluegreen("restore", str(kept))
    bluegreen("run", "--", "true", code=3)  # its tables are empty
    assert not called(connection)
    with bluegreen_etl.release(bluegreen.dsn, schema="league", promote=False) as release:
        release.copy("teams", [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}])
        release.copy("players", str(bluegreen.directory / "data/players.csv"))
    assert not called(connection)
