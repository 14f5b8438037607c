"""Init: write a first configuration, DDL and checks, inferred from data files."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from bluegreen_etl import config, errors, model, names
from bluegreen_etl.errors.unexpected import guarded
from bluegreen_etl.model import Table
from bluegreen_etl.releases import matching
from bluegreen_etl.releases.context import Context
from bluegreen_etl.releases.matching import Found

# Keywords that PostgreSQL does not accept as the name of a column.
_RESERVED = re.compile(
    r"""all|analyse|analyze|and|any|array|as|asc|asymmetric|authorization|binary|both|case|cast|check|collate|collation
    |column|concurrently|constraint|create|cross|current_catalog|current_date|current_role|current_schema|current_time
    |current_timestamp|current_user|default|deferrable|desc|distinct|do|else|end|except|false|fetch|for|foreign|freeze
    |from|full|grant|group|having|ilike|in|initially|inner|intersect|into|is|isnull|join|lateral|leading|left|like
    |limit|localtime|localtimestamp|natural|not|notnull|null|offset|on|only|or|order|outer|overlaps|placing|primary
    |references|returning|right|select|session_user|similar|some|symmetric|system_user|table|tablesample|then|to
    |trailing|true|union|unique|user|using|variadic|verbose|when|where|window|with""",
    re.VERBOSE,
)
_DELIMITERS = (";", "\t", "|")
_CONFIGURATION = """\
# What bluegreen does here; docs/settings.md lists every key. `bluegreen load --promote` works as it is.
schema = {schema}                   # the live schema, which applications read

[sources]
paths = {paths}

[structure]
ddl = ["schema.sql"]                # without it, the structure is a clone of live

[checks]
path = "checks"                     # each *.sql is one SELECT of offending rows
{tables}
# [retention]
# keep = 1                          # previous releases to keep for a rollback

