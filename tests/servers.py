"""PostgreSQL servers for the tests: the embedded one, or another major version where its programs are installed."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bluegreen_etl import embedded

# A lost test database is no loss; a crash of the machine is none of the crashes that the tests make.
SETTINGS = {"fsync": "off", "full_page_writes": "off", "max_connections": "100", "autovacuum_naptime": "5s"}


@contextmanager
def running(major: int, directory: Path) -> Iterator[str]:
    """Yield the DSN of a fresh server of a major version that lives as long as the body."""
    if major == 18:
        dsn = embedded.start(directory)
        try:
            yield _configured(dsn)
        finally:
            embedded.stop(directory)
        return
    bin_directory = _bin_directory(major)
    user = "postgres" if os.geteuid() == 0 else None
    directory.mkdir(parents=True)
    for parent in [directory, *directory.parents]:
        if user and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o055)
    if user:
        shutil.chown(directory, user)

    def pg(program: str, *arguments: str) -> None:
        command = [str(bin_directory / program), "-D", str(directory / "data"), *arguments]
        subprocess.run(command, check=True, user=user, stdout=subprocess.DEVNULL, cwd=directory)

    pg("initdb", "--auth=trust", "--encoding=utf8", "-U", "postgres")
    options = f"-h '' -k {directory} " + " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
    pg("pg_ctl", "-w", "-o", options, "-l", str(directory / "log"), "start")
    try:
        yield f"host={directory} user=postgres dbname=postgres"
    finally:
        pg("pg_ctl", "-w", "-m", "immediate", "stop")


def _configured(dsn: str) -> str:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for name, value in SETTINGS.items():
            connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        connection.execute("SELECT pg_reload_conf()")
    return dsn


def _bin_directory(major: int) -> Path:
    """Return where a version's programs are: Debian's, or a wheel's beside the tests' own packages."""
    found = Path(f"/usr/lib/postgresql/{major}/bin")
    if not (found / "initdb").exists():
        raise FileNotFoundError(f"no PostgreSQL {major} in {found}: install postgresql-{major}")
    return found
