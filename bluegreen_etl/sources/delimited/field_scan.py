"""Widen the types of a delimited file's columns by all of its values.

Blocks without unusual quotes are parsed by pyarrow, if it is installed, and matched against the pattern of each
column's type; only values that do not match are classified one by one.
"""

import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import ModuleType
from typing import Any

from bluegreen_etl.model import Block, Column, SourceFile
from bluegreen_etl.sources import value_types
from bluegreen_etl.sources.delimited import dialect
from bluegreen_etl.sources.delimited.delimited_reader import DelimitedReader

_BLOCK_SIZE = 1 << 22
_LINE_END = re.compile("\r\n|\r|\n")
Types = Mapping[str, set[str]]


def widen(source: SourceFile, types: dict[str, set[str]]) -> None:
    """Add the types of all values in a file to `types`.

    Raises:
        BadSource: the file cannot be read.
        BadRow: a record is longer than PostgreSQL accepts.
    """
    columns = [Column(name=name, type="text") for name in types]
    reader = DelimitedReader(source, columns, block_size=_BLOCK_SIZE, tolerant=True)
    form = dialect.dialect_of(source)
    for block in reader.blocks():
        checked = [name for name in reader.columns if value_types.join(types[name]) != "text" or not types[name]]
        if not checked:
            return
        if block.broken or not _widen_by_arrow(form, block, reader.columns, checked, types):
            _widen_by_record(form, block, reader.columns, checked, types)


def _widen_by_record(
    form: dialect.Dialect, block: Block, columns: Sequence[str], checked: Sequence[str], types: Types
) -> None:
    """Add the types of a block's values, parsed record by record."""
    text = block.data.decode(form.codec, "backslashreplace")
    rows = [values for values in _rows(form, text) if len(values) == len(columns)]
    for name in checked:
        position = columns.index(name)
        _classify({row[position] for row in rows}, types[name])


def _rows(form: dialect.Dialect, text: str) -> Iterator[Sequence[str | None]]:
    options = form.copy_options
    if options.quote not in text:
        for line in _LINE_END.split(text):
            yield [None if value == options.null else value for value in line.split(options.delimiter)]
        return
    try:
        for record in dialect.parse(form, text):
            yield record.values
    except ValueError:  # an unclosed quote, which the load reports with its line
        return


def _classify(values: set[str | None], found: set[str]) -> None:
    for value in values:
        if value is not None:
            found.add(value_types.type_of_text(value))
            if "text" in found:
                return


def _read_table(
    pyarrow: ModuleType, csv: ModuleType, form: dialect.Dialect, data: bytes, names: list[str], wanted: list[str]
) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Return the wanted columns of a block as a pyarrow.Table of strings."""
    if form.codec not in {"utf-8", "ascii"}:
        data = data.decode(form.codec, "replace").encode()
    options, quoted = form.copy_options, form.quote in data
    return csv.read_csv(
        pyarrow.BufferReader(data),
        csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=names),
        csv.ParseOptions(
            delimiter=options.delimiter,
            quote_char=options.quote if quoted else False,
            double_quote=quoted,
            newlines_in_values=quoted,
            ignore_empty_lines=len(names) > 1,
        ),
        csv.ConvertOptions(
            column_types=dict.fromkeys(names, pyarrow.string()),
            include_columns=wanted,
            null_values=[options.null],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def _widen_by_arrow(
    form: dialect.Dialect, block: Block, columns: Sequence[str], checked: Sequence[str], types: Types
) -> bool:
    """Add the types of a block's values, parsed by pyarrow; False if the block needs the exact parser."""
    pyarrow = _optional("pyarrow")
    if pyarrow is None or not _is_regular(form, block.data):
        return False
    csv, compute = _optional("pyarrow.csv"), _optional("pyarrow.compute")
    assert csv
    assert compute
    names = [str(position) for position in range(len(columns))]
    wanted = [names[columns.index(name)] for name in checked]
    try:
        table = _read_table(pyarrow, csv, form, block.data, names, wanted)
    except pyarrow.ArrowException:  # ragged records or bad encoding, for the exact parser
        return False
    for name, position in zip(checked, wanted, strict=True):
        values = table.column(position)
        pattern = value_types.pattern_of(types[name])
        if pattern:
            matches = compute.match_substring_regex(values, rf"\A(?:{pattern})\z")
            if compute.all(matches).as_py() in {True, None}:
                continue
            values = values.filter(compute.invert(matches))
        _classify(set(compute.unique(values).to_pylist()), types[name])
    return True


def _is_regular(form: dialect.Dialect, data: bytes) -> bool:
    """Whether every quote encloses a whole field, so that all parsers agree on the block."""
    if form.quote not in data:
        return True
    if not form.doubled:
        return False
    delimiter, quote = form.copy_options.delimiter.encode(), form.quote
    opening = data.count(delimiter + quote) + data.count(b"\n" + quote) + data.count(b"\r" + quote)
    closing = data.count(quote + delimiter) + data.count(quote + b"\r") + data.count(quote + b"\n")
    closing -= 0 if data.endswith((b"\r", b"\n")) else -data.endswith(quote)
    return opening + data.startswith(quote) == closing and not _stray(delimiter, quote).search(data)


@cache
def _stray(delimiter: bytes, quote: bytes) -> re.Pattern[bytes]:
    inside = rb"[^" + re.escape(delimiter) + re.escape(quote) + rb"\r\n]"
    return re.compile(re.escape(quote) + rb"(?<=" + inside + re.escape(quote) + rb")(?=" + inside + rb")")


@cache
def _optional(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
