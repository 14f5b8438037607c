"""Turn what bluegreen.toml declares about tables and columns into checks: SELECTs of offending rows.

Checks that one scan of the table can answer say how, so that many of them share it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from psycopg import sql

from bluegreen_etl import config
from bluegreen_etl.checks.check import Check, Compared, Scan, threshold
from bluegreen_etl.checks.psql_variables import LIVE, LIVE_NUMBER, NUMBER, SHADOW, bound, mentions
from bluegreen_etl.config import table_checks

_COUNT = sql.SQL("count(*)")


def from_settings(tables: Mapping[str, config.TableSettings]) -> list[Check]:
    """Return the declared checks, table by table, in the order of the file."""
    return [check for name, table in tables.items() for check in _of_table(name, table.checks)]


def _of_table(table: str, wanted: table_checks.TableChecks) -> Iterator[Check]:
    """Yield the checks of one table: its own, then those of its columns."""
    if wanted.row_count:
        yield _row_count(table, wanted.row_count)
    if wanted.rows_against_live:
        yield _rows_against_live(table, wanted.rows_against_live)
    if wanted.keys_against_live:
        yield _keys_against_live(table, wanted.keys_against_live)
    for each in wanted.unique:
        keys = each if isinstance(each, table_checks.Unique) else table_checks.Unique(columns=each)
        yield _unique(table, ",".join(keys.columns), keys, keys.columns)
    for name, text in wanted.expressions.items():
        expression = text if isinstance(text, table_checks.Expression) else table_checks.Expression(sql=text)
        # The text is the project's own SQL; the server runs it read only.
        condition = sql.SQL("NOT ({}\n)").format(sql.SQL(expression.sql))
        yield _rows(_Declared(table, f"expressions.{name}", expression), condition)
    for column, checks in wanted.columns.items():
        for kind, (short, make) in _OF_COLUMNS.items():
            given = getattr(checks, kind)
            if given is not None and given is not False:
                yield make(table, column, given if isinstance(given, table_checks.Declared) else short(given))


class _Declared(NamedTuple):
    """A declaration of a check: its table, its name within the table's checks, and its settings."""

    table: str
    name: str
    wanted: table_checks.Declared


def _check(declared: _Declared, query: sql.Composable, scan: Scan | None = None, *needs: str) -> Check:
    """Return a check; `needs` are the columns of live that a comparison needs."""
    table, name, wanted = declared
    return Check(
        name=f"{table}.{name}",
        table=table,
        query=query,
        severity=wanted.severity,
        error_if=threshold(wanted.error_if),
        warn_if=threshold(wanted.warn_if),
        tags=wanted.tags,
        scan=scan,
        compared=Compared(table=table, columns=needs) if mentions(query, LIVE) else None,
    )


def _place(schema: sql.Composable, table: str) -> sql.Composed:
    return sql.SQL("{}.{}").format(schema, sql.Identifier(table))


