"""Other loaders, used where they are installed; none is a dependency.

Each is called as its own documentation shows for reloading a table, with the columns' types if it accepts them.
"""

import importlib.util
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.bench import data
from tests.bench.server import Server

Environment = tuple[tuple[str, str], ...]
Command = tuple[tuple[str, ...], Environment]


class Peer(NamedTuple):
    """A loader: how it is installed, which formats it reads, how it is found, and its command for a file."""

    name: str
    install: str
    formats: tuple[str, ...]
    find: Callable[[], str | None]
    command: Callable[[str, Server, str, str], Command]


def _directory(module: str) -> Path | None:
    found = importlib.util.find_spec(module)
    return Path(found.origin).parent if found and found.origin else None


@cache
def _find_duckdb() -> str | None:
    """Return what has DuckDB load its postgres extension: a wheel's file, or the one that INSTALL fetched before."""
    wheel = _directory("duckdb_extension_postgres_scanner")
    for name in [str(file) for file in wheel.glob("extensions/*/*.duckdb_extension")] if wheel else ["postgres"]:
        command = [sys.executable, "-c", "import duckdb, sys; duckdb.execute(sys.argv[1])", f"LOAD '{name}'"]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return name
    return None


def _duckdb(program: str, server: Server, file: str, form: str) -> Command:
    types = {"int": "INTEGER", "text": "VARCHAR", "numeric": "DECIMAL(9,2)", "float8": "DOUBLE"}
    columns = "{" + ", ".join(f"{name}: '{types.get(kind, kind)}'" for name, kind in data.COLUMNS.items()) + "}"
    how = {
        "parquet": f"read_parquet('{file}')",
        "ndjson": f"read_json('{file}', format = 'newline_delimited', columns = {columns})",
        "json": f"read_json('{file}', format = 'array', columns = {columns})",
    }.get(form, f"read_csv('{file}', header = true, columns = {columns})")
    statement = (
        f"LOAD '{program}'; ATTACH '{server.url()}' AS target (TYPE postgres); INSERT INTO target.bench.t FROM {how}"
    )
    return (sys.executable, "-c", "import duckdb, sys; duckdb.execute(sys.argv[1])", statement), ()


def _find_dlt() -> str | None:
    needed = ("dlt", "psycopg2", "pyarrow", "duckdb")
    return str(Path(__file__).with_name("dlt_load.py")) if all(map(_directory, needed)) else None


def _dlt(program: str, server: Server, file: str, form: str) -> Command:
    place = ("DLT_DATA_DIR", str(server.directory / "work" / "dlt"))
    quiet = (("RUNTIME__DLTHUB_TELEMETRY", "false"), ("RUNTIME__LOG_LEVEL", "ERROR"), place)
    return (sys.executable, program, file, form, server.url("localhost")), quiet


def _find_sling() -> str | None:
    """Return sling's program: out of the wheel that holds it, or on the path; sling's other wheel only downloads it."""
    machine = "arm64" if platform.machine() in {"aarch64", "arm64"} else "amd64"
    wheel = _directory(f"sling_linux_{machine}")
    return str(wheel / "bin" / f"sling-linux-{machine}") if wheel else shutil.which("sling")


def _sling(program: str, server: Server, file: str, form: str) -> Command:
    # Objects would otherwise fill one column of type jsonb.
    options = {"ndjson": "{format: jsonlines, flatten: true}", "json": "{format: json, flatten: true}"}.get(form, "{}")
    source = ("--src-stream", f"file://{file}", "--src-options", options)
    target = ("--tgt-conn", server.url(), "--tgt-object", "bench.t", "--mode", "full-refresh")
    quiet = (("SLING_DISABLE_TELEMETRY", "true"), ("SLING_HOME_DIR", str(server.directory / "work" / "sling")))
    return (program, "run", *source, *target), quiet


def _pgloader(program: str, server: Server, file: str, form: str) -> Command:
    options = ("--with", "skip header = 1", "--with", "fields optionally enclosed by '\"'")
    dialect = ("--with", "fields escaped by double-quote", "--with", "fields terminated by ','")
    target = f"postgresql://postgres@unix:{server.socket}:5432/postgres?tablename=bench.t"
    return (program, "--type", form, *options, *dialect, file, target), ()


ALL = (
    Peer(
        "duckdb",
        "pip install duckdb==1.5.5 duckdb-extension-postgres-scanner==1.5.5",
        data.FORMATS,
        _find_duckdb,
        _duckdb,
    ),
    Peer(
        "dlt",
        "pip install 'dlt[postgres]' duckdb==1.5.5 pyarrow",
        ("csv", "csv.gz", "ndjson", "parquet"),
        _find_dlt,
        _dlt,
    ),
    Peer("sling", "pip install sling-linux-amd64", ("csv", "csv.gz", "ndjson", "json"), _find_sling, _sling),
    Peer("pgloader", "apt-get install pgloader", ("csv",), lambda: shutil.which("pgloader"), _pgloader),
)
