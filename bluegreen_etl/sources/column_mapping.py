"""Map the names in a file to columns: by equal name, by the option `sources`, or not at all (ignored)."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from bluegreen_etl import errors
from bluegreen_etl.model import SourceFile
from bluegreen_etl.sources.jsonfiles import value_converters

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
Path = tuple[str, ...]
# In `ignore_columns`: every name that is not a column of the table.
ALL_UNKNOWN = "*"


class ColumnMapping(NamedTuple):
    """Maps names in a file to columns: `paths` has the path of a column's value, `ignored` the skipped names."""

    paths: tuple[tuple[str, Path], ...] = ()
    ignored: tuple[str, ...] = ()

    def is_ignored(self, name: str, known: Iterable[str]) -> bool:
        """Whether a name of the file is skipped: it is listed, or `*` is and the name is not `known`."""
        return name in self.ignored or (ALL_UNKNOWN in self.ignored and name not in known)

    def path(self, column: str) -> Path:
        """Return the path of a column's value."""
        return dict(self.paths).get(column, (column,))

    def names(self, given: Iterable[str]) -> list[str]:
        """Return the columns for the names in a header, in the file's order."""
        columns = {path[0]: column for column, path in self.paths}
        return [columns.get(name, name) for name in given]

    def columns(self, record: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return the undecoded values of a JSON object by column.

        Raises:
            values.Refused: a path leads through a value that is not an object, or a column has two values.
        """
        taken = {path[0] for _, path in self.paths}
        found = {name: value for name, value in record.items() if name not in taken}
        for column, path in self.paths:
            if column in found:
                raise value_converters.BadValue(f'and the value at "{"/".join(path)}" fill the same column')
            value = _follow(record, path)
            if value is not None:
                found[column] = value
        return found


def mapping_of(source: SourceFile) -> ColumnMapping:
    """Return the mapping that the options of a file define.

    Raises:
        UsageError: one key is listed for two columns.
    """
    paths = tuple((column, _path(key)) for column, key in source.options.sources.items())
    if len({path for _, path in paths}) < len(paths):
        raise errors.BadConfiguration(
            f'option sources of table "{source.table}" names one key for two columns',
            hint="List a different key for each column.",
        )
    return ColumnMapping(paths, source.options.ignore_columns)


def _path(key: str) -> Path:
    """Return the steps of a JSON Pointer (RFC 6901); a text without a leading slash is one key."""
    if not key.startswith("/"):
        return (key,)
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in key[1:].split("/"))


def _follow(record: Mapping[str, bytes], path: Path) -> bytes | None:
    """Return the value at the end of a path; None if it is missing."""
    value = record.get(path[0])
    for done, step in enumerate(path[1:], start=1):
        if value is None or value == b"null":
            return None
        if not value.startswith(b"{"):
            raise value_converters.BadValue(
                f'is {value_converters.kind(value)} at "{path[done - 1]}", not an object with "{step}"'
            )
        inner = _OBJECT.decode(value).get(step)
        value = None if inner is None else bytes(inner)
    return value