# [environments.production]         # chosen by --environment production
# dsn = "${{PRODUCTION_DATABASE_URL}}"
# protected = true                  # promote and rollback need a confirmation
"""
_DDL_HEAD = """\
-- The tables of {schema}, inferred from the first records of the files: edit freely. Each load creates them in a new
-- schema; names without a schema belong to it.
"""
_FIRST_CHECK = """\
-- description: a first check; every row that the SELECT returns is an offending row
-- severity: warn
SELECT * FROM {table} WHERE false
"""


class Begun(model.Record, frozen=True, kw_only=True):
    """The files that init has written."""

    schema: str
    files: tuple[str, ...]


class _Link(model.Record, frozen=True, kw_only=True):
    """A column that probably refers to the key of another table."""

    table: str
    column: str
    to: str
    key: str


@guarded
def init(context: Context, paths: Sequence[str]) -> Begun:
    """Write bluegreen.toml, schema.sql and checks.

    Raises:
        UsageError: no files were named.
        BadSource: a data file is missing or unreadable, or has no columns.
        Refused: one of the files already exists.
    """
    found, delimiters = _find(context, paths)
    tables = matching.infer_tables(found, context.settings.tables)
    matching.refuse_shapeless(found, tables)
    schema = context.settings.schema or _schema_name(Path.cwd().name)
    names.check_live_schema(schema)
    keys = {table.name: key for table, item in zip(tables, found, strict=True) if (key := _key(table, item))}
    links = list(_links(tables, keys))
    texts = {
        "bluegreen.toml": _CONFIGURATION.format(
            schema=_text(schema), paths=_text(list(paths)), tables="".join(_table_sections(found, delimiters))
        ),
        "schema.sql": _ddl(schema, tables, keys, links),
        **dict(_checks(tables, links)),
    }
    _write(Path(context.resolved.directory), texts)
    context.watcher.say("`bluegreen load --promote` works now; you may edit the files first")
    return Begun(schema=schema, files=tuple(texts))


def _find(context: Context, paths: Sequence[str]) -> tuple[list[Found], dict[str, str]]:
    """Return the files, and the delimiters of files that use another than their names say; only init guesses."""
    found = matching.find_files(context, paths)
    delimiters = {item.table: guess for item in found if (guess := _delimiter(item))}
    if not delimiters:
        return found, {}
    settings = context.settings
    tables = {name: config.TableSettings(delimiter=delimiter) for name, delimiter in delimiters.items()}
    settings = msgspec.structs.replace(settings, tables={**settings.tables, **tables})
    resolved = msgspec.structs.replace(context.resolved, settings=settings)
    return matching.find_files(Context(resolved, context.watcher), paths), delimiters


def _delimiter(item: Found) -> str | None:
    """Return the delimiter that splits the only column name of each file of the table; None if there is none."""
    if any(file.format is not model.Format.CSV or file.options.delimiter for file in item.files):
        return None
    headers = [peek.columns[0] if len(peek.columns) == 1 else "" for peek in item.peeks]
    return next((each for each in _DELIMITERS if all(each in header for header in headers)), None)


def _table_sections(found: Sequence[Found], delimiters: Mapping[str, str]) -> Iterator[str]:
    for item in found:
        lines = []
        if item.table in delimiters:
            lines.append(f"delimiter = {_text(delimiters[item.table])}\n")
        if all(peek.types is None and not peek.rows for peek in item.peeks):
            lines.append("allow_empty = true                  # its files hold no rows yet\n")
        if lines:
            yield f"\n[tables.{names.toml_key(item.table)}]\n" + "".join(lines)


def _write(directory: Path, texts: dict[str, str]) -> None:
    existing = [name for name in texts if (directory / name).exists()]
    if existing:
        raise errors.Refused(f"{', '.join(existing)} already exists", hint="Move the file away, or edit it by hand.")
    for name, text in texts.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text, encoding="utf-8")


def _schema_name(directory: str) -> str:
    name = re.sub(r"\W+", "_", directory.lower()).strip("_")
    return name if name and not name[0].isdigit() else f"s_{name}".rstrip("_")


def _key(table: Table, item: Found) -> str | None:
    """Return the probable key column: named like a key, unique and not null in every record seen."""
    wanted = {"id", f"{table.name}_id", f"{_singular(table.name)}_id"}
    for column in table.columns:
        if column.name.lower() in wanted:
            values = [row[peek.columns.index(column.name)] for peek in item.peeks for row in peek.rows]
            if values and None not in values and len(set(values)) == len(values):
                return column.name
    return None


def _links(tables: Sequence[Table], keys: dict[str, str]) -> Iterator[_Link]:
    called = {name.lower(): table for table in keys for name in (f"{table}_id", f"{_singular(table)}_id")}
    types = {(table.name, column.name): column.type for table in tables for column in table.columns}
    for table in tables:
        for column in table.columns:
            other = called.get(column.name.lower())
            if other and other != table.name and types[other, keys[other]] == column.type:
                yield _Link(table=table.name, column=column.name, to=other, key=keys[other])


def _singular(name: str) -> str:
    lower = name.lower()
    return lower[:-3] + "y" if lower.endswith("ies") else lower.removesuffix("s")


def _ddl(schema: str, tables: Sequence[Table], keys: dict[str, str], links: Sequence[_Link]) -> str:
    parts = [_DDL_HEAD.format(schema=schema)]
    for table in tables:
        lines = [
            f"    {_name(column.name)} {column.type}{' PRIMARY KEY' if keys.get(table.name) == column.name else ''}"
            for column in table.columns
        ]
        parts.append(f"CREATE TABLE {_name(table.name)} (\n" + ",\n".join(lines) + "\n);\n")
    if links:
        statements = [
            f"-- ALTER TABLE {_name(link.table)} ADD FOREIGN KEY ({_name(link.column)}) REFERENCES {_name(link.to)};\n"
            for link in links
        ]
        parts.append("-- Probable foreign keys:\n" + "".join(statements))
    return "\n".join(parts)


def _checks(tables: Sequence[Table], links: Sequence[_Link]) -> Iterator[tuple[str, str]]:
    for link in links:
        file = re.sub(r"\W+", "_", f"{link.table}_have_their_{link.to}")
        yield (
            f"checks/{file}.sql",
            f"-- description: {link.column} of {link.table} is a {link.key} of {link.to}\n"
            "-- severity: warn\n"
            f"SELECT own.* FROM {_name(link.table)} AS own\n"
            f"WHERE own.{_name(link.column)} IS NOT NULL AND NOT EXISTS (\n"
            f"    SELECT FROM {_name(link.to)} AS other WHERE other.{_name(link.key)} = own.{_name(link.column)})\n",
        )
    if not links:
        yield "checks/to_begin_with.sql", _FIRST_CHECK.format(table=_name(tables[0].name))


def _name(name: str) -> str:
    return f'"{name}"' if _RESERVED.fullmatch(name) else names.quoted(name)


def _text(value: object) -> str:
    # A JSON string or list of them is also one of TOML.
    return json.dumps(value, ensure_ascii=False)
