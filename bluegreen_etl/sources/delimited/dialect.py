"""Parse the records and fields of a dialect (delimiter, quote, escape, null text, encoding) as COPY's CSV does."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from bluegreen_etl import errors
from bluegreen_etl.model import CopyOptions, Format, SourceFile
from bluegreen_etl.sources.delimited import encodings

# From this code on, ASCII bytes also occur as second bytes in the multi-byte encodings that only clients may use.
_FIRST_TRAIL_BYTE = 0x30
# Encodings whose characters may contain ASCII bytes after the first byte.
EMBEDDING = frozenset({"cp932", "shift_jis_2004", "cp949", "cp950", "gbk", "gb18030", "johab"})


class ParsedRecord(NamedTuple):
    """A record parsed on the client: `line` is its first line, counted from 1; None is NULL."""

    line: int
    values: tuple[str | None, ...]


class Dialect(NamedTuple):
    """The dialect of a file and the patterns that follow from it; `field` and `quoted` match decoded text."""

    copy_options: CopyOptions
    codec: str
    quote: bytes
    value: bytes  # pattern of a quoted value
    doubled: bool  # quotes inside a quoted value are doubled, so counting quotes finds record ends
    first_record: re.Pattern[bytes]
    record: bytes  # pattern of one record that ends in a line feed
    marker: re.Pattern[bytes]
    field: re.Pattern[str]
    quoted: re.Pattern[str]


def dialect_of(source: SourceFile) -> Dialect:
    """Return the dialect of `source` from its format and options.

    Raises:
        UsageError: COPY does not accept an option.
    """
    given = source.options
    quote = '"' if given.quote is None else given.quote
    options = CopyOptions(
        delimiter=given.delimiter or ("\t" if source.format is Format.TSV else ","),
        quote=quote,
        escape=quote if given.escape is None else given.escape,
        null=given.null or "",
        encoding=given.encoding or "UTF8",
    )
    codec = encodings.codec(options.encoding)
    _check(options, codec, source.table)
    # Possessive quantifiers: a record is matched once, without backtracking.
    q, e, d = re.escape(options.quote), re.escape(options.escape), re.escape(options.delimiter)
    doubled = options.quote == options.escape
    inner = f"[^{q}]++|{q}{q}" if doubled else f"[^{q}{e}]++|{e}."
    value = f"(?:{q}(?:{inner})*+{q})"
    plain_bytes = f"(?:[^{q}\r\n]++|{value})*+"
    any_eol = "(\r\n|\r|\n)"
    return Dialect(
        copy_options=options,
        codec=codec,
        quote=options.quote.encode(),
        value=value.encode(),
        doubled=doubled,
        first_record=re.compile((plain_bytes + any_eol).encode(), re.DOTALL),
        record=f"(?:(?:[^{q}\n]++|{value})*+\n)".encode(),
        marker=re.compile(f"({value})|(?:\\A|(?<=[\r\n]))\\\\\\.(?=[\r\n]|\\Z)".encode(), re.DOTALL),
        field=re.compile(f"((?:[^{d}{q}\r\n]++|{value})*+)({d}|\r\n|\r|\n|\\Z)", re.DOTALL),
        quoted=re.compile(f"{q}((?:{inner})*+){q}", re.DOTALL),
    )


def cut(dialect: Dialect, buffer: bytes, eol: bytes) -> int:
    """Return the end of the last whole record in `buffer`, 0 if there is none; `buffer` must begin with a record."""
    last = eol[-1:]
    if not dialect.doubled:
        found = re.compile(one_record(dialect, eol).pattern + b"*+", re.DOTALL).match(buffer)
        return found.end() if found else 0
    end = len(buffer)
    inside = buffer.count(dialect.quote) % 2
    while True:
        newline = buffer.rfind(last, 0, end)
        if newline < 0:
            return 0
        inside ^= buffer.count(dialect.quote, newline, end) % 2
        if not inside:
            return newline + 1
        # No record ends inside this quoted value: continue before its opening quote.
        end = buffer.rfind(dialect.quote, 0, newline)
        inside = 0


def one_record(dialect: Dialect, eol: bytes) -> re.Pattern[bytes]:
    """Return the pattern of one record in a file with this line end."""
    return re.compile(dialect.record.replace(b"\n", eol[-1:]), re.DOTALL)


def without_end_marker(dialect: Dialect, records: bytes) -> bytes:
    r"""Return records with each record `\.` quoted: servers before 18 take it for the end of data."""
    special = {dialect.copy_options.delimiter, dialect.copy_options.quote}
    # Most files contain no backslash, and a search for one byte is much faster than for two.
    if b"\\" not in records or b"\\." not in records or "\\" in special:
        return records
    quoted = dialect.quote + b"\\." + dialect.quote
    return dialect.marker.sub(lambda found: found[1] or quoted, records)


def parse(dialect: Dialect, text: str) -> Iterator[ParsedRecord]:
    """Yield the records of decoded text; the last record may lack a line end.

    Raises:
        ValueError: a quoted value is not closed; its argument is the line where the record begins.
    """
    position, line = 0, 1
    while position < len(text):
        values: list[str | None] = []
        begin, stop = position, dialect.copy_options.delimiter
        while stop == dialect.copy_options.delimiter:
            found = dialect.field.match(text, position)
            if found is None:
                raise ValueError(line)
            values.append(_value(dialect, found[1]))
            position, stop = found.end(), found[2]
        yield ParsedRecord(line, tuple(values))
        line += max(text.count("\n", begin, position), text.count("\r", begin, position))


def _value(dialect: Dialect, field: str) -> str | None:
    """Return the value of a field; only a field without quotes can be NULL."""
    options = dialect.copy_options
    if options.quote not in field:
        return None if field == options.null else field
    pair = re.compile(re.escape(options.escape) + f"([{re.escape(options.quote + options.escape)}])")
    return dialect.quoted.sub(lambda found: pair.sub(r"\1", found[1]), field)


def _check(options: CopyOptions, codec: str, table: str) -> None:
    """Refuse options that COPY refuses, or with which record ends would be ambiguous."""
    for name in ("delimiter", "quote", "escape"):
        character: str = getattr(options, name)
        if len(character) != 1 or not character.isascii() or character in "\r\n\0":
            raise errors.BadConfiguration(
                f'option {name} of table "{table}" is {character!r}, not one ASCII character',
                hint=f'Set `{name}` to one character; write a tab as `"\\t"`.',
            )
        if codec in EMBEDDING and name != "delimiter" and ord(character) >= _FIRST_TRAIL_BYTE:
            raise errors.BadConfiguration(
                f'option {name} of table "{table}" is {character!r}, '
                f"which encoding {options.encoding} also uses inside characters",
                hint="Convert the file to UTF-8.",
            )
    if options.delimiter == options.quote:
        raise errors.BadConfiguration(
            f'options delimiter and quote of table "{table}" are the same character',
            hint="Set two different characters.",
        )
    if {options.delimiter, options.quote, "\r", "\n"} & set(options.null) or options.null == "\\.":
        raise errors.BadConfiguration(
            f'option null of table "{table}" holds the delimiter, the quote or a line end, or marks the end of data',
            hint="Set `null` to a text that may occur unquoted in the file.",
        )
