"""Decide which files fill which tables; refuse a file that does not fit before anything is written."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from bluegreen_etl import config, errors, model, names
from bluegreen_etl.model import Column, SourceFile, Table
from bluegreen_etl.releases.context import Context
from bluegreen_etl.shadow import rejects
from bluegreen_etl.shadow.copy import Work
from bluegreen_etl.shadow.dealer import Opened
from bluegreen_etl.sources import discovery, inference, places, readers
from bluegreen_etl.sources.discovery import TableFiles
from bluegreen_etl.sources.peek import Peek, peek_file


class Found(model.Record, frozen=True, kw_only=True):
    """The files of one table, and what their first records look like."""

    table: str
    files: tuple[SourceFile, ...]
    peeks: tuple[Peek, ...]


def find_files(context: Context, paths: Sequence[str]) -> list[Found]:
    """Return the data files by table, with a sample of each file.

    Raises:
        UsageError: no files were named.
        BadSource: a file is missing, empty, unreadable or of unknown format.
    """
    settings = context.settings
    named = list(paths) or [_from_file(context.resolved, path) for path in settings.sources.paths]
    tables = {
        name: TableFiles(
            files=tuple(_from_file(context.resolved, file) for file in table.files),
            options=_options(settings.sources, table),
            own=table,
        )
        for name, table in settings.tables.items()
    }
    if not named and not any(table.files for table in tables.values()):
        raise errors.UsageError(
            "no data files were named",
            hint='Name files or a directory, or write `[sources] paths = ["data/"]` into bluegreen.toml.',
        )
    by_table: dict[str, list[SourceFile]] = defaultdict(list)
    for source in discovery.discover(named, tables=tables, options=_options(settings.sources)):
        by_table[source.table].append(source)
    _report_odd_places(context, [*named, *(pattern for table in tables.values() for pattern in table.files)])
    return [
        Found(
            table=table,
            files=tuple(files),
            peeks=tuple(peek_file(file, tolerant=_allowed(context, table) is not None) for file in files),
        )
        for table, files in sorted(by_table.items())
    ]


def _report_odd_places(context: Context, patterns: Iterable[str]) -> None:
    """Say what was skipped because it is no file, and which servers sent the requests elsewhere."""
    for pattern in patterns:
        for path in places.find_skipped(pattern):
            context.watcher.say(f"skipped {path}: it is not a regular file")
    for host, other in places.take_redirects().items():
        context.watcher.say(f"{host} redirects to another host: the data come from {other}")


def find_files_of_table(context: Context, paths: Sequence[str], table: Table) -> Work:
    """Return the work of copying the files at paths or globs into one table, whatever their names.

    Raises:
        BadSource: a file is missing, unreadable, of unknown format, or its columns do not fit.
        UsageError, BadRow: see refuse_nonconforming.
    """
    settings = context.settings
    layers = (settings.sources, *([settings.tables[table.name]] if table.name in settings.tables else []))
    own = settings.tables.get(table.name, model.SourceOptions())
    listed = {table.name: TableFiles(files=tuple(paths), options=_options(*layers), own=own)}
    files = tuple(discovery.discover((), tables=listed))
    found = Found(table=table.name, files=files, peeks=tuple(peek_file(file) for file in files))
    refuse_nonconforming(context, [found])
    return _fit(context, found, table)


def refuse_nonconforming(context: Context, found: Sequence[Found]) -> None:
    """Validate all JSON files of tables that have a JSON Schema.

    Raises:
        UsageError: such a table has other files, or its schema is invalid.
        BadRow: an object does not conform to the schema.
    """
    wanted = {name: table.json_schema for name, table in context.settings.tables.items() if table.json_schema}
    chosen = [item for item in found if item.table in wanted]
    if not chosen:
        return
    context.watcher.stage("conformity")
    for item in chosen:
        schema = readers.json_schema().Schema(context.resolved.path(wanted[item.table] or ""))
        for file in item.files:
            place = f"[tables.{names.toml_key(item.table)}] json_schema"
            if file.format not in {model.Format.JSON, model.Format.NDJSON}:
                raise errors.BadConfiguration(
                    f"{place} is for JSON, and {file.path} is {file.format}",
                    hint=f"Use `[tables.{names.toml_key(item.table)}.checks]` instead.",
                )
            if file.address == (model.STDIN,):
                raise errors.BadConfiguration(
                    f"{place} reads a file twice, and standard input can be read only once",
                    hint="Write standard input into a file first.",
                )
            schema.check(file)


def infer_tables(found: Sequence[Found], tables: Mapping[str, config.TableSettings]) -> list[Table]:
    """Return the tables inferred from the files; `types` in a table's section override the inferred types."""
    return [
        Table(
            name=item.table,
            columns=tuple(
                Column(name=column.name, type=_declared(tables, item.table).get(column.name, column.type))
                for column in inference.infer(item.peeks, item.files)
            ),
        )
        for item in found
    ]


