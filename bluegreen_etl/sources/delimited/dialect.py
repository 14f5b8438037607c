"""How a delimited file is written: where its records end and what its fields say, by the rules of COPY's CSV."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from bluegreen_etl import errors
from bluegreen_etl.model import CopyOptions, Format, SourceFile
from bluegreen_etl.sources.delimited import encodings

# From here on, ASCII characters are also second bytes of the multi-byte encodings that only clients may use.
_FIRST_TRAIL_BYTE = 0x30
# Encodings of which a letter's later bytes can be ASCII ones.
EMBEDDING = frozenset({"cp932", "shift_jis_2004", "cp949", "cp950", "gbk", "gb18030", "johab"})


class Row(NamedTuple):
    """One record read on the client: `line` is where it begins, counted from 1; None is NULL."""

    line: int
    values: tuple[str | None, ...]


class Dialect(NamedTuple):
    """A file's options with the patterns that follow from them; `field` and `quoted` are for decoded text."""

    copy_options: CopyOptions
    codec: str
    quote: bytes
    value: bytes  # a pattern for a quoted value
    doubled: bool  # a quote inside a quoted value is written twice, so that counting quotes is enough
    first_record: re.Pattern[bytes]
    record: bytes  # a pattern for one record that ends in a line feed
    marker: re.Pattern[bytes]
    field: re.Pattern[str]
    quoted: re.Pattern[str]


def dialect_of(source: SourceFile) -> Dialect:
    """Return how `source` is written, from its format and options.

    Raises:
        UsageError: an option is not one that COPY can take.
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
    # Possessive quantifiers: a record is read once, never tried again.
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
    """Return where the last whole record of `buffer` ends; 0 when it holds none. `buffer` begins with a record."""
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
        # Nothing before the quote that opened this value can end a record of it: go there in one step.
        end = buffer.rfind(dialect.quote, 0, newline)
        inside = 0


def one_record(dialect: Dialect, eol: bytes) -> re.Pattern[bytes]:
    """Return the pattern of a record in a file whose lines end so."""
    return re.compile(dialect.record.replace(b"\n", eol[-1:]), re.DOTALL)


def without_end_marker(dialect: Dialect, records: bytes) -> bytes:
    r"""Return records with each that is exactly `\.` quoted: to a server before 18 it is the end of data."""
    special = {dialect.copy_options.delimiter, dialect.copy_options.quote}
    # Most files hold no backslash at all, and one byte is found much faster than two.
    if b"\\" not in records or b"\\." not in records or "\\" in special:
        return records
    quoted = dialect.quote + b"\\." + dialect.quote
    return dialect.marker.sub(lambda found: found[1] or quoted, records)


def parse(dialect: Dialect, text: str) -> Iterator[Row]:
    """Yield the records of decoded text; the last one may lack its line end.

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
        yield Row(line, tuple(values))
        line += max(text.count("\n", begin, position), text.count("\r", begin, position))


def _value(dialect: Dialect, field: str) -> str | None:
    """Return what a field says; only one without any quotes can be NULL."""
    options = dialect.copy_options
    if options.quote not in field:
        return None if field == options.null else field
    pair = re.compile(re.escape(options.escape) + f"([{re.escape(options.quote + options.escape)}])")
    return dialect.quoted.sub(lambda found: pair.sub(r"\1", found[1]), field)


def _check(options: CopyOptions, codec: str, table: str) -> None:
    """Refuse what COPY would refuse, and what would make the cutting of records uncertain."""
    for name in ("delimiter", "quote", "escape"):
        character: str = getattr(options, name)
        if len(character) != 1 or not character.isascii() or character in "\r\n\0":
            raise errors.BadConfiguration(
                f'option {name} of table "{table}" is {character!r}, not one ASCII character',
                hint=f"Give one character as {name}; a tab is written \\t.",
            )
        if codec in EMBEDDING and name != "delimiter" and ord(character) >= _FIRST_TRAIL_BYTE:
            raise errors.BadConfiguration(
                f'option {name} of table "{table}" is {character!r}, '
                f"which encoding {options.encoding} uses inside letters",
                hint="Convert the file to UTF-8.",
            )
    if options.delimiter == options.quote:
        raise errors.BadConfiguration(
            f'options delimiter and quote of table "{table}" are the same character',
            hint="Give two different ones.",
        )
    if {options.delimiter, options.quote, "\r", "\n"} & set(options.null) or options.null == "\\.":
        raise errors.BadConfiguration(
            f'option null of table "{table}" holds the delimiter, the quote or a line end, or marks the end of data',
            hint="Give a text that can stand unquoted in the file.",
        )
