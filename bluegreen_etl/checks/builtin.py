"""The built-in checks of every load; `checks.off` switches each off by its name."""

from collections.abc import Mapping, Sequence
from typing import LiteralString

from psycopg import sql

from bluegreen_etl.checks.check import Check
from bluegreen_etl.checks.psql_variables import LIVE, SHADOW

EMPTY, HALVED = "no_empty_table", "no_halved_table"
NAMES = frozenset({EMPTY, HALVED})


def no_empty_table(tables: Sequence[str]) -> list[Check]:
    """Return the check that finds tables without a row."""
    text = "SELECT {name} AS empty_table WHERE NOT EXISTS (SELECT FROM {shadow}.{table})"
    description = "allow it for a table with allow_empty = true in its section"
    return _of_each(EMPTY, text, dict.fromkeys(tables, 0), description)


def no_halved_table(tables: Mapping[str, int]) -> list[Check]:
    """Return the check that finds tables with less than half of live's rows; live has all of them.

    A table's value is the number of rows it has at least: if that is enough, its rows are not counted.
    """
    text = (
        "SELECT {name} AS halved_table, own.rows, live.rows AS live "
        "FROM (SELECT count(*) AS rows FROM {live}.{table}) AS live, "
        "LATERAL (SELECT CASE WHEN {known} * 2::bigint >= live.rows THEN {known} "
        "ELSE (SELECT count(*) FROM {shadow}.{table}) END AS rows) AS own "
        "WHERE own.rows * 2 < live.rows"
    )
    description = "allow it for a table with rows_against_live = { max_drop = … } among its checks"
    return _of_each(HALVED, text, tables, description)


def _of_each(name: str, text: LiteralString, tables: Mapping[str, int], description: str) -> list[Check]:
    parts = [
        sql.SQL(text).format(
            name=sql.Literal(table),
            shadow=SHADOW,
            live=LIVE,
            table=sql.Identifier(table),
            known=sql.Literal(known),
        )
        for table, known in tables.items()
    ]
    return [Check(name=name, query=sql.SQL("\nUNION ALL ").join(parts), description=description)] if parts else []
