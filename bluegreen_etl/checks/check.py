"""What a check is, and what its number of offending rows means."""

import operator
import re

from psycopg import sql

from bluegreen_etl import model
from bluegreen_etl.model import CheckStatus, Severity

_OPERATORS = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "!=": operator.ne,
}
_THRESHOLD = re.compile(r"(?P<operator>>=|<=|!=|>|<|=) ?(?P<number>\d+)")


class Threshold(model.Record, frozen=True, kw_only=True):
    """A number of offending rows from which on something is the case, such as `>10`."""

    operator: str
    number: int

    def reached(self, failures: int) -> bool:
        """Say whether so many offending rows are what it means."""
        return bool(_OPERATORS[self.operator](failures, self.number))

    def reachable(self, limit: int) -> bool:
        """Say whether counting up to `limit` can tell."""
        return self.number + (self.operator not in {">=", "<"}) <= limit


ANY = Threshold(operator="!=", number=0)


class Scan(model.Record, frozen=True, kw_only=True):
    """How one scan of a table answers a check: a number it gathers, and the offending rows that this means.

    `failures` mentions psql.NUMBER, and psql.LIVE_NUMBER where the same number of live's table is needed.
    """

    number: sql.Composable
    failures: sql.Composable


class Compared(model.Record, frozen=True, kw_only=True):
    """What of live a check needs beside the table of its own: that table, and columns of it."""

    table: str
    columns: tuple[str, ...] = ()


class Check(model.Record, frozen=True, kw_only=True):
    """One check: a SELECT of offending rows, and what their number means, as in dbt.

    Args:
        limit: at most so many offending rows are counted.
        table: the one that it is about, where it is about one.
        scan: how a scan that it shares with others answers it, where one can.
        compared: where it is compared with live, what live must have for that.
        file: where it was found; None for those that are declared, or come with the tool.
    """

    name: str
    query: sql.Composable
    table: str | None = None
    scan: Scan | None = None
    compared: Compared | None = None
    severity: Severity = Severity.ERROR
    error_if: Threshold = ANY
    warn_if: Threshold = ANY
    limit: int | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    file: str | None = None

    def verdict(self, failures: int) -> CheckStatus:
        """Return what so many offending rows mean; `error_if` says nothing where the severity is warn."""
        if self.severity is Severity.ERROR and self.error_if.reached(failures):
            return CheckStatus.FAILED
        return CheckStatus.WARNED if self.warn_if.reached(failures) else CheckStatus.PASSED


def threshold(text: str) -> Threshold:
    """Read a threshold: an operator and a number.

    Raises:
        ValueError: it is none.
    """
    match = _THRESHOLD.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return Threshold(operator=match["operator"], number=int(match["number"]))