def _listed(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _percent(text: str) -> sql.Literal:
    return sql.Literal(Decimal(text.rstrip("% ")))


# ---- what is wrong with single rows


def _rows(declared: _Declared, condition: sql.Composable) -> Check:
    """Return a check whose offending rows meet a condition."""
    query = sql.SQL("SELECT * FROM {} WHERE {}").format(_place(SHADOW, declared.table), condition)
    count = sql.SQL("count(*) FILTER (WHERE {})").format(condition)
    return _check(declared, query, Scan(number=count, failures=NUMBER))


def _not_null(table: str, column: str, wanted: table_checks.Declared) -> Check:
    return _rows(_Declared(table, f"{column}.not_null", wanted), sql.SQL("{} IS NULL").format(sql.Identifier(column)))


def _accepted_values(table: str, column: str, wanted: table_checks.AcceptedValues) -> Check:
    values = sql.SQL(", ").join(map(sql.Literal, wanted.values))
    condition = sql.SQL("{} NOT IN ({})").format(sql.Identifier(column), values)
    return _rows(_Declared(table, f"{column}.accepted_values", wanted), condition)


def _in_range(table: str, column: str, wanted: table_checks.InRange) -> Check:
    condition = _outside(sql.Identifier(column), wanted.min, wanted.max)
    return _rows(_Declared(table, f"{column}.in_range", wanted), condition)


def _outside(value: sql.Composable, least: object, most: object) -> sql.Composed:
    ends = [("{} < {}", least), ("{} > {}", most)]
    return sql.SQL(" OR ").join(sql.SQL(part).format(value, sql.Literal(end)) for part, end in ends if end is not None)


def _matches(table: str, column: str, wanted: table_checks.Matches) -> Check:
    condition = sql.SQL("{}::text !~ {}").format(sql.Identifier(column), sql.Literal(wanted.pattern))
    return _rows(_Declared(table, f"{column}.matches", wanted), condition)


# ---- relations between rows, and to other tables


def _unique_column(table: str, column: str, wanted: table_checks.Declared) -> Check:
    return _unique(table, column, wanted, (column,))


def _unique(table: str, name: str, wanted: table_checks.Declared, columns: Sequence[str]) -> Check:
    query = sql.SQL(
        "SELECT {columns}, count(*) AS rows FROM {table} WHERE ({columns}) IS NOT NULL "
        "GROUP BY {columns} HAVING count(*) > 1"
    ).format(columns=_listed(columns), table=_place(SHADOW, table))
    return _check(_Declared(table, f"{name}.unique", wanted), query)


def _relationships(table: str, column: str, wanted: table_checks.Relationships) -> Check:
    query = sql.SQL(
        "SELECT own.* FROM {table} AS own WHERE own.{column} IS NOT NULL "
        "AND NOT EXISTS (SELECT FROM {to} AS other WHERE other.{field} = own.{column})"
    ).format(
        table=_place(SHADOW, table),
        column=sql.Identifier(column),
        to=_place(SHADOW, wanted.to),
        field=sql.Identifier(wanted.field),
    )
    return _check(_Declared(table, f"{column}.relationships", wanted), query)


def _keys_against_live(table: str, wanted: table_checks.KeysAgainstLive) -> Check:
    query = sql.SQL(
        "WITH vanished AS (SELECT {columns} FROM {live} WHERE ({columns}) IS NOT NULL "
        "EXCEPT SELECT {columns} FROM {shadow}) SELECT * FROM vanished "
        "WHERE (SELECT count(*) FROM vanished) > (SELECT count(*) FROM {live}) * {percent} / 100"
    ).format(
        columns=_listed(wanted.columns),
        live=_place(LIVE, table),
        shadow=_place(SHADOW, table),
        percent=_percent(wanted.max_vanished),
    )
    return _check(_Declared(table, "keys_against_live", wanted), query, None, *wanted.columns)


# ---- one number about all rows


def _measured(declared: _Declared, number: sql.Composable, condition: sql.Composable, *needs: str) -> Check:
    """Return a check whose offending row is a number of the table, and live's if the condition mentions it."""
    table = declared.table
    label = declared.name.rpartition(".")[2].removesuffix("_against_live")
    shown = sql.SQL("own.number AS {}").format(sql.Identifier(label))
    source = sql.SQL("(SELECT {} AS number FROM {}) AS own").format(number, _place(SHADOW, table))
    if mentions(condition, LIVE_NUMBER):
        shown += sql.SQL(", live.number AS live")
        source += sql.SQL(", (SELECT {} AS number FROM {}) AS live").format(number, _place(LIVE, table))
    values = {NUMBER: sql.Identifier("own", "number"), LIVE_NUMBER: sql.Identifier("live", "number")}
    query = sql.SQL("SELECT {} FROM {} WHERE {}").format(shown, source, bound(condition, values))
    failures = sql.SQL("coalesce(({})::int, 0)").format(condition)
    return _check(declared, query, Scan(number=number, failures=failures), *needs)


def _row_count(table: str, wanted: table_checks.RowCount) -> Check:
    return _measured(_Declared(table, "row_count", wanted), _COUNT, _outside(NUMBER, wanted.min, wanted.max))


def _freshness(table: str, column: str, wanted: table_checks.Freshness) -> Check:
    condition = sql.SQL("coalesce({} < now() - {}::interval, true)").format(NUMBER, sql.Literal(wanted.max_age))
    newest = sql.SQL("max({})").format(sql.Identifier(column))
    return _measured(_Declared(table, f"{column}.freshness", wanted), newest, condition)


def _rows_against_live(table: str, wanted: table_checks.RowsAgainstLive) -> Check:
    ends = [
        ("{} < {} * (1 - {} / 100.0)", wanted.max_drop),
        ("{} > {} * (1 + {} / 100.0)", wanted.max_growth),
    ]
    conditions = [sql.SQL(part).format(NUMBER, LIVE_NUMBER, _percent(end)) for part, end in ends if end is not None]
    further = sql.SQL(" OR ").join(conditions)
    return _measured(_Declared(table, "rows_against_live", wanted), _COUNT, further)


def _nulls(column: sql.Identifier) -> sql.Composed:
    return sql.SQL("round(100.0 * count(*) FILTER (WHERE {} IS NULL) / nullif(count(*), 0), 3)").format(column)


def _against_live(
    kind: str, number: Callable[[sql.Identifier], sql.Composed], condition: str
) -> Callable[[str, str, table_checks.MaxChange], Check]:
    """Return a function that creates checks of one number of a column; null differs from every number."""
    text = f"coalesce({condition}, ({{own}} IS NULL) <> ({{live}} IS NULL))"

    def make(table: str, column: str, wanted: table_checks.MaxChange) -> Check:
        far = sql.SQL(text).format(own=NUMBER, live=LIVE_NUMBER, percent=_percent(wanted.max_change))
        declared = _Declared(table, f"{column}.{kind}", wanted)
        return _measured(declared, number(sql.Identifier(column)), far, column)

    return make


_FURTHER = "abs({own} - {live}) > abs({live}) * {percent} / 100.0"


def _aggregate(text: str) -> Callable[[sql.Identifier], sql.Composed]:
    return lambda column: sql.SQL(text).format(column)


def _max_change(text: str) -> table_checks.MaxChange:
    return table_checks.MaxChange(max_change=text)


def _plain(_given: bool) -> table_checks.Declared:
    return table_checks.Declared()


# By key of [tables.NAME.checks.columns]: what its short form means, and the function that creates the check.
_OF_COLUMNS: dict[str, tuple[Callable[[Any], table_checks.Declared], Callable[[str, str, Any], Check]]] = {
    "not_null": (_plain, _not_null),
    "unique": (_plain, _unique_column),
    "accepted_values": (lambda values: table_checks.AcceptedValues(values=values), _accepted_values),
    "relationships": (_plain, _relationships),
    "in_range": (_plain, _in_range),
    "matches": (lambda pattern: table_checks.Matches(pattern=pattern), _matches),
    "freshness": (lambda max_age: table_checks.Freshness(max_age=max_age), _freshness),
    "nulls_against_live": (
        _max_change,
        _against_live("nulls_against_live", _nulls, "abs({own} - {live}) > {percent}"),
    ),
    "distinct_against_live": (
        _max_change,
        _against_live("distinct_against_live", _aggregate("count(DISTINCT {})"), _FURTHER),
    ),
    "sum_against_live": (_max_change, _against_live("sum_against_live", _aggregate("sum({})"), _FURTHER)),
    "mean_against_live": (_max_change, _against_live("mean_against_live", _aggregate("avg({})"), _FURTHER)),
}
