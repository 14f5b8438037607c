"""Read a sample of a file: its first records, to infer types and to show; nothing is loaded."""

import itertools
from collections.abc import Iterator
from enum import StrEnum

import msgspec

from bluegreen_etl import errors
from bluegreen_etl.model import Format, Record, SourceFile
from bluegreen_etl.sources import column_mapping, decompress
from bluegreen_etl.sources.delimited import dialect, header
from bluegreen_etl.sources.jsonfiles import json_reader, value_converters
from bluegreen_etl.sources.readers import parquet

_SIZE = 1 << 20
_ROWS = 1000


class Kind(StrEnum):
    """The type of a value in the file's own syntax; only JSON has types."""

    UNKNOWN = "unknown"
    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    NESTED = "nested"


_KINDS = {
    "a string": Kind.STRING,
    "a number": Kind.NUMBER,
    "a boolean": Kind.BOOLEAN,
    "an object": Kind.NESTED,
    "an array": Kind.NESTED,
}


class Peek(Record, frozen=True, kw_only=True):
    """The first records of a file, at most 1,000 and about 1 MB of text: values as text, None for NULL.

    `kinds` has the kinds of each column's values that are not NULL; in CSV and TSV all are UNKNOWN.
    `types` are the types that the file declares, as Parquet does; there are no rows then.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]
    kinds: tuple[frozenset[Kind], ...]
    types: tuple[str, ...] | None = None


def peek_file(source: SourceFile, *, tolerant: bool = False) -> Peek:
    """Return the first records of a file.

    Raises:
        BadSource: the file cannot be read, has another format or encoding, or a column name is missing or repeated.
        BadRow: a record has another number of fields than the header, or an element is not an object; if `tolerant`,
            the record is skipped.
        UsageError: an option does not apply to the format.
    """
    if source.format is Format.PARQUET:
        declared = parquet(source).columns(source)
        return Peek(columns=tuple(declared), rows=(), kinds=(), types=tuple(declared.values()))
    delimited = source.format in {Format.CSV, Format.TSV}
    return _peek_delimited(source, tolerant=tolerant) if delimited else _peek_json(source, tolerant=tolerant)


def _peek_delimited(source: SourceFile, *, tolerant: bool) -> Peek:
    form = dialect.dialect_of(source)
    with decompress.open_stream(source) as stream:
        opening = header.read_opening(stream, form, source, size=_SIZE)
    columns = header.column_names(source, form, opening)
    if columns is None:
        raise errors.BadSource(
            f"{source.path} has no header: its columns have no names",
            hint="Set `columns` in the table's options, in the file's order.",
        )
    found = _rows(source, form, opening, len(columns), tolerant=tolerant)
    rows = tuple(itertools.islice(found, _ROWS))
    mapping = column_mapping.mapping_of(source)
    kept = [name not in mapping.ignored for name in mapping.names(columns)]
    columns = tuple(itertools.compress(mapping.names(columns), kept))
    return Peek(
        columns=columns,
        rows=tuple(tuple(itertools.compress(row, kept)) for row in rows),
        kinds=(frozenset({Kind.UNKNOWN}),) * len(columns),
    )


def _rows(
    source: SourceFile, form: dialect.Dialect, opening: header.Opening, width: int, *, tolerant: bool
) -> Iterator[tuple[str | None, ...]]:
    """Yield the data records that were read completely."""
    end = len(opening.text) if opening.final else dialect.cut(form, opening.text, opening.eol)
    text = header.decode(form, opening.text[:end], source.path, tolerant=tolerant)
    if width > 1:
        text = text.rstrip("\r\n")
    try:
        for row in dialect.parse(form, text):
            if source.options.header and row.line == 1:
                continue
            if len(row.values) == width:
                yield row.values
            elif not tolerant:
                raise errors.BadRow(
                    f"{source.path}, line {row.line}: has {len(row.values)} values for {width} columns",
                    hint="Check the delimiter and the quotes of this line.",
                )
    except ValueError as error:
        raise header.unclosed(source.path, error.args[0]) from error


def _peek_json(source: SourceFile, *, tolerant: bool) -> Peek:
    mapping = column_mapping.mapping_of(source)
    first = json_reader.first_elements(source, tolerant=tolerant)
    records = list(json_reader.records_by_column(mapping, first, tolerant=tolerant))
    columns = tuple(dict.fromkeys(key for record in records for key in record if key not in mapping.ignored))
    rows = tuple(tuple(_text(record.get(name, b"null")) for name in columns) for record in records)
    kinds = tuple(
        frozenset(
            _KINDS[value_converters.kind(record[name])] for record in records if record.get(name, b"null") != b"null"
        )
        for name in columns
    )
    return Peek(columns=columns, rows=rows, kinds=kinds)


def _text(value: bytes) -> str | None:
    """Return a JSON value as text: the content of a string, any other value undecoded."""
    if value == b"null":
        return None
    return msgspec.json.decode(value, type=str) if value.startswith(b'"') else value.decode()
