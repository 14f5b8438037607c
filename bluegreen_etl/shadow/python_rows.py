"""Copy rows of Python into a table, each value as psycopg writes it."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

import psycopg
from psycopg import sql

from bluegreen_etl import db, errors, model, names, search_path, sqlstates

Row = Sequence[object] | Mapping[str, object]
_LINE = re.compile(r", line (\d+)(?:, column (.+?))?(?::|$)")


def append(connection: db.Connection, release: model.Release, table: model.Table, rows: Iterable[Row]) -> int:
    """Add rows to a table by COPY; return their number.

    Mappings name their columns, all of them the same; a sequence has a value for each column that is not generated.

    Raises:
        BadRow: a row does not fit the table, or the server refuses a value.
    """
    source = iter(rows)
    first = next(source, None)
    if first is None:
        return 0
    fillable = [column.name for column in table.columns if not column.generated]
    columns = list(first) if isinstance(first, Mapping) else fillable
    unknown = [name for name in columns if name not in fillable]
    if unknown:
        raise errors.BadRow(
            f"table {table.name} has no column {', '.join(unknown)} to fill", hint="Leave it out of the rows."
        )
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(release.shadow_schema, table.name), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    try:
        with search_path.user_path(connection), connection.cursor() as cursor:
            with cursor.copy(statement) as copy:
                for values in _values(table.name, columns, chain([first], source)):
                    copy.write_row(values)
            return cursor.rowcount
    except psycopg.Error as error:
        raise _bad_row(table.name, error) from error


def _values(table: str, columns: Sequence[str], rows: Iterable[Row]) -> Iterator[Sequence[object]]:
    keys = set(columns)
    for number, row in enumerate(rows, 1):
        fits = row.keys() == keys if isinstance(row, Mapping) else len(row) == len(columns)
        if not fits:
            raise errors.BadRow(
                f"row {number} for table {table} has other columns than {', '.join(columns)}",
                hint="Give every row the same columns; None is NULL.",
            )
        yield [row[name] for name in columns] if isinstance(row, Mapping) else row


def _bad_row(table: str, error: psycopg.Error) -> errors.BluegreenError:
    place = _LINE.search(error.diag.context or "")
    # While the server reads rows, every error names one, even its own shutdown.
    about_rows = {"22", "23", *(("42", "P0") if place else ())}
    if (error.sqlstate or "")[:2] not in about_rows:
        return sqlstates.explain(error)
    where = f"row {place[1]} for table {table}" if place else f"table {table}"
    column = f", column {names.quoted(place[2])}" if place and place[2] else ""
    return errors.BadRow(f"{where}{column}: {error.diag.message_primary or error}", hint="Fix the value.")
