"""The PostgreSQL that is used when no connection is given."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from bluegreen_etl import embedded
from tests import servers

pytestmark = pytest.mark.usefixtures("server")  # its start makes the system user that every later one finds


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory for the data of a server of the test's own."""
    with servers.place() as directory:
        yield directory


def test_starting_twice_gives_the_same_server(place: Path) -> None:
    """It goes on running, keeps what is in it across a stop, and says whether it was running."""
    directory = place / "data"
    assert not embedded.stop(directory)
    try:
        dsn = embedded.start(directory)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (id int)")
            pid = connection.execute("SELECT pg_postmaster_start_time()").fetchone()
        assert embedded.start(directory) == dsn
        with psycopg.connect(dsn) as connection:
            assert connection.execute("SELECT pg_postmaster_start_time()").fetchone() == pid
        assert embedded.stop(directory)
        assert not embedded.stop(directory)
        with psycopg.connect(embedded.start(directory)) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
    finally:
        embedded.stop(directory)


def test_the_server_outlives_the_command_that_started_it(place: Path) -> None:
    """So that psql and the next command reach it, in the directory that BLUEGREEN_EMBEDDED_DIR names."""
    directory = place / "data"
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "BLUEGREEN", "DATABASE_URL"))}
    environment = {**clean, "BLUEGREEN_EMBEDDED_DIR": str(directory)}

    def bluegreen(*arguments: str) -> str:
        command = [sys.executable, "-m", "bluegreen_etl", *arguments]
        return subprocess.run(
            command, env=environment, cwd=place, capture_output=True, text=True, timeout=120, check=True
        ).stdout

    try:
        dsn = bluegreen("embedded", "start").strip()
        (place / "teams.csv").write_text("id,name\n1,Ajax\n")
        bluegreen("load", "teams.csv", "--schema", "league", "--promote")
        with psycopg.connect(dsn) as connection:
            assert connection.execute("SELECT name FROM league.teams").fetchall() == [("Ajax",)]
        assert '"connection": "the embedded server' in bluegreen("status", "--schema", "league", "--json")
    finally:
        bluegreen("embedded", "stop")
    assert not embedded.stop(directory)


def test_the_client_programs_come_with_it() -> None:
    """pg_dump is found where nothing else is installed."""
    directory = embedded.bin_directory()
    assert directory
    assert all((directory / program).is_file() for program in ("pg_dump", "pg_restore", "psql"))
