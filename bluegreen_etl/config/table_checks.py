"""Checks that bluegreen.toml declares for a table: `[tables.NAME.checks]`, run on every release.

Each check has a short form and a table form: `not_null = true` is short for `not_null = {}`, and
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
    """Base of all checks: the keys that a check in a file has too."""

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
    """Every value, unless null, is between `min` and `max`, inclusive."""

    min: Value | None = None
    max: Value | None = None

    def __post_init__(self) -> None:
        """Refuse a range without bounds."""
        _need_one("min", self.min, "max", self.max)


class Matches(Declared, frozen=True, kw_only=True):
    """Every value, unless null, matches a regular expression of PostgreSQL."""

    pattern: str


class Freshness(Declared, frozen=True, kw_only=True):
    """The newest value is no older than an interval, such as `2 days`."""

    max_age: str


class MaxChange(Declared, frozen=True, kw_only=True):
    """The number differs from that of live's table by at most this."""

    max_change: Percent


class Unique(Declared, frozen=True, kw_only=True):
    """No two rows have the same values in all of these columns, unless one is null."""

    columns: Names


class RowCount(Declared, frozen=True, kw_only=True):
    """The number of rows is between `min` and `max`."""

    min: Rows | None = None
    max: Rows | None = None

    def __post_init__(self) -> None:
        """Refuse a range without bounds."""
        _need_one("min", self.min, "max", self.max)


class Expression(Declared, frozen=True, kw_only=True):
    """No row makes a condition false; as with CHECK, null is not false."""

    sql: str


class RowsAgainstLive(Declared, frozen=True, kw_only=True):
    """The table loses or gains at most this share of live's rows."""

    max_drop: Percent | None = None
    max_growth: Percent | None = None

    def __post_init__(self) -> None:
        """Refuse a check without a limit."""
        _need_one("max_drop", self.max_drop, "max_growth", self.max_growth)


class KeysAgainstLive(Declared, frozen=True, kw_only=True):
    """At most this share of live's keys is missing."""

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
        InRange | None, msgspec.Meta(description="every value, unless null, is between `min` and `max`, inclusive")
    ] = None
    matches: Annotated[
        str | Matches | None,
        msgspec.Meta(description="every value, unless null, matches a regular expression of PostgreSQL"),
    ] = None
    freshness: Annotated[
        str | Freshness | None,
        msgspec.Meta(description="the newest value is no older than an interval, such as `2 days`"),
    ] = None
    nulls_against_live: Annotated[
        Percent | MaxChange | None,
        msgspec.Meta(description="how much the share of nulls may differ from live's, in percentage points"),
    ] = None
    distinct_against_live: Annotated[
        Percent | MaxChange | None,
        msgspec.Meta(description="how much the number of distinct values may differ from live's"),
    ] = None
    sum_against_live: Annotated[
        Percent | MaxChange | None, msgspec.Meta(description="how much the sum may differ from live's")
    ] = None
    mean_against_live: Annotated[
        Percent | MaxChange | None, msgspec.Meta(description="how much the mean may differ from live's")
    ] = None


class TableChecks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Checks of the table's rows; [the page on checks](checks.md#declared) explains them.

    In its table form, each check also accepts `severity`, `error_if`, `warn_if` and `tags`.
    """

    columns: dict[str, ColumnChecks] = {}
    unique: Annotated[
        tuple[Names | Unique, ...],
        msgspec.Meta(
            description="lists of columns: no two rows have the same values in all of them, unless one is null"
        ),
    ] = ()
    row_count: Annotated[RowCount | None, msgspec.Meta(description="the number of rows is between `min` and `max`")] = (
        None
    )
    expressions: Annotated[
        dict[str, str | Expression],
        msgspec.Meta(description="by name: an SQL condition that is false for no row; null is not false"),
    ] = {}
    rows_against_live: Annotated[
        RowsAgainstLive | None,
        msgspec.Meta(description="the table loses or gains at most this share of live's rows"),
    ] = None
    keys_against_live: Annotated[
        KeysAgainstLive | None, msgspec.Meta(description="at most this share of live's keys is missing")
    ] = None


def _need_one(first: str, one: object, second: str, other: object) -> None:
    if one is None and other is None:
        raise ValueError(f"needs `{first}` or `{second}`")
