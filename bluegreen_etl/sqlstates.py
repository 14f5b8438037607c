"""The driver's errors as the tool's own: chosen by SQLSTATE, never by message text."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import psycopg

from bluegreen_etl import errors

# An unknown function, relation, or other object.
_UNKNOWN_NAME = frozenset({"42883", "42P01", "42704"})
_IN_FUNCTION = re.compile(
    r"""PL/pgSQL[ ]function[ ](?P<plpgsql>[^\n]+?\))[ ]line[ ]\d+|SQL[ ]function[ ](?P<sql>"(?:[^"]|"")*")""",
    re.VERBOSE,
)
_RELEASE = re.compile(r'__r\d+(?="?\.)')


@contextmanager
def translated() -> Iterator[None]:
    """Raise the driver's errors as the tool's own, the original as `__cause__`."""
    try:
        yield
    except psycopg.Error as error:
        raise explain(error) from error


def explain(error: psycopg.Error) -> errors.BluegreenError:
    """Return the tool's error for a driver's error: chosen by SQLSTATE, never by message text."""
    state = error.sqlstate or ""
    said = error.diag.message_primary or str(error).strip().splitlines()[0]
    if function := function_without_path(error):
        schema = function.rpartition(".")[0] or "public"
        return errors.Refused(
            f"function {function} needs a search path: {said}",
            hint=f"Run `ALTER ROUTINE {function} SET search_path = {schema}, public;` with the schemas that its body "
            "uses, or write these schemas before the names in it.",
        )
    for prefix, make in _EXPLANATIONS:
        if state.startswith(prefix):
            return make(said)
    if isinstance(error, psycopg.OperationalError) and not state:
        return errors.ConnectionLost(f"the connection was lost: {one_line(error)}", hint=_HINT_LOST)
    return errors.ServerFailed(
        f"the server failed: {said} (SQLSTATE {state or 'none'})", hint=error.diag.message_hint or _HINT_OTHER
    )


def function_without_path(error: psycopg.Error) -> str | None:
    """Return the function, as SQL, whose body names an object that is not in the search path; None for other errors.

    A function of a release is returned under the live name.
    """
    found = _IN_FUNCTION.match(error.diag.context or "") if error.sqlstate in _UNKNOWN_NAME else None
    return _RELEASE.sub("", found["plpgsql"] or found["sql"]) if found else None


def no_connection(error: psycopg.Error, secrets: Iterable[str]) -> errors.BluegreenError:
    """Return the tool's error for a failed connection, which usually has no SQLSTATE; it shows none of the secrets."""
    if error.sqlstate:
        return explain(error)
    said = one_line(error)
    for secret in secrets:
        said = said.replace(f'"{secret}"', '"…"')
    return errors.NoConnection(f"no connection to the server: {said}", hint=_HINT_CONNECTION)


def one_line(error: BaseException) -> str:
    """Return an error's message in one line."""
    return " ".join(str(error).split())


_HINT_CONNECTION = (
    "Check that the server runs, and that `--dsn`, `DATABASE_URL` or PG* name it; try the same with `psql`."
)
_HINT_LOST = "Check that the server runs again, then run the same command again."

_EXPLANATIONS: tuple[tuple[str, Callable[[str], errors.BluegreenError]], ...] = (
    ("42501", lambda said: errors.NotPermitted(f"the role lacks a privilege: {said}", hint=_HINT_PRIVILEGE)),
    (
        "55P03",
        lambda said: errors.LockNotObtained(
            f"another session has locked a table that is needed: {said}",
            hint="Live is unchanged. Run it again; pg_locks shows who holds the lock.",
        ),
    ),
    (
        "53100",
        lambda said: errors.NoRoom(
            f"the server's disk is full: {said}", hint="Free space, then run the same command again."
        ),
    ),
    ("53200", lambda said: errors.ServerFailed(f"the server is out of memory: {said}", hint=_HINT_MEMORY)),
    (
        "53300",
        lambda said: errors.NoConnection(f"the server has no free connection: {said}", hint=_HINT_SLOTS),
    ),
    ("08", lambda said: errors.ConnectionLost(f"the connection was lost: {said}", hint=_HINT_LOST)),
    (
        "57P",
        lambda said: errors.ConnectionLost(f"the server ended the connection: {said}", hint=_HINT_LOST),
    ),
)

_HINT_PRIVILEGE = (
    "Run `bluegreen doctor`: it lists the missing privileges with the statements that grant them (docs/privileges.md)."
)
_HINT_OTHER = "Run it with `--debug` for the traceback; the server's log has the statement."
_HINT_MEMORY = "Check max_locks_per_transaction and work_mem."
_HINT_SLOTS = "Use fewer connections with `--jobs`, or raise max_connections."
