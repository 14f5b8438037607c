"""Choose and open the reader of a data file."""

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import cast

from bluegreen_etl import errors
from bluegreen_etl.model import Column, FileReader, Format, Reader, SourceFile
from bluegreen_etl.sources.delimited.delimited_reader import DelimitedReader
from bluegreen_etl.sources.jsonfiles.json_reader import JsonReader


def open_reader(
    source: SourceFile, columns: Sequence[Column], *, block_size: int | None = None, tolerant: bool = False
) -> FileReader:
    """Open a data file for COPY into a table that has exactly `columns`, in the table's order.

    Reads the first records, so that most errors are found before anything is written.
    `block_size` is the approximate number of bytes of text per block; the default depends on the format.
    `tolerant`: a record that cannot be encoded marks its block as broken instead of raising.

    Raises:
        BadSource: the file cannot be read, does not have its format, or has a column that the table lacks.
        BadRow: one of the first JSON elements does not fit the table.
        UsageError: an option does not fit the format.
    """
    if source.format in {Format.CSV, Format.TSV}:
        return DelimitedReader(source, columns, block_size=block_size, tolerant=tolerant)
    if source.format is Format.PARQUET:
        reader = parquet(source).ParquetReader(source, columns, block_size=block_size, tolerant=tolerant)
        return cast("FileReader", reader)
    return JsonReader(source, columns, block_size=block_size, tolerant=tolerant)


def open_batches(data: object, columns: Sequence[Column], *, name: str) -> Reader:
    """Open Arrow data for COPY into a table with `columns`; errors use `name` for the data.

    Raises:
        BadSource: its columns do not fit the table, or the extra `parquet` is not installed.
    """
    try:
        module = importlib.import_module("bluegreen_etl.sources.arrow.in_memory")
    except ImportError as error:
        raise errors.BadSource(
            f"{name} is Arrow data: the package {error.name} is not installed",
            hint="Run `pip install 'bluegreen-etl[parquet]'`.",
        ) from error
    return cast("Reader", module.BatchReader(data, columns, name=name))


def parquet(source: SourceFile) -> ModuleType:
    """Return the module that reads Parquet; its packages are optional and slow to import.

    Raises:
        BadSource: a package is not installed.
    """
    try:
        return importlib.import_module("bluegreen_etl.sources.arrow.parquet")
    except ImportError as error:
        raise errors.BadSource(
            f"{source.path} is Parquet: the package {error.name} is not installed",
            hint="Run `pip install 'bluegreen-etl[parquet]'`.",
        ) from error


def json_schema() -> ModuleType:
    """Return the module that validates JSON against a JSON Schema; its package is optional.

    Raises:
        UsageError: the package is not installed.
    """
    try:
        return importlib.import_module("bluegreen_etl.sources.jsonfiles.json_schema")
    except ImportError as error:
        raise errors.UsageError(
            f"json_schema needs the package {error.name}, which is not installed",
            hint="Run `pip install 'bluegreen-etl[schema]'`.",
        ) from error
