"""Results of loads, checks and cut-overs, and the watcher of a command's progress."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from bluegreen_etl.model.record import Record

_QUERY_SHOWN = 80  # characters of a query


class TableLoad(Record, frozen=True, kw_only=True):
    """The load of one table. `frozen`: loaded with COPY FREEZE, so an older snapshot sees the rows.

    `rejected` counts the rejected rows; the file `rejects` holds them.
    """

    table: str
    files: int
    rows: int
    bytes: int
    seconds: float
    frozen: bool
    rejected: int = 0
    rejects: str | None = None


class Part(Record, frozen=True, kw_only=True):
    """Rows of a table that were copied into an open release in one transaction, identified by `key`."""

    table: str
    key: str
    files: int
    rows: int
    bytes: int
    seconds: float


class CheckStatus(StrEnum):
    """The result of a check."""

    PASSED = "passed"
    WARNED = "warned"
    FAILED = "failed"
    BROKEN = "broken"  # the check could not be run: an error of its author
    SKIPPED = "skipped"  # live lacks the object to compare with


class Severity(StrEnum):
    """Whether offending rows make a release fail."""

    WARN = "warn"
    ERROR = "error"


class CheckResult(Record, frozen=True, kw_only=True):
    """One run of a check: `failures` offending rows, the first of them in `sample` under `columns`.

    `table` is the checked table, if the check is about one; `stored` the table that holds all offending rows, if they
    were stored.
    """

    name: str
    table: str | None
    severity: Severity
    status: CheckStatus
    failures: int
    seconds: float
    columns: tuple[str, ...] = ()
    sample: tuple[tuple[str | None, ...], ...] = ()
    message: str | None = None
    stored: str | None = None


class Direction(StrEnum):
    """Whether a cut-over promotes or rolls back; the commands differ in nothing else."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"


class Via(StrEnum):
    """How readers are blocked while the schemas are renamed."""

    LOCKS = "locks"  # on every relation that they read
    PGBOUNCER = "pgbouncer"  # their poolers are paused


class EventKind(StrEnum):
    """An event of a release, as the ledger stores it."""

    ABORTED = "aborted"
    ADOPTED = "adopted"
    BACKED_UP = "backed up"
    FAILED = "failed"
    LOAD_BEGAN = "load began"
    OPENED = "opened"
    PROMOTED = "promoted"
    PRUNED = "pruned"
    READY = "ready"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled back to"


class Trial(StrEnum):
    """A trial instead of a cut-over: print its script, or run it and roll it back."""

    SCRIPT = "script"
    REHEARSAL = "rehearsal"


class Cutover(Record, frozen=True, kw_only=True):
    """A committed cut-over. `held` is the longest time that readers were blocked, `waited` the time that earlier
    attempts spent on locks; both in seconds. `token` identifies this attempt; a replica has the cut-over when it has
    replayed the server's log up to `lsn`.
    """

    live_schema: str
    direction: Direction
    to_number: int
    from_number: int | None
    committed_at: datetime
    held: float | None
    tries: int
    waited: float
    by: str
    token: UUID
    via: Via
    lsn: str | None


class Rehearsal(Record, frozen=True, kw_only=True):
    """A cut-over that was run up to its commit, and rolled back; the figures are those of a Cutover."""

    live_schema: str
    direction: Direction
    to_number: int
    held: float
    tries: int
    waited: float
    via: Via


class Session(Record, frozen=True, kw_only=True):
    """A blocker: another session of the server; `age` is that of its transaction, in seconds."""

    pid: int
    user: str | None
    application: str | None
    address: str | None
    state: str | None
    age: float | None
    query: str | None


class Watcher(Protocol):
    """Callbacks for the progress of a command, and for its questions."""

    def say(self, text: str) -> None:
        """Log a line."""

    def stage(self, name: str, *, total: int = 0) -> None:
        """Note that a stage begins; `total` is the number of bytes it will read, if known."""

    def copied(self, table: str, size: int) -> None:
        """Note that `size` more bytes of a table's files were read; called from any thread."""

    def confirm(self, question: str, answer: str) -> bool:
        """Ask a person to type `answer`; return False if nobody can answer."""


_SHOWN = 60  # characters of a value


def rows_shown(check: CheckResult) -> str:
    """Return the sample of offending rows, one per line: each value with its column, shortened."""
    lines = [
        ", ".join(f"{_shown(column)}={_shown(value)}" for column, value in zip(check.columns, row, strict=True))
        for row in check.sample
    ]
    return "\n".join(lines)


def _shown(value: str | None) -> str:
    """Return a value on one line, with control characters escaped."""
    if value is None:
        return "null"
    short = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…"
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in short)


def sessions_shown(sessions: Sequence[Session]) -> str:
    """Return one line that describes all sessions."""
    return "; ".join(session_shown(session) for session in sessions) or "no session at this moment"


def session_shown(session: Session) -> str:
    """Return one line that describes a blocker."""
    age = f", transaction for {session.age:.1f} s" if session.age is not None else ""
    where = f" from {session.address}" if session.address else ""
    return (
        f"pid {session.pid} ({session.user or 'no role'}, {session.application or 'no application name'}{where}, "
        f"{session.state}{age}): {' '.join((session.query or '').split())[:_QUERY_SHOWN]}"
    )
