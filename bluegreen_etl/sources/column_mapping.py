"""Which of a file's names fills which column: its own, the one that `sources` says, or none."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from bluegreen_etl import errors
from bluegreen_etl.model import SourceFile
from bluegreen_etl.sources.jsonfiles import csv_values

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
Path = tuple[str, ...]
# In `ignore_columns`: every name that is not a column of the table.
ALL_STRANGERS = "*"


class Keys(NamedTuple):
    """What a file's names mean: `paths` leads from a column to its value, `ignored` are names passed over."""

    paths: tuple[tuple[str, Path], ...] = ()
    ignored: tuple[str, ...] = ()

    def is_ignored(self, name: str, known: Iterable[str]) -> bool:
        """Say whether a name of the file is passed over: it is listed, or all that are not `known` are."""
        return name in self.ignored or (ALL_STRANGERS in self.ignored and name not in known)

    def path(self, column: str) -> Path:
        """Return where the value of a column is."""
        return dict(self.paths).get(column, (column,))

    def names(self, given: Iterable[str]) -> list[str]:
        """Return the columns that a delimited file's names stand for, in the file's order."""
        columns = {path[0]: column for column, path in self.paths}
        return [columns.get(name, name) for name in given]

    def columns(self, record: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return the values of a JSON object, each as it is written, by column.

        Raises:
            values.Refused: a path leads through something else than an object, or a column has two values.
        """
        taken = {path[0] for _, path in self.paths}
        found = {name: value for name, value in record.items() if name not in taken}
        for column, path in self.paths:
            if column in found:
                raise csv_values.Refused(f'is beside one at "{"/".join(path)}", which fills the same column')
            value = _follow(record, path)
            if value is not None:
                found[column] = value
        return found


def keys_of(source: SourceFile) -> Keys:
    """Return what the names of a file mean, by its options.

    Raises:
        UsageError: one key for two columns.
    """
    paths = tuple((column, _path(key)) for column, key in source.options.sources.items())
    if len({path for _, path in paths}) < len(paths):
        raise errors.BadConfiguration(
            f'option sources of table "{source.table}" names one key for two columns',
            hint="Give each column a key of its own.",
        )
    return Keys(paths, source.options.ignore_columns)


def _path(key: str) -> Path:
    """Return the steps of a JSON Pointer (RFC 6901); what does not begin with a slash is a plain key."""
    if not key.startswith("/"):
        return (key,)
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in key[1:].split("/"))


def _follow(record: Mapping[str, bytes], path: Path) -> bytes | None:
    """Return the value at the end of a path; None where there is none."""
    value = record.get(path[0])
    for done, step in enumerate(path[1:], start=1):
        if value is None or value == b"null":
            return None
        if not value.startswith(b"{"):
            raise csv_values.Refused(f'is {csv_values.kind(value)} at "{path[done - 1]}", not an object with "{step}"')
        inner = _OBJECT.decode(value).get(step)
        value = None if inner is None else bytes(inner)
    return value
