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
    """A condition on the number of offending rows, such as `>10`."""

    operator: str
    number: int

    def reached(self, failures: int) -> bool:
        """Say whether a number of offending rows meets the condition."""
        return bool(_OPERATORS[self.operator](failures, self.number))

    def reachable(self, limit: int) -> bool:
        """Say whether counting up to `limit` can decide the condition."""
        return self.number + (self.operator not in {">=", "<"}) <= limit


ANY = Threshold(operator="!=", number=0)


class Scan(model.Record, frozen=True, kw_only=True):
    """How one scan of a table answers a check: a number that it computes, and the offending rows that follow from it.

    `failures` mentions NUMBER, and LIVE_NUMBER if it needs the same number of live's table.
    """

    number: sql.Composable
    failures: sql.Composable


class Compared(model.Record, frozen=True, kw_only=True):
    """The table of live that a check compares with, and the columns that it needs there."""

    table: str
    columns: tuple[str, ...] = ()


class Check(model.Record, frozen=True, kw_only=True):
    """One check: a SELECT of offending rows, and what their number means, as in dbt.

    Args:
        limit: count no more offending rows.
        table: the table that the check is about, if there is one.
        scan: how a scan shared with other checks answers it, if one can.
        compared: what live must have for a comparison.
        file: the file that the check was read from; None if it is declared or built in.
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
        """Return the verdict on a number of offending rows; `error_if` does not count if the severity is warn."""
        if self.severity is Severity.ERROR and self.error_if.reached(failures):
            return CheckStatus.FAILED
        return CheckStatus.WARNED if self.warn_if.reached(failures) else CheckStatus.PASSED


def threshold(text: str) -> Threshold:
    """Read a threshold: an operator and a number.

    Raises:
        ValueError: the text is no threshold.
    """
    match = _THRESHOLD.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return Threshold(operator=match["operator"], number=int(match["number"]))
