"""Which reader a file gets."""

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
    """Open a data file for COPY into a table with `columns`, all of them, in the table's order.

    Its first records are read here, so that most of what can be refused is refused before anything is written.
    `block_size` is about how many bytes of the file's text a block is made of; by default the format's best.
    `tolerant`: a record that cannot be prepared makes its block broken, and is no error.

    Raises:
        BadSource: the file cannot be read, is not of its format, or has a column that the table has not.
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
    """Open Arrow data for COPY into a table with `columns`; `name` is what errors call them.

    Raises:
        BadSource: its columns do not fit the table, or the extra that reads Arrow is not installed.
    """
    try:
        module = importlib.import_module("bluegreen_etl.sources.arrow.in_memory")
    except ImportError as error:
        raise errors.BadSource(
            f"{name} are Arrow's, and the package {error.name} is not installed",
            hint="pip install 'bluegreen-etl[parquet]'",
        ) from error
    return cast("Reader", module.BatchReader(data, columns, name=name))


def parquet(source: SourceFile) -> ModuleType:
    """Return the module that reads Parquet, whose packages take long to import and need not be installed.

    Raises:
        BadSource: they are not installed.
    """
    try:
        return importlib.import_module("bluegreen_etl.sources.arrow.parquet")
    except ImportError as error:
        raise errors.BadSource(
            f"{source.path} is Parquet, and the package {error.name} is not installed",
            hint="pip install 'bluegreen-etl[parquet]'",
        ) from error


def conformity() -> ModuleType:
    """Return the module that holds JSON against a JSON Schema, whose package need not be installed.

    Raises:
        UsageError: it is not.
    """
    try:
        return importlib.import_module("bluegreen_etl.sources.jsonfiles.json_schema")
    except ImportError as error:
        raise errors.UsageError(
            f"json_schema needs the package {error.name}, which is not installed",
            hint="pip install 'bluegreen-etl[schema]'",
        ) from error
