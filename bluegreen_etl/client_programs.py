"""PostgreSQL's own client programs: find one that is at least as new as the server."""

import re
import shutil
from functools import cache
from pathlib import Path

from bluegreen_etl import child_process, embedded, errors

_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


def client_program(name: str, *, server_major: int, directory: str | None = None) -> Path:
    """Return a PostgreSQL client program at least as new as the server; the closest version wins.

    Raises:
        ServerFailed: none is installed, or all are older than the server.
    """
    places = [Path(directory)] if directory else [*_search_path(name), embedded.bin_directory()]
    found = {}
    for place in places:
        program = place / name if place else None
        if program is not None and program.is_file():
            found[program] = _major(program)
    fitting = [(major, program) for program, major in found.items() if major >= server_major]
    if fitting:
        return min(fitting, key=lambda pair: pair[0])[1]
    seen = ", ".join(f"{program} is version {major}" for program, major in found.items()) or "none is installed"
    raise errors.NoProgram(
        f"no {name} of PostgreSQL {server_major} or newer found: {seen}",
        hint=f"Install postgresql-client-{server_major}, set `pg_bindir`, "
        "or run `pip install 'bluegreen-etl[embedded]'`.",
    )


def _search_path(name: str) -> list[Path]:
    found = shutil.which(name)
    # Debian's pg_dump on PATH is a wrapper that asks for a cluster; the versions are next to each other.
    own = [Path(found).parent] if found and Path(found).resolve().name != "pg_wrapper" else []
    return [*sorted(Path("/usr/lib/postgresql").glob("*/bin")), *own]


@cache
def _major(program: Path) -> int:
    match = _VERSION.search(child_process.output([program, "--version"], environment={}))
    return int(match[1]) if match else 0
