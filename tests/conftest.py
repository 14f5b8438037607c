"""A real PostgreSQL for every test that needs one: a server for the session, a fresh database for each test."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import conninfo, sql
from psycopg.rows import TupleRow

from tests import servers
from tests.support import Bluegreen, Live


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the suite run on another major version: `scripts/test --postgres 15`."""
    parser.addoption("--postgres", type=int, default=18, help="major version of the server that the tests start")


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    """DSN of the server: BLUEGREEN_TEST_DSN, or one that is started for the session."""
    if given := os.environ.get("BLUEGREEN_TEST_DSN"):
        yield given
        return
    major = request.config.getoption("--postgres")
    # Not below pytest's own directory: each session closes that to other users, and as root the server is one.
    with (
        tempfile.TemporaryDirectory(prefix="bluegreen-") as directory,
        servers.running(major, Path(directory) / "data") as dsn,
    ):
        yield dsn


@pytest.fixture
def dsn(server: str) -> Iterator[str]:
    """DSN of a fresh database of the test's own."""
    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    yield conninfo.make_conninfo(server, dbname=name)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def connection(dsn: str) -> Iterator[psycopg.Connection[TupleRow]]:
    """A connection to the test's database, in autocommit mode."""
    with psycopg.connect(dsn, autocommit=True) as opened:
        yield opened


@pytest.fixture
def bluegreen(dsn: str, tmp_path: Path) -> Bluegreen:
    """The executable, run in the test's directory against the test's database."""
    return Bluegreen(dsn, tmp_path)


@pytest.fixture
def live(connection: psycopg.Connection[TupleRow], dsn: str) -> Live:
    """A small league that was live before bluegreen came: teams and players with a foreign key between them."""
    connection.execute(Live.DDL)
    # A session reports what it has written up to ten seconds late; a load that begins before that would be misled.
    connection.execute("SELECT pg_stat_force_next_flush()")
    return Live(dsn)
