"""A streaming replica of the server: who has the release is reported, waited for, and never in doubt."""

import json
import re
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import conninfo, sql
from psycopg.rows import TupleRow

from tests import poolers, servers
from tests.acceptance.refusals import refused
from tests.concurrency.scene import wait_until
from tests.support import Bluegreen, Live


@pytest.fixture(scope="module")
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """DSNs of a server of this module's own, and of a standby of it."""
    major = request.config.getoption("--postgres")
    with (
        servers.place() as directory,
        servers.running(major, directory / "data") as primary,
        servers.place() as beside,
        primary.standby(beside) as standby,
    ):
        yield primary.dsn, standby


@pytest.fixture(scope="module")
def server(pair: tuple[str, str]) -> str:
    """The databases of these tests are made on the primary."""
    return pair[0]


@pytest.fixture
def standby(pair: tuple[str, str], dsn: str, superuser: psycopg.Connection[TupleRow]) -> Iterator[str]:
    """DSN of the test's database on the standby; the role may see how far that has replayed."""
    given = conninfo.conninfo_to_dict(dsn)
    superuser.execute(sql.SQL("GRANT pg_read_all_stats TO {}").format(sql.Identifier(str(given["user"]))))
    name = given["dbname"]
    with psycopg.connect(pair[1], autocommit=True) as there:
        wait_until(lambda: there.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).rowcount)
    yield conninfo.make_conninfo(pair[1], dbname=name)
    replay(pair[1], "resume")


def replay(standby: str, what: str) -> None:
    """Pause or resume the replay of the log."""
    with psycopg.connect(standby, autocommit=True) as connection:
        connection.execute(f"SELECT pg_wal_replay_{what}()")


@pytest.mark.usefixtures("live")
def test_replicas_with_the_release_are_named(bluegreen: Bluegreen, standby: str) -> None:
    """Promote and status report replicas, and wait on request; promote exits with 0, because live has changed."""
    bluegreen.write_league()
    bluegreen("load", "data")
    replay(standby, "pause")
    promoted = bluegreen("promote", "--wait-replicas=0.5")
    assert "replica standby lacks the release: streaming, " in promoted.stderr
    assert re.search(r"^replica +standby lacks the release: streaming, ", bluegreen("status").stdout, re.MULTILINE)
    behind = refused(bluegreen, "status", "--wait-replicas=0.5")
    assert behind.sentence.startswith("1 of 1 replicas lack release 2 after 0.5 s: standby lacks the release")
    assert "live release" in behind.stdout
    threading.Timer(3, replay, (standby, "resume")).start()
    [replica] = bluegreen.json("status", "--wait-replicas")["replicas"]
    assert replica["has_release"] is True
    # The readers of a replica are held off by the locks that it replays, also where a pooler is paused.
    with servers.place() as directory, poolers.running(bluegreen.dsn, directory, mode="transaction") as pooled:
        toml = f'[promote]\nvia = "pgbouncer"\npgbouncer.consoles = ["{poolers.console(pooled)}"]\n'
        bluegreen.write("bluegreen.toml", toml)
        back = bluegreen("rollback", "--wait-replicas", "--json")
    assert "there are replicas, and only locks block their readers" in back.stderr
    [replica] = json.loads(back.stdout)["replicas"]
    assert replica["has_release"] is True


@pytest.mark.usefixtures("live")
def test_a_standby_is_read_and_not_written(bluegreen: Bluegreen, standby: str) -> None:
    """Status, history and diff look there too; all others are refused with the reason."""
    bluegreen.write_league()
    bluegreen("load", "data", "--promote", "--wait-replicas")
    there = Bluegreen(standby, bluegreen.directory)
    assert there.json("status")["live"] == 2
    assert there.json("history")["cutovers"]
    assert there.json("diff")["number"] == 1
    for command in (("load", "data"), ("promote",), ("rollback",), ("prune",)):
        assert refused(there, *command).sentence.startswith("this server is a standby")


def test_a_long_query_on_a_replica(bluegreen: Bluegreen, live: Live, standby: str) -> None:
    """It holds the replay of the swap up there and sees its own release; live is not in doubt meanwhile."""
    bluegreen.write_league()
    bluegreen("load", "data")
    with psycopg.connect(standby) as reader:
        assert reader.execute("SELECT count(*) FROM league.players").fetchone() == (1,)
        begun = time.monotonic()
        [replica] = bluegreen.json("promote")["replicas"]
        assert time.monotonic() - begun < 30  # max_standby_streaming_delay: nobody waits for the replica
        assert replica["has_release"] is False
        assert reader.execute("SELECT count(*) FROM league.players").fetchone() == (1,)
    wait_until(lambda: bluegreen.json("status")["replicas"][0]["has_release"])
    with psycopg.connect(standby) as reader:
        assert reader.execute("SELECT count(*) FROM league.players").fetchone() == (3,)
    assert live.dump()
