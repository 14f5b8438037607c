"""Copy data of any kind into one table of an open release: files, Arrow data, rows from Python."""

import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bluegreen_etl import catalog, db, errors, model
from bluegreen_etl.model import Compression, Format, Release, SourceFile
from bluegreen_etl.releases import build, matching
from bluegreen_etl.releases.context import Context
from bluegreen_etl.shadow import copy, dealer, python_rows
from bluegreen_etl.sources import readers
from bluegreen_etl.workers import Workers

Data = str | os.PathLike[str] | Iterable[python_rows.Row] | object


class Files(NamedTuple):
    """Paths of data files, globs or URLs, as `bluegreen load` takes them."""

    paths: Sequence[str]


class CopiedData(NamedTuple):
    """What was copied into a table; `files` are the source files that were read."""

    rows: int
    bytes: int
    files: tuple[SourceFile, ...]


def copy_into_table(
    context: Context, connection: db.Connection, release: Release, table: str, data: Data | Files, workers: Workers
) -> CopiedData:
    """Copy data into a table of a release, in addition to the rows that it has.

    Raises:
        BadSource: a file cannot be read, or its columns do not fit.
        BadRow: a value is refused; names its row.
        Refused: the release has no such table.
        UsageError: the data are of a type that cannot be copied.
    """
    target = _table(connection, release, table)
    if isinstance(data, str | os.PathLike):
        data = Files((os.fspath(data),))
    if isinstance(data, Files):
        work = matching.find_files_of_table(context, data.paths, target)
    elif hasattr(data, "__arrow_c_stream__"):
        reader = readers.open_batches(data, target.columns, name=f"the rows for table {table}")
        work = copy.Work(table=target, files=(dealer.Opened(source=_in_memory(table), reader=reader),))
    elif isinstance(data, Iterable):
        return CopiedData(python_rows.append(connection, release, target, data), 0, ())
    else:
        raise errors.UsageError(
            f"cannot copy {type(data).__name__} into table {table}",
            hint="Pass a path, rows, or Arrow data.",
        )
    load = copy.append(connection, copy.Target(release, workers, context.watcher.copied), work)
    files = [
        build.hide_address(opened.source, size=opened.reader.size, sha256=opened.reader.sha256)
        for opened in (work.files if isinstance(data, Files) else ())
    ]
    return CopiedData(load.rows, load.bytes, tuple(files))


def _table(connection: db.Connection, release: Release, name: str) -> model.Table:
    oid = catalog.require_schema_oid(connection, release.shadow_schema)
    tables = {table.name: table for table in catalog.tables(connection, oid)}
    if name not in tables:
        raise errors.Refused(
            f"release {release.number} has no table {name}",
            hint=f"Use one of its tables ({', '.join(tables) or 'none'}), or create the table by `[structure] ddl` "
            "or on `release.connection`.",
        )
    return tables[name]


def _in_memory(table: str) -> SourceFile:
    return SourceFile(
        path=f"the rows for table {table}", table=table, format=Format.PARQUET, compression=Compression.NONE, size=None
    )
