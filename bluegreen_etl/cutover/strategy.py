"""What a cut-over asks of a way to hold readers off while the schemas are renamed."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from bluegreen_etl import db, errors
from bluegreen_etl.cutover.plan import Terms
from bluegreen_etl.model import Via

Say = Callable[[str], None]


class Patience(NamedTuple):
    """How long a way may be tried, and when who is in the way is cancelled (None: never), both in seconds."""

    max_wait: float
    cancel_after: float | None = None


class Way(Protocol):
    """How readers are held off: by locks on what they read, or by pausing the poolers that they come through."""

    @property
    def via(self) -> Via:
        """What the ledger calls it."""

    @property
    def max_wait(self) -> float:
        """For how many seconds it may be tried."""

    def hold(self, connection: db.Connection, number: int, send: Callable[[Terms], float]) -> float:
        """Send the transaction with readers held off, let them go on, and return for how many seconds they could wait.

        Args:
            number: of the try, from 1.
            send: sends it under these terms, and returns the time between its first lock and its end.

        Raises:
            LockNotObtained: readers were not to be held off in this try, and nothing was sent.
            psycopg.Error: what `send` has raised; readers go on then too.
        """

    def learn(self, connection: db.Connection, number: int, error: BaseException) -> None:
        """Take note of why a try has failed, before the next one."""

    def rest(self, number: int) -> float:
        """Say for how many seconds nothing is held after the try of this number."""

    def given_up(self, connection: db.Connection) -> errors.LockNotObtained:
        """Return the error that says who was in the way until the end."""
