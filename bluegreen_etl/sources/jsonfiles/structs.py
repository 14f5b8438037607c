"""Structs that msgspec decodes the objects of a shape into: a field for each column, nested as in the object."""

import re
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

import msgspec

from bluegreen_etl.model import Column
from bluegreen_etl.sources.column_mapping import ALL_STRANGERS, Keys
from bluegreen_etl.sources.jsonfiles import csv_values

# Types whose values are strings in JSON, so that msgspec may expect that; any other value is a surprise.
_STRINGS = (
    *("text", "citext", "character", '"char"', "name", "uuid", "bytea", "inet", "cidr"),
    *("date", "time", "interval"),
)

_ESCAPED = re.compile(r'["\\\x00-\x1f]')
T = TypeVar("T")


class Special(NamedTuple):
    """A value to be converted: which one of which struct, and the column that says how."""

    holder: Callable[[Any], Any]
    field: str
    column: str


class Row(NamedTuple):
    """A struct that objects are decoded into; `values` and `raw` take all, and those that go out as written.

    `array` is a struct of the same fields that is encoded as an array, where these are all and in order.
    """

    array: type[msgspec.Struct] | None
    type: type[msgspec.Struct]
    values: Callable[[Any], tuple[Any, ...]]
    raw: Callable[[Any], tuple[Any, ...]] | None
    special: tuple[Special, ...]


def define(taken: Sequence[Column], keys: Keys) -> Row | None:
    """Return the struct for objects that hold columns where `keys` say; None where msgspec has none."""
    tree = _tree(taken, keys)
    if tree is None:
        return None
    places: dict[str, str] = {}
    row = _defined(tree, "", places, strict=ALL_STRANGERS not in keys.ignored)
    ways = [places[column.name] for column in taken]
    special, raw = [], []
    for column, way in zip(taken, ways, strict=True):
        holder, _, field = way.rpartition(".")
        if csv_values.is_special(column):
            special.append(Special(attrgetter(holder) if holder else _itself, field, column.name))
        elif not _is_text(column):
            raw.append(way)
    plain = not keys.paths and not keys.ignored
    array = msgspec.defstruct("Array", _fields(row), array_like=True, gc=False) if plain else None
    return Row(array, row, _taker(ways), _taker(raw) if raw else None, tuple(special))


def _tree(taken: Sequence[Column], keys: Keys) -> dict[str, Any] | None:
    """Return the keys of an object, nested as in the object: columns at the ends, None for what is ignored."""
    tree: dict[str, Any] = {name: None for name in keys.ignored if name != ALL_STRANGERS}
    for column in taken:
        *steps, last = keys.path(column.name)
        node = tree
        for step in steps:
            node = node.setdefault(step, {})
            if not isinstance(node, dict):
                return None
        if last in node or any(_ESCAPED.search(step) for step in (*steps, last)):
            # An object and a value in it at once; or a key with escapes, for which msgspec has no structs.
            return None
        node[last] = column
    return tree


def _defined(tree: Mapping[str, Any], prefix: str, places: dict[str, str], *, strict: bool) -> type[msgspec.Struct]:
    """Define the struct for a tree of keys; `places` gets how each column's value is reached from the outermost."""
    fields: list[tuple[str, Any, Any]] = []
    names = {}
    for position, (key, inner) in enumerate(tree.items()):
        # A struct's own names must be identifiers; a key need not be one.
        field = f"field_{position}"
        names[field] = key
        if isinstance(inner, dict):
            nested = _defined(inner, f"{prefix}{field}.", places, strict=False)
            fields.append((field, nested, msgspec.field(default_factory=nested)))
            continue
        if inner is not None:
            places[inner.name] = prefix + field
        fields.append((field, str | None if inner is not None and _is_text(inner) else msgspec.Raw, None))
    return msgspec.defstruct("Row", fields, rename=names, forbid_unknown_fields=strict, gc=False)


def _fields(row: type[msgspec.Struct]) -> list[tuple[str, Any, Any]]:
    return [(field.name, field.type, field.default) for field in msgspec.structs.fields(row)]


def _is_text(column: Column) -> bool:
    return not csv_values.is_special(column) and column.base_type.startswith(_STRINGS)


def _taker(ways: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    take = attrgetter(*ways)
    # Of a single name, attrgetter does not make tuples.
    return take if len(ways) > 1 else lambda row: (take(row),)


def _itself(row: T) -> T:
    return row
