"""What was done: loads of tables, checks, cut-overs; and who is told of it."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from bluegreen_etl.model.record import Record

_QUERY_SHOWN = 80  # characters of it


class TableLoad(Record, frozen=True, kw_only=True):
    """What the load of one table did. `frozen`: loaded with COPY FREEZE, so no old snapshot finds it empty.

    `rejected` rows of its files were broken; they are in the file `rejects`.
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
    """A share of a table's rows that came into an open release in one transaction, known by its `key`."""

    table: str
    key: str
    files: int
    rows: int
    bytes: int
    seconds: float


class CheckStatus(StrEnum):
    """What became of a check."""

    PASSED = "passed"
    WARNED = "warned"
    FAILED = "failed"
    BROKEN = "broken"  # the check itself could not be run: its author's error
    SKIPPED = "skipped"  # live lacks what it would compare with


class Severity(StrEnum):
    """Whether offending rows stop a release."""

    WARN = "warn"
    ERROR = "error"


class CheckResult(Record, frozen=True, kw_only=True):
    """One check run: `failures` offending rows, the first of them in `sample` under `columns`.

    `table` is the one that it is about, where it is about one; `stored` the one that holds all offending rows, where
    that was wanted.
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
    """Whether a cut-over promotes or rolls back; nothing else differs between the two commands."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"


class Via(StrEnum):
    """How readers are blocked while the schemas are renamed."""

    LOCKS = "locks"  # on everything that they read
    PGBOUNCER = "pgbouncer"  # the poolers that they connect through are paused


class EventKind(StrEnum):
    """What happened to a release, as the ledger's history stores it."""

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
    """What is done instead of a cut-over: printing its script, or carrying it out and taking it back."""

    SCRIPT = "script"
    REHEARSAL = "rehearsal"


class Cutover(Record, frozen=True, kw_only=True):
    """A cut-over that was committed. `held` is how long readers could be kept waiting, `waited` what earlier
    tries spent on locks; both in seconds. `token` tells this cut-over from every other try; a replica has it that has
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
    """A cut-over that was carried out up to its commit, and taken back; the figures are as a Cutover's."""

    live_schema: str
    direction: Direction
    to_number: int
    held: float
    tries: int
    waited: float
    via: Via


class Session(Record, frozen=True, kw_only=True):
    """Another session of the server that stands in the way; `age` is its transaction's, in seconds."""

    pid: int
    user: str | None
    application: str | None
    address: str | None
    state: str | None
    age: float | None
    query: str | None


class Watcher(Protocol):
    """Who is told how the work goes, and asked where only a person can answer."""

    def say(self, text: str) -> None:
        """Take a line of talk."""

    def stage(self, name: str, *, total: int = 0) -> None:
        """Learn that a stage begins; `total` is the bytes it will read, where that is known."""

    def copied(self, table: str, size: int) -> None:
        """Learn that `size` more bytes of a table's files were read; called from any thread."""

    def confirm(self, question: str, answer: str) -> bool:
        """Ask a person to type `answer`; False where nobody can be asked."""


_SHOWN = 60  # characters of a value


def rows_shown(check: CheckResult) -> str:
    """Return the first offending rows of a check, one a line, each value with its column and shortened."""
    lines = [
        ", ".join(f"{_shown(column)}={_shown(value)}" for column, value in zip(check.columns, row, strict=True))
        for row in check.sample
    ]
    return "\n".join(lines)


def _shown(value: str | None) -> str:
    """Return a value for people, on one line, whatever it would do to a terminal."""
    if value is None:
        return "null"
    short = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…"
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in short)


def sessions_shown(sessions: Sequence[Session]) -> str:
    """Return one line about all of them."""
    return "; ".join(session_shown(session) for session in sessions) or "nobody at this moment"


def session_shown(session: Session) -> str:
    """Return one line about a session that stands in the way."""
    age = f", transaction for {session.age:.1f} s" if session.age is not None else ""
    where = f" from {session.address}" if session.address else ""
    return (
        f"pid {session.pid} ({session.user or 'no role'}, {session.application or 'no application name'}{where}, "
        f"{session.state}{age}): {' '.join((session.query or '').split())[:_QUERY_SHOWN]}"
    )
