"""Read the beginning of a delimited file: its header, the names of its columns, and its line end."""

import difflib
import json
from collections.abc import Sequence
from typing import NamedTuple

from bluegreen_etl import errors
from bluegreen_etl.model import SourceFile
from bluegreen_etl.names import toml_key
from bluegreen_etl.sources import decompress
from bluegreen_etl.sources.delimited import dialect

# PostgreSQL's limit for the columns of a table.
MOST_COLUMNS = 1600
# Far more than the names of all columns need.
LONGEST_HEADER = 1 << 24
# Enough for the longest byte order mark.
SHORTEST_READ = 4


class Opening(NamedTuple):
    """The first text of a file: `first` is the length of the first record; if `final`, `text` is the whole file.

    `eol` is the line end of the first data record, which may differ from that of the header.
    """

    text: bytes
    first: int
    eol: bytes
    final: bool


def read_opening(stream: decompress.Stream, form: dialect.Dialect, source: SourceFile, *, size: int) -> Opening:
    """Read `size` bytes, or as many as the header and the first data record need.

    Raises:
        BadSource: PostgreSQL cannot read the text, or one of the two records has no end.
    """
    text = b""
    while len(text) <= source.options.longest_record:
        wanted = max(size, len(text), SHORTEST_READ)
        more = stream.read(wanted)
        text = text + more if text else decompress.without_bom(more, source.path)
        final = len(more) < wanted
        first = form.first_record.match(text)
        data = form.first_record.match(text, first.end()) if first and source.options.header else first
        # A carriage return at the end of the buffer may be half of a line end.
        if first and data and (final or data.end() < len(text)):
            return Opening(text, first.end(), data[data.re.groups], final)
        if source.options.header and (first.end() if first else len(text)) > LONGEST_HEADER:
            raise errors.BadSource(
                f"{source.path}, line 1: the header is longer than {LONGEST_HEADER >> 20} MB",
                hint="Check the file; if it has no header, set `header = false` and `columns`.",
            )
        if final:
            eol = first[first.re.groups] if first else b"\n"
            return Opening(text, first.end() if first else len(text), eol, final)
    raise errors.BadSource(f"{source.path}, line 1: a record is {too_long(source)}", hint=hint_too_long(source))


def too_long(source: SourceFile) -> str:
    """Return what a record is that exceeds the limit."""
    return f"longer than {source.options.longest_record >> 20} MB"


def hint_too_long(source: SourceFile) -> str:
    """Return the hint for a record that exceeds the limit."""
    most = (
        ""
        if source.options.longest_record >= 1 << 30
        else (f" If the record is right: `max_record_mb = 1024` under [tables.{toml_key(source.table)}].")
    )
    return f"Look for a quote or a bracket that is not closed.{most}"


def column_names(source: SourceFile, form: dialect.Dialect, opening: Opening) -> tuple[str, ...] | None:
    """Return the names by the options or else by the header; None when neither has any.

    Raises:
        BadSource: the header is not a list of different names, or not as long as the options say.
    """
    header = _header(source, form, opening) if source.options.header else None
    names = source.options.columns or header
    if names is None:
        return None
    if header is not None and len(names) != len(header):
        raise errors.WrongColumns(
            f"{source.path} has {len(header)} columns, the options name {len(names)}",
            hint="List every column of the file in `columns`, in the file's order.",
        )
    where = f"{source.path}, line 1" if names is header else f"{source.path}, option columns"
    if len(names) > MOST_COLUMNS and not source.options.ignore_columns:
        raise errors.BadSource(
            f"{where}: {len(names)} columns, and PostgreSQL accepts {MOST_COLUMNS}",
            hint="Check the delimiter, or split the file.",
        )
    seen: set[str] = set()
    for position, name in enumerate(names, start=1):
        if not name:
            raise errors.BadSource(f"{where}: column {position} has no name", hint=_renaming_hint(source, names))
        if name in seen:
            raise errors.BadSource(f'{where}: column "{name}" appears twice', hint=_renaming_hint(source, names))
        seen.add(name)
    return names


def _renaming_hint(source: SourceFile, names: Sequence[str]) -> str:
    """Return the lines that give each column a name of its own and skip those that had none."""
    unique: list[str] = []
    for position, name in enumerate(names, start=1):
        unique.append(name if name and name not in unique else f"{name or 'column'}_{position}")
    unnamed = [own for own, name in zip(unique, names, strict=True) if not name]
    lines = [f"columns = {json.dumps(unique, ensure_ascii=False)}"]
    if unnamed:
        lines.append(f"ignore_columns = {json.dumps(unnamed)}")
    return f"Rename it in the file, or write under `[tables.{toml_key(source.table)}]`: `{'`, `'.join(lines)}`."


def _header(source: SourceFile, form: dialect.Dialect, opening: Opening) -> tuple[str, ...]:
    text = decode(form, opening.text[: opening.first], source.path)
    if "\0" in text:
        raise errors.BadSource(
            f"{source.path}, line 1: the header contains NUL characters", hint="If it is UTF-16, convert it to UTF-8."
        )
    try:
        values = next(dialect.parse(form, text)).values
    except (ValueError, StopIteration) as error:
        raise unclosed(source.path, 1) from error
    return tuple(value or "" for value in values)


def decode(form: dialect.Dialect, data: bytes, path: str, *, tolerant: bool = False) -> str:
    """Decode the first bytes of a file.

    Raises:
        BadSource: the bytes are not valid in the encoding of the options, unless `tolerant`.
    """
    try:
        return data.decode(form.codec, "backslashreplace" if tolerant else "strict")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = error.start - data.rfind(b"\n", 0, error.start)
        raise errors.BadSource(
            f"{path}, line {line}, byte {byte}: 0x{data[error.start]:02x} is not {form.copy_options.encoding}",
            hint='Name its encoding under `[tables.TABLE]`: `encoding = "WIN1252"` or `encoding = "LATIN1"`.',
        ) from error


def unclosed(path: str, line: int) -> errors.BadSource:
    """Return the error for an unclosed quote."""
    return errors.BadSource(
        f"{path}, line {line}: a quoted value is not closed",
        hint="Close the quote, or double it if it belongs to the value.",
    )


def refuse_unknown(names: Sequence[str], known: Sequence[str], generated: Sequence[str], where: str) -> None:
    """Refuse names that are not columns that a file can fill.

    Raises:
        BadSource: the table lacks a column of this name, or the column is generated.
    """
    for name in names:
        if name in generated:
            raise errors.WrongColumns(
                f'{where}: column "{name}" is generated: a file cannot fill it',
                hint=f'Remove it, or add `ignore_columns = ["{name}"]` under `[tables.TABLE]`.',
            )
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f'Did you mean "{close[0]}"?' if close else "Add it to the table, or remove it from the file."
            raise errors.WrongColumns(f'{where}: "{name}" is not a column of the table', hint=hint)
