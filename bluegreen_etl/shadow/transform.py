"""Run the project's own SQL between COPY and the indexes: it fills tables of a release from those that were loaded."""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.rows import scalar_row

from bluegreen_etl import db, errors, model, search_path
from bluegreen_etl.shadow import sql_scripts


def run(connection: db.Connection, release: model.Release, files: Sequence[Path], watcher: model.Watcher) -> None:
    """Run the files in order, each in its own transaction, with the release first in the search path.

    Raises:
        BadSource: a file cannot be read.
        Refused: a statement fails, or something outside of the release would change.
    """
    for file in files:
        begun = time.monotonic()
        with connection.transaction():
            search_path.put_first(connection, release.shadow_schema)
            with sql_scripts.leaving_others_alone(connection, release.shadow_schema):
                sql_scripts.run(connection, file)
        watcher.say(f"{file.name}: {time.monotonic() - begun:.2f} s")


def drop_temporary(connection: db.Connection, release: model.Release, tables: Iterable[str]) -> None:
    """Drop the tables that only transforms needed.

    Raises:
        Refused: an object of the release depends on one.
    """
    for table in tables:
        try:
            connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(release.shadow_schema, table)))
        except psycopg.errors.DependentObjectsStillExist as error:
            raise errors.BadScript(
                f"temporary table {table} cannot be dropped: {error.diag.message_detail}",
                hint="Remove what depends on the table, or leave `temporary = true` out of its section.",
            ) from error


def count(connection: db.Connection, release: model.Release, tables: Iterable[str]) -> list[model.TableLoad]:
    """Return the number of rows in tables that no file has filled."""
    found = []
    for table in tables:
        place = sql.Identifier(release.shadow_schema, table)
        with connection.cursor(row_factory=scalar_row) as cursor:
            rows = cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(place)).fetchone() or 0
        found.append(model.TableLoad(table=table, files=0, rows=rows, bytes=0, seconds=0.0, frozen=False))
    return found
