"""Refuse files that have lost a column: the release would have NULL where live has values."""

from collections.abc import Sequence

from psycopg import sql

from bluegreen_etl import db, errors, model, names
from bluegreen_etl.config import TableSettings
from bluegreen_etl.releases.context import Context
from bluegreen_etl.releases.matching import Found

# A JSON object without a key is as usual as one with null; only a sample of the objects is known before the load.
_WITH_HEADER = frozenset({model.Format.CSV, model.Format.TSV, model.Format.PARQUET})


def refuse_lost_columns(
    context: Context, connection: db.Connection, found: Sequence[Found], live: Sequence[model.Table]
) -> None:
    """Refuse files without a column that has values in live and no default; `live` are live's tables.

    Raises:
        WrongColumns: names the file and the columns.
    """
    if context.settings.transform.files:  # a transform may fill them
        return
    by_name = {table.name: table for table in live}
    for item in found:
        own = context.settings.tables.get(item.table, TableSettings())
        if own.missing_columns == "default" or item.table not in by_name:
            continue
        for file, peek in zip(item.files, item.peeks, strict=True):
            lost = _lost(connection, context.schema, by_name[item.table], peek.columns)
            if lost and file.format in _WITH_HEADER:
                raise errors.WrongColumns(
                    f"{file.path} has no {', '.join(lost)}, which has values in table {item.table} of "
                    f"{context.schema}: the release would lose them",
                    hint="Add the column to the file, or load NULL: "
                    f'`[tables.{names.toml_key(item.table)}] missing_columns = "default"`.',
                )


def _lost(connection: db.Connection, schema: str, table: model.Table, columns: Sequence[str]) -> list[str]:
    """Return the columns that a file lacks and that hold values in live."""
    missing = [
        column.name
        for column in table.columns
        # A column that may not be null is refused whatever live has.
        if column.name not in columns and not (column.generated or column.has_default or column.not_null)
    ]
    if not missing:
        return []
    exists = sql.SQL("EXISTS (SELECT FROM {} WHERE {} IS NOT NULL)")
    place = sql.Identifier(schema, table.name)
    tests = sql.SQL(", ").join(exists.format(place, sql.Identifier(name)) for name in missing)
    [held] = connection.execute(sql.SQL("SELECT {}").format(tests)).fetchall()
    return [name for name, holds in zip(missing, held, strict=True) if holds]
