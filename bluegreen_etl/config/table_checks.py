"""What bluegreen.toml may declare about a table's rows: `[tables.NAME.checks]`, checked on every release.

Each of them may be a table of its own where more is to be said: `not_null = true` is short for `not_null = {}`, and
`not_null = { severity = "warn" }` only warns.
"""

from typing import Annotated

import msgspec

from bluegreen_etl import model

Percent = Annotated[str, msgspec.Meta(pattern=r"^\d{1,10}(\.\d{1,10})? ?%$")]
Limit = Annotated[str, msgspec.Meta(pattern=r"^(>=|<=|!=|>|<|=) ?\d{1,18}$")]
Value = int | float | str
Rows = Annotated[int, msgspec.Meta(ge=0, le=10**18)]
Values = Annotated[tuple[Value | bool, ...], msgspec.Meta(min_length=1)]
Names = Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


class Declared(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all: what the number of offending rows means, in the words of a check's file."""

    severity: model.Severity = model.Severity.ERROR
    error_if: Limit = "!=0"
    warn_if: Limit = "!=0"
    tags: tuple[str, ...] = ()


class AcceptedValues(Declared, frozen=True, kw_only=True):
    """Every value is one of these, or null."""

    values: Values


class Relationships(Declared, frozen=True, kw_only=True):
    """Every value, unless null, is in column `field` of table `to`."""

    to: str
    field: str


class InRange(Declared, frozen=True, kw_only=True):
    """Every value, unless null, lies between the two, which belong to it."""

    min: Value | None = None
    max: Value | None = None

    def __post_init__(self) -> None:
        """Refuse a range without ends."""
        _need_one("min", self.min, "max", self.max)


class Matches(Declared, frozen=True, kw_only=True):
    """Every value, unless null, matches a regular expression of PostgreSQL's."""

    pattern: str


class Freshness(Declared, frozen=True, kw_only=True):
    """The newest value is no older than an interval, such as `2 days`."""

    max_age: str


class MaxChange(Declared, frozen=True, kw_only=True):
    """The same number on live's table is no further away than this."""

    max_change: Percent


class Unique(Declared, frozen=True, kw_only=True):
    """No two rows have the same values in all of these columns, unless one is null."""

    columns: Names


class RowCount(Declared, frozen=True, kw_only=True):
    """The table has so many rows."""

    min: Rows | None = None
    max: Rows | None = None

    def __post_init__(self) -> None:
        """Refuse a range without ends."""
        _need_one("min", self.min, "max", self.max)


class Expression(Declared, frozen=True, kw_only=True):
    """No row makes a condition false; as with CHECK, null is not false."""

    sql: str


class RowsAgainstLive(Declared, frozen=True, kw_only=True):
    """The table does not lose, or win, more than this of live's rows."""

    max_drop: Percent | None = None
    max_growth: Percent | None = None

    def __post_init__(self) -> None:
        """Refuse a check of nothing."""
        _need_one("max_drop", self.max_drop, "max_growth", self.max_growth)


class KeysAgainstLive(Declared, frozen=True, kw_only=True):
    """Of live's keys no more than this are missing."""

    columns: Names
    max_vanished: Percent


class ColumnChecks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Checks of one column."""

    not_null: Annotated[bool | Declared, msgspec.Meta(description="no value is null")] = False
    unique: Annotated[bool | Declared, msgspec.Meta(description="no two values are equal, unless null")] = False
    accepted_values: Annotated[
        Values | AcceptedValues | None, msgspec.Meta(description="every value is one of these, or null")
    ] = None
    relationships: Annotated[
        Relationships | None, msgspec.Meta(description="every value, unless null, is in column `field` of table `to`")
    ] = None
    in_range: Annotated[
        InRange | None, msgspec.Meta(description="every value, unless null, lies between the two, which belong to it")
    ] = None
    matches: Annotated[
        str | Matches | None,
        msgspec.Meta(description="every value, unless null, matches a regular expression of PostgreSQL's"),
    ] = None
    freshness: Annotated[
        str | Freshness | None,
        msgspec.Meta(description="the newest value is no older than an interval, such as `2 days`"),
    ] = None
    nulls_against_live: Annotated[
        Percent | MaxChange | None,
        msgspec.Meta(description="how far the share of nulls may be from live's, in points of percent"),
    ] = None
    distinct_against_live: Annotated[
        Percent | MaxChange | None,
        msgspec.Meta(description="how far the number of different values may be from live's"),
    ] = None
    sum_against_live: Annotated[
        Percent | MaxChange | None, msgspec.Meta(description="how far the sum may be from live's")
    ] = None
    mean_against_live: Annotated[
        Percent | MaxChange | None, msgspec.Meta(description="how far the mean may be from live's")
    ] = None


class TableChecks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Checks of the table's rows; [the page on checks](checks.md#declared) explains them.

    Each may hold `severity`, `error_if`, `warn_if` and `tags` too, as a table.
    """

    columns: dict[str, ColumnChecks] = {}
    unique: Annotated[
        tuple[Names | Unique, ...],
        msgspec.Meta(
            description="lists of columns: no two rows have the same values in all of them, unless one is null"
        ),
    ] = ()
    row_count: Annotated[RowCount | None, msgspec.Meta(description="the table has so many rows")] = None
    expressions: Annotated[
        dict[str, str | Expression],
        msgspec.Meta(description="by name: a condition in SQL that is false of no row; null is not false"),
    ] = {}
    rows_against_live: Annotated[
        RowsAgainstLive | None,
        msgspec.Meta(description="the table does not lose, or win, more than this of live's rows"),
    ] = None
    keys_against_live: Annotated[
        KeysAgainstLive | None, msgspec.Meta(description="of live's keys no more than this are missing")
    ] = None


def _need_one(first: str, one: object, second: str, other: object) -> None:
    if one is None and other is None:
        raise ValueError(f"needs `{first}` or `{second}`")
