"""Which file belongs to which table: by its name, or by the globs that the table's settings list."""

import difflib
import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bluegreen_etl import errors
from bluegreen_etl.model import Compression, Format, Record, SourceFile, SourceOptions

_FORMATS = {
    "csv": Format.CSV,
    "tsv": Format.TSV,
    "json": Format.JSON,
    "ndjson": Format.NDJSON,
    "jsonl": Format.NDJSON,
    "parquet": Format.PARQUET,
}
_COMPRESSIONS = {
    "gz": Compression.GZIP,
    "zst": Compression.ZSTD,
    "bz2": Compression.BZIP2,
    "xz": Compression.XZ,
}
_SUFFIXES = ".csv, .tsv, .json, .ndjson or .jsonl, and then .gz, .zst, .bz2 or .xz if it is compressed, or in .parquet"


class TableFiles(Record, frozen=True, kw_only=True):
    """What the settings say about one table's files.

    `files` are globs relative to the working directory: where there are any, they alone say which files belong to
    the table. `options` say how all of them are written.
    """

    files: tuple[str, ...] = ()
    options: SourceOptions = SourceOptions()


class _Name(NamedTuple):
    """What a file's name says; `format` is None when no suffix says it."""

    table: str
    format: Format | None
    compression: Compression


class _Found(NamedTuple):
    """A file that exists; `named`: asked for by its own path, so it must not be passed over in silence."""

    path: str
    named: bool


def discover(paths: Sequence[str], *, tables: Mapping[str, TableFiles]) -> list[SourceFile]:
    """Return the data files at `paths` and in the globs of `tables`, sorted by table and path.

    Args:
        paths: files, directories (their own data files, not those further down) or globs.
        tables: settings by table name; a table that is not in it takes its files by name, with no options.

    Raises:
        BadSource: a path is missing, unreadable or empty, has no known format, or belongs to two tables.
    """
    owners: dict[str, str] = {}
    sources = list(_listed(tables, owners))
    for pattern in paths:
        sources += _matched_by_name(pattern, tables, owners)
    return sorted(sources, key=lambda source: (source.table, source.path))


def _listed(tables: Mapping[str, TableFiles], owners: dict[str, str]) -> Iterator[SourceFile]:
    """Yield the files that tables list; `owners` gets the table of each, by the file's real path."""
    for table, listed in tables.items():
        for pattern in listed.files:
            for found in _expand(pattern):
                owner = owners.setdefault(os.path.realpath(found.path), table)
                if owner != table:
                    raise errors.BadSource(
                        f'{found.path} is listed for table "{owner}" and for table "{table}"',
                        hint="List each file under one table.",
                    )
                yield _source(found.path, table, _parse(found.path), listed.options)


def _matched_by_name(pattern: str, tables: Mapping[str, TableFiles], owners: dict[str, str]) -> Iterator[SourceFile]:
    """Yield the data files that `pattern` means and that belong to no table yet."""
    count = 0
    for found in _expand(pattern):
        name = _parse(found.path)
        settings = tables.get(name.table, TableFiles())
        if name.format is None and settings.options.format is None:
            if found.named:
                raise _unknown_format(found.path)
            continue
        count += 1
        real = os.path.realpath(found.path)
        if real in owners:
            continue
        if settings.files:
            if found.named:
                raise errors.BadSource(
                    f'{found.path} is not one of the files listed for table "{name.table}"',
                    hint="Add it to the table's files, or list no files for the table.",
                )
            continue
        owners[real] = name.table
        yield _source(found.path, name.table, name, settings.options)
    if not count:
        raise errors.BadSource(f"{pattern} holds no data files", hint=f"Data files end in {_SUFFIXES}.")


def _expand(pattern: str) -> list[_Found]:
    """Return the files that a path, a directory or a glob means, hidden files and sub-directories left out."""
    path = Path(pattern)
    try:
        if path.is_dir():
            inside = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
            return [_Found(str(entry), named=False) for entry in sorted(inside) if entry.is_file()]
        if path.exists():
            return [_Found(pattern, named=True)]
    except OSError as error:
        raise _unreadable(pattern, error) from error
    if not glob.has_magic(pattern):
        raise errors.BadSource(f"{pattern} does not exist", hint=_suggestion(path))
    # Path.glob refuses absolute patterns, and users write them.
    matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207
    found = [_Found(match, named=False) for match in matches if Path(match).is_file()]
    if not found:
        raise errors.BadSource(f"{pattern} matches no file", hint="Check the glob and the working directory.")
    return found


def _suggestion(path: Path) -> str:
    siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    close = difflib.get_close_matches(path.name, siblings, n=1)
    if close:
        return f"Did you mean {path.with_name(close[0])}?"
    return f"Name a file, a directory or a glob; the working directory is {Path.cwd()}."


def _parse(path: str) -> _Name:
    """Read a file's name: the table is what stands before its first data suffix."""
    parts = Path(path).name.split(".")
    for index in range(1, len(parts)):
        if parts[index].lower() not in _FORMATS:
            continue
        table = ".".join(parts[:index])
        packed = [part.lower() for part in parts[index + 1 :]]
        if not packed:
            return _Name(table, _FORMATS[parts[index].lower()], Compression.NONE)
        if len(packed) == 1 and packed[0] in _COMPRESSIONS:
            return _Name(table, _FORMATS[parts[index].lower()], _COMPRESSIONS[packed[0]])
        return _Name(table, None, _COMPRESSIONS.get(packed[-1], Compression.NONE))
    compression = _COMPRESSIONS.get(parts[-1].lower(), Compression.NONE) if len(parts) > 1 else Compression.NONE
    bare = parts[:-1] if compression is not Compression.NONE else parts
    return _Name(".".join(bare[:-1]) or bare[0], None, compression)


def _source(path: str, table: str, name: _Name, options: SourceOptions) -> SourceFile:
    file_format = options.format or name.format
    if file_format is None:
        raise _unknown_format(path)
    return SourceFile(
        path=path,
        table=table,
        format=file_format,
        compression=name.compression,
        size=_readable_size(path),
        options=options,
    )


def _readable_size(path: str) -> int:
    """Return the file's size in bytes after having opened it, which is the only sure test of permission."""
    try:
        if not Path(path).is_file():
            raise errors.BadSource(f"{path} is not a regular file", hint="Write the data to a file first.")
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise _unreadable(path, error) from error
    if not size:
        raise errors.BadSource(f"{path} is empty", hint="Write the file again, or leave it out.")
    return size


def _unreadable(path: str, error: OSError) -> errors.BadSource:
    return errors.BadSource(
        f"{path} cannot be read: {error.strerror}", hint="Check the permissions of the file and its directories."
    )


def _unknown_format(path: str) -> errors.BadSource:
    return errors.BadSource(
        f"{path} is of unknown format",
        hint=f"Let its name end in {_SUFFIXES}, or set `format` in the table's options.",
    )
