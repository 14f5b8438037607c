"""What a cut-over needs from a strategy that blocks readers while the schemas are renamed."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from bluegreen_etl import db, errors
from bluegreen_etl.cutover.plan import Terms
from bluegreen_etl.model import Via

Say = Callable[[str], None]


class Patience(NamedTuple):
    """For how many seconds to try, and after how many to cancel blockers (None: never)."""

    max_wait: float
    cancel_after: float | None = None


class Strategy(Protocol):
    """How readers are blocked: by locks on what they read, or by pausing the poolers that they connect through."""

    @property
    def via(self) -> Via:
        """Its name in the ledger."""

    @property
    def max_wait(self) -> float:
        """For how many seconds to try."""

    def hold(self, connection: db.Connection, number: int, send: Callable[[Terms], float]) -> float:
        """Send the transaction while readers are blocked, and return for how many seconds they could wait.

        Args:
            number: of the attempt, from 1.
            send: sends the transaction under these terms; returns the seconds from its first lock to its end.

        Raises:
            LockNotObtained: this attempt could not block readers, and sent nothing.
            psycopg.Error: from `send`; readers are no longer blocked then.
        """

    def learn(self, connection: db.Connection, number: int, error: BaseException) -> None:
        """Adapt the next attempt to the error of this one."""

    def rest(self, number: int) -> float:
        """Return the seconds to wait after the attempt of this number."""

    def given_up(self, connection: db.Connection) -> errors.LockNotObtained:
        """Return the error that names the blockers of the last attempt."""