def refuse_shapeless(found: Sequence[Found], tables: Sequence[Table]) -> None:
    """Refuse files that no table can be inferred from; `tables` are the inferred ones.

    Raises:
        BadSource: no file of a table has a record or a header.
    """
    for item, table in zip(found, tables, strict=True):
        if not table.columns:
            raise errors.BadSource(
                f"cannot infer the columns of table {table.name}: {item.files[0].path} holds no record",
                hint='Leave the file out, or write the table\'s DDL and `[structure] ddl = ["schema.sql"]`.',
            )


def match_files(context: Context, found: Sequence[Found], tables: Sequence[Table]) -> list[Work]:
    """Return the work of copying the files into the tables of their names.

    Raises:
        BadSource: a file matches no table, or its columns do not fit.
        Refused: a table has no file, and no transform could fill it.
    """
    by_name = {table.name: table for table in tables}
    strangers = [item for item in found if item.table not in by_name]
    if strangers:
        raise errors.NoTable(
            f"{strangers[0].files[0].path} matches no table of {context.schema}",
            hint=f"Rename the file after one of the tables {', '.join(by_name) or '(none)'}, or write "
            '`[tables.NAME] files = ["FILE"]`.',
        )
    filled = {item.table for item in found}
    unfilled = [name for name in by_name if name not in filled]
    if unfilled and not context.settings.transform.files:
        raise errors.Unfilled(
            f"no file for table {', '.join(unfilled)} of {context.schema}: it would be empty after the promote",
            hint="Add a file (a header alone loads no rows, with `allow_empty = true`), fill the table by a transform, "
            "name it under `[carry] tables`, or drop it from live.",
        )
    return [_fit(context, item, by_name[item.table], _allowed(context, item.table)) for item in found]


def _allowed(context: Context, table: str) -> rejects.Allowed | None:
    """Return how many rows of a table's files may be rejected; None if a bad row is an error."""
    own = context.settings.tables.get(table, config.TableSettings()).reject_limit
    limit = context.settings.load.reject_limit if own is None else own
    return rejects.allowed(limit, context.resolved.path("rejects"))


def _fit(context: Context, item: Found, table: Table, allowed: rejects.Allowed | None = None) -> Work:
    for file, peek in zip(item.files, item.peeks, strict=True):
        _refuse_misfits(context, file, peek, table)
    opened = [
        Opened(source=file, reader=readers.open_reader(file, table.columns, tolerant=allowed is not None))
        for file in item.files
    ]
    return Work(table=table, files=tuple(opened), allowed=allowed)


def _refuse_misfits(context: Context, file: SourceFile, peek: Peek, table: Table) -> None:
    known = {column.name for column in table.columns}
    extra = [name for name in peek.columns if name not in known and "*" not in file.options.ignore_columns]
    if extra:
        raise errors.WrongColumns(
            f"{file.path} has column {', '.join(extra)}, which table {table.name} lacks",
            hint="Add the column to the table first, remove it from the file, list it in `ignore_columns`, "
            "or load with `--structure files`.",
        )
    generated = [column.name for column in table.columns if column.generated and column.name in peek.columns]
    if generated:
        raise errors.WrongColumns(
            f"{file.path} has column {', '.join(generated)}, which is a generated column of table {table.name}",
            hint="Remove the column from the file.",
        )
    missing = [column for column in table.columns if column.name not in peek.columns and not column.generated]
    needed = [column.name for column in missing if column.not_null and not column.has_default]
    if needed and not (peek.rows == () and file.format in {model.Format.JSON, model.Format.NDJSON}):
        raise errors.WrongColumns(
            f"{file.path} lacks column {', '.join(needed)}, which may not be null in table {table.name}",
            hint="Add the column to the file, or give it a default.",
        )
    if missing:
        lacking = ", ".join(column.name for column in missing)
        context.watcher.say(f"{file.path} has no {lacking}: using defaults")


def _declared(tables: Mapping[str, config.TableSettings], name: str) -> Mapping[str, str]:
    return tables[name].types if name in tables else {}


def _from_file(resolved: config.Resolved, path: str) -> str:
    return path if places.is_anchored(path) or Path(path).is_absolute() else str(resolved.path(path))


def _options(*layers: model.SourceOptions) -> model.SourceOptions:
    """Return the options of all layers merged: a later layer overrides what it does not leave at its default."""
    merged = default = model.SourceOptions()
    for layer in layers:
        given = {
            name: value
            for name in model.SourceOptions.__struct_fields__
            if (value := getattr(layer, name)) != getattr(default, name)
        }
        merged = msgspec.structs.replace(merged, **given)
    return merged
