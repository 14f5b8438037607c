"""PgBouncer for the tests: the installed one, or Debian's package unpacked next to the tests' packages."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from tests import servers

# Includes the libraries that PgBouncer needs and a minimal Debian lacks.
PACKAGES = ("pgbouncer", "libc-ares2", "libevent-2.1-7")


@contextmanager
def running(dsn: str, directory: Path, *, mode: str) -> Iterator[str]:
    """Yield a DSN that leads through a PgBouncer in a pool mode to the database of `dsn`."""
    program, environment = _program()
    server = conninfo.conninfo_to_dict(dsn)
    target = f"host={server['host']} port={server.get('port') or 5432} user={server['user']}"
    (directory / "pgbouncer.ini").write_text(
        f"[databases]\n* = {target}\n[pgbouncer]\npool_mode = {mode}\n"
        f"unix_socket_dir = {directory}\nlisten_port = 6432\nauth_type = any\n"
        f"admin_users = {server['user']}\nlogfile = \npidfile = \n"
    )
    # PgBouncer refuses to run as root; the server's socket is for the server's own user.
    socket = Path(str(server["host"]))
    user = (socket.owner() if socket.is_absolute() else "nobody") if os.geteuid() == 0 else None
    if user:
        shutil.chown(directory, user)
    process = subprocess.Popen(
        [program, "--quiet", str(directory / "pgbouncer.ini")],
        env={**os.environ, **environment},
        user=user,
        stderr=subprocess.DEVNULL,
    )
    try:
        pooled = conninfo.make_conninfo(dsn, host=str(directory), port=6432)
        _wait_for(pooled)
        yield pooled
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_for(dsn: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            psycopg.connect(dsn).close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def _program() -> tuple[str, dict[str, str]]:
    """Return PgBouncer's program and the environment it needs; skip the test if there is none."""
    if found := shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin"):
        return found, {}
    cache = Path(sys.prefix) / "pgbouncer"
    with servers.alone():
        if not cache.exists():
            _unpack(cache)
    [program] = cache.glob("usr/sbin/pgbouncer")
    [libraries] = cache.glob("usr/lib/*-linux-gnu*")
    return str(program), {"LD_LIBRARY_PATH": str(libraries)}


def _unpack(cache: Path) -> None:
    new = cache.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    try:
        subprocess.run(["apt-get", "download", *PACKAGES], cwd=new, check=True, capture_output=True)
        for package in new.glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, new], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no PgBouncer: install it ({error})")
    new.rename(cache)  # atomic: an interrupted session leaves no partial directory


def console(pooled: str) -> str:
    """Return the DSN of the admin console of the PgBouncer that a DSN leads through."""
    return conninfo.make_conninfo(pooled, dbname="pgbouncer")


def is_paused(pooled: str) -> bool:
    """Return whether the pooler makes clients of the database wait."""
    with psycopg.connect(console(pooled), autocommit=True) as connection:
        cursor = connection.execute("SHOW DATABASES")
        names = [column.name for column in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    name = conninfo.conninfo_to_dict(pooled)["dbname"]
    return any(row["paused"] for row in rows if row["name"] == name)
