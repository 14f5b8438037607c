"""Assign data files to tables: by file name, or by the globs in the table's settings."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from bluegreen_etl import errors
from bluegreen_etl.model import STDIN, Format, Record, SourceFile, SourceOptions
from bluegreen_etl.names import toml_key
from bluegreen_etl.sources import naming, places
from bluegreen_etl.sources.places import Found

# Options that say something about CSV and TSV only.
_DELIMITED = ("delimiter", "quote", "escape", "null", "encoding")
_Owners = dict[tuple[str, ...], str]


class TableFiles(Record, frozen=True, kw_only=True):
    """The settings for the files of one table.

    `files` are globs relative to the working directory. If there are any, only files that match them belong to the
    table. `options` apply to all of these files. `own` are those that the table itself sets, if
    others are only defaults: a default that does not apply to the format of a file is ignored.
    """

    files: tuple[str, ...] = ()
    options: SourceOptions = SourceOptions()
    own: SourceOptions | None = None


def discover(
    paths: Sequence[str], *, tables: Mapping[str, TableFiles], options: SourceOptions | None = None
) -> list[SourceFile]:
    """Return the data files at `paths` and in the globs of `tables`, sorted by table and path.

    Args:
        paths: files, directories (only the files directly in them), globs or URLs; `-` is standard input, which a
            table must list; a zip means the files in it.
        tables: settings by table name; other tables get the files that have their name.
        options: the options for files of tables that are not in `tables`.

    Raises:
        BadSource: a path is missing, unreadable or empty, has no known format, or belongs to two tables.
        UsageError: no table is named for standard input.
    """
    owners: _Owners = {}
    others = TableFiles(options=options or SourceOptions(), own=SourceOptions())
    sources = list(_listed(tables, owners))
    for pattern in paths:
        sources += _matched_by_name(pattern, tables, others, owners)
    return _with_unique_paths(sorted(sources, key=lambda source: (source.table, source.path)))


def _listed(tables: Mapping[str, TableFiles], owners: _Owners) -> Iterator[SourceFile]:
    """Yield the files that tables list; record the table of each file in `owners`."""
    for table, listed in tables.items():
        for pattern in listed.files:
            count = 0
            for found in places.find(pattern):
                name = naming.parse(found.name)
                if found.inside and name.format is None and listed.options.format is None:
                    continue
                count += 1
                owner = owners.get(found.identity)
                if owner not in {None, table}:
                    raise errors.BadSource(
                        f'{found.path} is listed for table "{owner}" and for table "{table}"',
                        hint="List each file under one table.",
                    )
                if owner is None:
                    owners[found.identity] = table
                    yield _source(found, table, name, listed)
            if not count:
                raise _no_data_files(pattern)


def _matched_by_name(
    pattern: str, tables: Mapping[str, TableFiles], others: TableFiles, owners: _Owners
) -> Iterator[SourceFile]:
    """Yield the data files that match `pattern` and belong to no table yet."""
    count = 0
    alone: dict[tuple[str, str], Found] = {}
    for found in places.find(pattern):
        if found.identity in owners:
            count += 1
            continue
        if pattern == STDIN:
            raise errors.UsageError(f"no table is named for {found.path}", hint="Add `--table TABLE` to the command.")
        name = naming.parse(found.name)
        settings = tables.get(name.table, others)
        # A default format must not turn other files of a directory into data files.
        by_option = settings.options.format is not None and not (found.inside and settings is others)
        if name.format is None and not by_option:
            if found.named:
                raise _unknown_format(found)
            continue
        count += 1
        if settings.files:
            if found.named:
                raise errors.NoTable(
                    f'{found.path} is not one of the files listed for table "{name.table}"',
                    hint="Add it to `files` of the table, or remove `files`.",
                )
            continue
        owners[found.identity] = name.table
        _refuse_twin(found, name.table, alone)
        yield _source(found, name.table, name, settings)
    if not count:
        raise _no_data_files(pattern)


def _refuse_twin(found: Found, table: str, alone: dict[tuple[str, str], Found]) -> None:
    """Refuse two forms of one file, such as t.csv and t.csv.gz: the rows would be loaded twice."""
    other = alone.setdefault((found.path.rpartition("/")[0], table), found)
    if other.name != found.name and not found.named:
        raise errors.BadSource(
            f'{other.path} and {found.path} have the same name, and both would fill table "{table}"',
            hint=f"Remove one of them, or list the files of the table: `[tables.{toml_key(table)}]` `files = "
            f"{json.dumps([other.path], ensure_ascii=False)}`.",
        )


def _source(found: Found, table: str, name: naming.Name, settings: TableFiles) -> SourceFile:
    file_format = settings.options.format or name.format
    if file_format is None:
        raise _unknown_format(found)
    source = SourceFile(
        path=found.path,
        table=table,
        format=file_format,
        compression=name.compression,
        size=None,
        options=_applicable(settings, file_format),
        address=msgspec.UNSET if found.address == (found.path,) else found.address,
    )
    size = places.of(source).fingerprint().size
    if size == 0:
        raise errors.BadSource(f"{found.path} is empty", hint="Write the file again, or remove it from the load.")
    return msgspec.structs.replace(source, size=size)


def _applicable(settings: TableFiles, file_format: Format) -> SourceOptions:
    """Return the options without defaults for delimited text if the file is not such text."""
    if settings.own is None or file_format in {Format.CSV, Format.TSV}:
        return settings.options
    own = {name: getattr(settings.own, name) for name in _DELIMITED}
    return msgspec.structs.replace(settings.options, **own)


def _with_unique_paths(sources: Sequence[SourceFile]) -> list[SourceFile]:
    """Return the sources with unique paths: URLs may differ only in the secrets that are never shown."""
    seen = Counter[str]()
    unique = []
    for source in sources:
        seen[source.path] += 1
        if (count := seen[source.path]) > 1:
            address = source.address or (source.path,)
            source = msgspec.structs.replace(source, path=f"{source.path} ({count})", address=address)
        unique.append(source)
    return unique


def _no_data_files(pattern: str) -> errors.BadSource:
    return errors.BadSource(
        f"{places.shown(pattern)} contains no data files", hint=f"Data files end in {naming.SUFFIXES}."
    )


def _unknown_format(found: Found) -> errors.BadSource:
    hint = f'Rename the file to end in {naming.SUFFIXES}, or add `format = "csv"` under `[tables.TABLE]`.'
    if found.address == (STDIN,):
        hint = 'Add `--format csv` to the command, or `format = "csv"` under `[tables.TABLE]`.'
    return errors.BadSource(f"the format of {found.path} is unknown", hint=hint)
