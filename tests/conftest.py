"""A real PostgreSQL for every test that needs one: a server for the session, a fresh database for each test."""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from hypothesis import settings
from psycopg import conninfo, sql
from psycopg.rows import TupleRow

from tests import servers, warm
from tests.support import Bluegreen, Live

MAX_WORKERS = 4  # more would end before the tests that measure waiting, which run one after the other
MEASURE_WAITING = {
    "test_torn_reads",
    "test_locks",
    "test_pgbouncer_pause",
    "test_blockers",
    "test_old_snapshots",
    "test_scale",
}
# Files whose module fixture takes seconds: a server or a build of their own, which a second worker would make too.
SHARE_A_FIXTURE = {"test_server_crash", "test_package", "test_bench", "test_replicas", "test_publications", "test_page"}
# Files in which one test takes ten seconds or more.
LONG = {"test_real_data", "test_recipes", "test_nothing_forgotten", "test_readme", "test_distributed", "test_remote"}

# Hypothesis has a profile `ci` of its own, which it takes where the variable CI is set; here it tries more examples.
settings.register_profile("ci", settings.get_profile("ci"), max_examples=300)
settings.register_profile("developer", max_examples=30, deadline=None)
settings.load_profile("ci" if "CI" in os.environ else "developer")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the suite run on another major version: `scripts/test --postgres 15`."""
    parser.addoption("--postgres", type=int, default=18, help="major version of the server that the tests start")


def pytest_xdist_auto_num_workers() -> int:
    """Return one worker per core; each starts its own server, because some tests fill a whole server's lock table.

    A server that is given exists once, so all tests run in this process then.
    """
    return 0 if "BLUEGREEN_TEST_DSN" in os.environ else min(os.cpu_count() or 1, MAX_WORKERS)


@pytest.hookimpl(tryfirst=True)  # before xdist looks at the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests that measure waiting on one worker, and start what takes long first.

    Two storms at once would measure each other. xdist starts the largest group first, then single tests in their order:
    a long one at the end would leave the other workers idle.
    """
    for item in items:
        if item.path.stem in MEASURE_WAITING:
            item.add_marker(pytest.mark.xdist_group("waiting"))
        elif item.path.stem in SHARE_A_FIXTURE:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    if hasattr(config, "workerinput"):  # without workers, the order of the rings
        items.sort(key=lambda item: (item.path.stem not in LONG, "concurrency" not in item.path.parts))


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    """DSN of the server: BLUEGREEN_TEST_DSN, or a server that is started for the session."""
    warm.start()
    if given := os.environ.get("BLUEGREEN_TEST_DSN"):
        yield given
        return
    major = request.config.getoption("--postgres")
    with servers.place() as directory, servers.running(major, directory / "data") as own:
        yield own.dsn


@pytest.fixture(scope="module")
def administrator(server: str) -> Iterator[psycopg.Connection[TupleRow]]:
    """The connection that creates and drops the tests' databases."""
    with psycopg.connect(server, autocommit=True) as opened:
        yield opened


@pytest.fixture
def database(server: str, administrator: psycopg.Connection[TupleRow]) -> Iterator[str]:
    """DSN of a fresh database for one test, as superuser."""
    name = sql.Identifier(f"test_{uuid4().hex[:12]}")
    # The default strategy writes each page to the log, which takes twice as long.
    administrator.execute(sql.SQL("CREATE DATABASE {} STRATEGY file_copy").format(name))
    yield conninfo.make_conninfo(server, dbname=name.as_string().strip('"'))
    administrator.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


@pytest.fixture
def dsn(database: str) -> str:
    """DSN that the test's programs use: that of a superuser; in acceptance/ that of a plain role."""
    return database


@pytest.fixture
def superuser(database: str) -> Iterator[psycopg.Connection[TupleRow]]:
    """A superuser's connection to the test's database, in autocommit mode."""
    with psycopg.connect(database, autocommit=True) as opened:
        yield opened


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
    """A small live league, created without bluegreen: teams and players with a foreign key between them."""
    connection.execute(Live.DDL)
    # A session reports its writes up to ten seconds late: a load that starts earlier would count them as new.
    connection.execute("SELECT pg_stat_force_next_flush()")
    return Live(dsn)
