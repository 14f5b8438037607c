"""Decides which files fill which tables, and refuses what does not fit before anything is written."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from bluegreen_etl import config, errors, model, names
from bluegreen_etl.model import Column, SourceFile, Table
from bluegreen_etl.releases.context import Context
from bluegreen_etl.shadow import rejects
from bluegreen_etl.shadow.copy import Opened, Work
from bluegreen_etl.sources import discovery, inference, places, readers
from bluegreen_etl.sources.discovery import TableFiles
from bluegreen_etl.sources.peek import Peek, peek_file


class Found(model.Record, frozen=True, kw_only=True):
    """The files of one table, and what their first records look like."""

    table: str
    files: tuple[SourceFile, ...]
    peeks: tuple[Peek, ...]


def find_files(context: Context, paths: Sequence[str]) -> list[Found]:
    """Find the data files and look into each.

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
            "no data files were named", hint="Name files or a directory, or write [sources] paths into bluegreen.toml."
        )
    by_table: dict[str, list[SourceFile]] = defaultdict(list)
    for source in discovery.discover(named, tables=tables, options=_options(settings.sources)):
        by_table[source.table].append(source)
    return [
        Found(
            table=table,
            files=tuple(files),
            peeks=tuple(peek_file(file, tolerant=_allowed(context, table) is not None) for file in files),
        )
        for table, files in sorted(by_table.items())
    ]


def find_for(context: Context, paths: Sequence[str], table: Table) -> Work:
    """Find the files at paths or globs for one table, whatever they are called.

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
    """Read the JSON files of tables that have a JSON Schema to their end.

    Raises:
        UsageError: such a table has other files, or its schema is none.
        BadRow: an object is not as the schema says.
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
                    f"{place} is for JSON, and {file.path} is {file.format}", hint="Declare checks for it instead."
                )
            if file.address == (model.STDIN,):
                raise errors.BadConfiguration(
                    f"{place} reads a file twice, and standard input can be read once",
                    hint="Write it into a file first.",
                )
            schema.check(file)


def infer(found: Sequence[Found], tables: Mapping[str, config.TableSettings]) -> list[Table]:
    """Return the tables that the files look like; `types` in a table's section overrule what is seen."""
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
    """Refuse what no table can be made for: `tables` are those inferred.

    Raises:
        BadSource: all files of a table are without a record, and have no header either.
    """
    for item, table in zip(found, tables, strict=True):
        if not table.columns:
            raise errors.BadSource(
                f"{item.files[0].path} holds no record to infer the columns of table {table.name} from",
                hint="Leave the file out, or write the table's DDL and name it under [structure] ddl.",
            )


def match(context: Context, found: Sequence[Found], tables: Sequence[Table]) -> list[Work]:
    """Bring files and tables together.

    Raises:
        BadSource: a file matches no table, or its columns do not fit.
        Refused: a table has no file, and there are no transforms that could fill it.
    """
    by_name = {table.name: table for table in tables}
    strangers = [item for item in found if item.table not in by_name]
    if strangers:
        raise errors.NoTable(
            f"{strangers[0].files[0].path} matches no table of {context.schema}",
            hint=f"Its tables are {', '.join(by_name) or 'none'}. Rename the file, or name it under "
            f'[tables.NAME] files = ["…"].',
        )
    filled = {item.table for item in found}
    unfilled = [name for name in by_name if name not in filled]
    if unfilled and not context.settings.transform.files:
        raise errors.Unfilled(
            f"no file for table {', '.join(unfilled)} of {context.schema}: it would be empty after the promote",
            hint="Add a file for it (a header alone loads no rows, with allow_empty = true), fill it by a transform, "
            "name it under [carry], or drop it.",
        )
    return [_fit(context, item, by_name[item.table], _allowed(context, item.table)) for item in found]


def _allowed(context: Context, table: str) -> rejects.Allowed | None:
    """Return how many rows of a table's files may be broken; None where none may."""
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
            hint="Add it to the table first, take it out of the file, list it in `ignore_columns`, "
            "or load with --structure files.",
        )
    generated = [column.name for column in table.columns if column.generated and column.name in peek.columns]
    if generated:
        raise errors.WrongColumns(
            f"{file.path} has column {', '.join(generated)}, which table {table.name} computes itself",
            hint="Take it out of the file.",
        )
    missing = [column for column in table.columns if column.name not in peek.columns and not column.generated]
    needed = [column.name for column in missing if column.not_null and not column.has_default]
    if needed and not (peek.rows == () and file.format in {model.Format.JSON, model.Format.NDJSON}):
        raise errors.WrongColumns(
            f"{file.path} lacks column {', '.join(needed)}, which may not be null in table {table.name}",
            hint="Add it to the file, or give the column a default.",
        )
    if missing:
        lacking = ", ".join(column.name for column in missing)
        context.watcher.say(f"{file.path} has no {lacking}: defaults are used")


def _declared(tables: Mapping[str, config.TableSettings], name: str) -> Mapping[str, str]:
    return tables[name].types if name in tables else {}


def _from_file(resolved: config.Resolved, path: str) -> str:
    return path if places.is_anchored(path) or Path(path).is_absolute() else str(resolved.path(path))


def _options(*layers: model.SourceOptions) -> model.SourceOptions:
    """Return the options of the last layer, those that it leaves at their default from the ones before."""
    merged = default = model.SourceOptions()
    for layer in layers:
        given = {
            name: value
            for name in model.SourceOptions.__struct_fields__
            if (value := getattr(layer, name)) != getattr(default, name)
        }
        merged = msgspec.structs.replace(merged, **given)
    return merged
