"""A disk that fills up during COPY: one clear sentence, live intact, and nothing left behind."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import conninfo, sql

from tests import servers
from tests.acceptance.refusals import refused
from tests.support import Bluegreen, Live

MEGABYTE = 1 << 20


@pytest.fixture
def small_disk(server: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """DSN of a database on a file system of so many megabytes."""
    name = f"small_{uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        [data] = connection.execute("SHOW data_directory").fetchone() or ("",)
        place = Path(data).parent / name
        place.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={request.param}m", "tmpfs", str(place)],
            capture_output=True,
            check=False,
        )
        if done.returncode:
            pytest.skip("only root can mount a small file system")
        try:
            (place / "space").mkdir()
            owner = Path(data).stat()
            shutil.chown(place, owner.st_uid, owner.st_gid)
            shutil.chown(place / "space", owner.st_uid, owner.st_gid)
            identifier = sql.Identifier(name)
            connection.execute(
                sql.SQL("CREATE TABLESPACE {} LOCATION {}").format(identifier, sql.Literal(str(place / "space")))
            )
            connection.execute(sql.SQL("CREATE DATABASE {} TABLESPACE {}").format(identifier, identifier))
            yield conninfo.make_conninfo(server, dbname=name)
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier))
            connection.execute(sql.SQL("DROP TABLESPACE {}").format(identifier))
        finally:
            subprocess.run(["umount", str(place)], check=True)
            place.rmdir()


@pytest.mark.parametrize(
    ("small_disk", "size"),
    [pytest.param(26, 30, id="one connection"), pytest.param(45, 60, id="dealt")],
    indirect=["small_disk"],
)
def test_a_full_disk_is_reported_and_nothing_has_changed(small_disk: str, size: int, tmp_path: Path) -> None:
    """Also the space: what the failed load has written is given back."""
    with servers.plain_role(small_disk) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        bluegreen = Bluegreen(dsn, tmp_path)
        connection.execute("CREATE SCHEMA league; CREATE TABLE league.words AS SELECT 1 AS id, 'one' AS word")
        row = f"1,{'x' * 990}\n"
        bluegreen.write("data/words.csv", "id,word\n" + row * (size * MEGABYTE // len(row)))
        refusal = refused(bluegreen, "load", "data", "--jobs", "2", live=Live(dsn))
        assert refusal.sentence.startswith("the server's disk is full: could not extend file")
        status = connection.execute("SELECT status FROM bluegreen.release ORDER BY number").fetchall()
        assert status == [("live",), ("failed",)]
        assert connection.execute("SELECT to_regnamespace('league__r2')").fetchone() == (None,)
        connection.execute("CREATE TABLE public.filler AS SELECT repeat('x', 900) FROM generate_series(1, 5000)")
