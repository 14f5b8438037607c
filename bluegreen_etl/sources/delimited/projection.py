"""Remove columns from delimited records and keep every other byte: COPY itself cannot skip a column."""

import functools
import re
from collections.abc import Iterator
from typing import NamedTuple

from bluegreen_etl import errors
from bluegreen_etl.sources.delimited.dialect import Dialect


class Projection(NamedTuple):
    """The fields to keep, by position, and the delimiter, the quote, and the pattern of a quoted value."""

    kept: tuple[bool, ...]
    delimiter: bytes
    quote: bytes
    value: bytes


class WrongFieldCount(ValueError):
    """A record has an unexpected number of fields; the argument is its offset."""


def projection_of(dialect: Dialect, kept: tuple[bool, ...]) -> Projection:
    """Return the projection that removes the fields that are not `kept`."""
    return Projection(kept, dialect.copy_options.delimiter.encode(), dialect.quote, dialect.value)


def project(projection: Projection, data: bytes, first: int, where: str) -> bytes:
    """Return whole records without the removed fields.

    Args:
        data: records with their line ends; the first record is at line `first` of the file.
        where: the beginning of an error message, with a placeholder for the line.

    Raises:
        BadRow: a record has an unexpected number of fields.
    """
    try:
        return b"".join(record for _, record in records(projection, data))
    except WrongFieldCount as error:
        feed = data[-1:]
        raise errors.BadRow(
            f"{where.format(first + data.count(feed, 0, error.args[0]))}: {complaint(projection)}",
            hint="Check the delimiter and the quotes of this line.",
        ) from error


def try_project(projection: Projection, data: bytes, first: int, where: str) -> bytes | None:
    """Return the result of `project`; None if a record has an unexpected number of fields."""
    try:
        return project(projection, data, first, where)
    except errors.BadRow:
        return None


def complaint(projection: Projection) -> str:
    """Return the message for a record with an unexpected number of fields."""
    return f"the record does not have {len(projection.kept)} fields"


def records(projection: Projection, data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the offset in `data` and the remaining bytes of each record.

    Raises:
        WrongFieldCount: a record has an unexpected number of fields.
    """
    match = _pattern(projection).match
    position = 0
    while position < len(data):
        found = match(data, position)
        if found is None:
            raise WrongFieldCount(position)
        yield position, b"".join(found.groups())
        position = found.end()


@functools.lru_cache(maxsize=8)
def _pattern(projection: Projection) -> re.Pattern[bytes]:
    """Return a pattern for one record; its groups are the kept parts."""
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
