"""Leaves columns out of delimited records, whose every other byte stays as it is: COPY itself cannot skip a column."""

import functools
import re
from collections.abc import Iterator
from typing import NamedTuple

from bluegreen_etl import errors
from bluegreen_etl.sources.delimited.dialect import Dialect


class Projection(NamedTuple):
    """Which fields of a record stay, by position, and how records are written: the delimiter, and a quoted value."""

    kept: tuple[bool, ...]
    delimiter: bytes
    quote: bytes
    value: bytes


class Misfit(ValueError):
    """A record of another length; its argument is where it begins."""


def projection(dialect: Dialect, kept: tuple[bool, ...]) -> Projection:
    """Return what leaves out the fields that are not kept."""
    return Projection(kept, dialect.copy_options.delimiter.encode(), dialect.quote, dialect.value)


def project(projection: Projection, data: bytes, first: int, where: str) -> bytes:
    """Return whole records without the fields that are left out.

    Args:
        data: records, the last one with its line end, the first one at line `first` of its file.
        where: how an error begins, with a place for the line.

    Raises:
        BadRow: a record has not as many fields as there are columns.
    """
    try:
        return b"".join(record for _, record in records(projection, data))
    except Misfit as error:
        feed = data[-1:]
        raise errors.BadRow(
            f"{where.format(first + data.count(feed, 0, error.args[0]))}: {complaint(projection)}",
            hint="Check the delimiter and the quotes of this line.",
        ) from error


def try_project(projection: Projection, data: bytes, first: int, where: str) -> bytes | None:
    """Return what `project` does; None where a record has not as many fields as there are columns."""
    try:
        return project(projection, data, first, where)
    except errors.BadRow:
        return None


def complaint(projection: Projection) -> str:
    """Return what is wrong with a record that is a Misfit."""
    return f"has not {len(projection.kept)} values"


def records(projection: Projection, data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield what `project` makes of each record, and where in `data` the record begins.

    Raises:
        Misfit: a record has not as many fields as there are columns.
    """
    match = _pattern(projection).match
    position = 0
    while position < len(data):
        found = match(data, position)
        if found is None:
            raise Misfit(position)
        yield position, b"".join(found.groups())
        position = found.end()


@functools.lru_cache(maxsize=8)
def _pattern(projection: Projection) -> re.Pattern[bytes]:
    """Return a pattern for one record; its groups are what stays of it."""
    delimiter = re.escape(projection.delimiter)
    quote = re.escape(projection.quote)
    field = rb"(?:[^" + delimiter + quote + rb"\r\n]++|" + projection.value + rb")*+"
    text = b""
    first = True
    for position, kept in enumerate(projection.kept):
        before = delimiter if position else b""
        if not kept:
            text += before + field
        elif first:
            text += before + b"(" + field + b")"
            first = False
        else:
            text += b"(" + before + field + b")"
    return re.compile(text + rb"(\r\n|\r|\n)", re.DOTALL)
