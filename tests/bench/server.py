"""The server that the benchmarks load into: the embedded one with its own defaults, new for every call."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import conninfo
from psycopg.rows import TupleRow

from bluegreen_etl import client_programs, embedded


class Server:
    """A running server, and a directory for the files of the benchmark that it can read."""

    def __init__(self, dsn: str, directory: Path, data: Path) -> None:
        self.dsn = dsn
        self.directory = directory
        self._data = data
        self._psql = client_programs.client_program("psql", server_major=0)

    def connect(self) -> psycopg.Connection[TupleRow]:
        """Return a connection in autocommit mode that reads times as the files have them."""
        return psycopg.connect(self.dsn, autocommit=True, options="-c TimeZone=UTC -c client_min_messages=warning")

    def psql(self, *arguments: str) -> tuple[str, ...]:
        """Return the command that has psql run something, up to the first error."""
        return (str(self._psql), "--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1", "-d", self.dsn, *arguments)

    def url(self, host: str = "") -> str:
        """Return the address for programs that want a password, or a host: libpq takes the last one it reads."""
        parts = conninfo.conninfo_to_dict(self.dsn)
        return f"postgresql://{parts['user']}:none@{host}/{parts['dbname']}?host={quote(self.socket)}"

    @property
    def socket(self) -> str:
        """The directory of its socket."""
        return str(conninfo.conninfo_to_dict(self.dsn)["host"])

    def seconds(self) -> float:
        """Return the CPU seconds of its processes, those that have ended included: their parent has them."""
        postmaster = psutil.Process(int((self._data / "postmaster.pid").read_text().split()[0]))
        while True:
            own = postmaster.cpu_times()
            try:
                times = [own, *(child.cpu_times() for child in postmaster.children())]
            except psutil.NoSuchProcess:
                continue
            ended = own.children_user + own.children_system
            again = postmaster.cpu_times()
            # Otherwise a process has ended meanwhile, and would be counted twice or not at all.
            if again.children_user + again.children_system == ended:
                return sum(one.user + one.system for one in times) + ended


@contextmanager
def running(*, fsync: bool = True) -> Iterator[Server]:
    """Yield a new server, which is gone with all its files after the body; `fsync` False takes the disk out of it."""
    with tempfile.TemporaryDirectory(prefix="bluegreen-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # the server reads the files too, as another user where we are root
        data = directory / "server"
        dsn = embedded.start(data)
        try:
            server = Server(dsn, directory, data)
            with server.connect() as connection:
                connection.execute("ALTER SYSTEM SET fsync = on" if fsync else "ALTER SYSTEM SET fsync = off")
                connection.execute("SELECT pg_reload_conf()")
            yield server
        finally:
            embedded.stop(data)
