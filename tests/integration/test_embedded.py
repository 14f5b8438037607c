"""The PostgreSQL that is used when no connection is given."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from bluegreen_etl import config, db, embedded, errors
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
        bluegreen("load", "teams.csv", "--schema", "league", "--promote", "--dsn", "embedded")
        with psycopg.connect(dsn) as connection:
            assert connection.execute("SELECT name FROM league.teams").fetchall() == [("Ajax",)]
        assert '"connection": "--dsn or' in bluegreen("status", "--schema", "league", "--json", "--dsn", "embedded")
    finally:
        bluegreen("embedded", "stop")
    assert not embedded.stop(directory)


@pytest.mark.parametrize("name", ["data", f"{'long' * 14}/{'longer' * 8}"])
def test_no_directory_is_opened_to_others(place: Path, name: str) -> None:
    """Neither those above the data, nor that of the socket, which is another one if the path is too long for it."""
    private = place / "private"
    directory = private / "home" / name
    directory.parent.mkdir(parents=True)
    for parent in (private, private / "home"):
        parent.chmod(0o700)
    try:
        host = conninfo_to_dict(embedded.start(directory))["host"]
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (private, private / "home", directory, Path(str(host)))]
        assert modes == [0o700] * 4
        # New sessions find all that they need, also once the server has read its settings again.
        for _ in range(2):
            with psycopg.connect(embedded.start(directory), autocommit=True) as connection:
                connection.execute("DO $$ BEGIN PERFORM pg_reload_conf(); END $$")
    finally:
        assert embedded.stop(directory)
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


def test_job_without_a_server_is_refused(place: Path) -> None:
    """No terminal, or environments of which none was chosen: nothing is started, and the hint names both ways out."""
    directory = place / "data"
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "BLUEGREEN", "DATABASE_URL"))}
    command = [sys.executable, "-m", "bluegreen_etl", "load", "teams.csv", "--schema", "league"]
    (place / "teams.csv").write_text("id,name\n1,Ajax\n")

    def refused(*arguments: str) -> str:
        environment = {**clean, "BLUEGREEN_EMBEDDED_DIR": str(directory)}
        done = subprocess.run(
            [*command, *arguments],
            env=environment,
            cwd=place,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 2
        return done.stderr

    assert "no server was named, and without a terminal the embedded one is not used" in refused()
    (place / "bluegreen.toml").write_text('[environments.production]\ndsn = "postgresql://db.example/league"\n')
    assert "or say `--dsn embedded`" in refused()
    resolved = config.resolve({"schema": "league"}, file=str(place / "bluegreen.toml"), environ={})
    with pytest.raises(errors.BadConfiguration) as caught:
        db.server(resolved, print)
    assert caught.value.message == "no server was named, and none of the environments was chosen: production"
    assert not directory.exists()


def test_the_client_programs_come_with_it() -> None:
    """pg_dump is found where nothing else is installed."""
    directory = embedded.bin_directory()
    assert directory
    assert all((directory / program).is_file() for program in ("pg_dump", "pg_restore", "psql"))
