"""Define the structs into which msgspec decodes objects: one field per column, nested as in the object."""

import re
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

import msgspec

from bluegreen_etl.model import Column
from bluegreen_etl.sources.column_mapping import ALL_UNKNOWN, ColumnMapping
from bluegreen_etl.sources.jsonfiles import value_converters

# Types whose values are strings in JSON, so the struct expects strings; other values take the exact path.
_STRINGS = (
    *("text", "citext", "character", '"char"', "name", "uuid", "bytea", "inet", "cidr"),
    *("date", "time", "interval"),
)

_ESCAPED = re.compile(r'["\\\x00-\x1f]')
T = TypeVar("T")


class Special(NamedTuple):
    """A value that needs conversion: its struct, its field, and its column."""

    holder: Callable[[Any], Any]
    field: str
    column: str


class Row(NamedTuple):
    """A struct for objects; `values` returns all values, `raw` those that are passed on undecoded.

    `array` is a struct with the same fields that is encoded as an array, if its fields are all columns in order.
    """

    array: type[msgspec.Struct] | None
    type: type[msgspec.Struct]
    values: Callable[[Any], tuple[Any, ...]]
    raw: Callable[[Any], tuple[Any, ...]] | None
    special: tuple[Special, ...]


def define(taken: Sequence[Column], keys: ColumnMapping) -> Row | None:
    """Return the struct for objects with columns at the paths of `keys`; None if msgspec cannot define it."""
    tree = _tree(taken, keys)
    if tree is None:
        return None
    places: dict[str, str] = {}
    row = _defined(tree, "", places, strict=ALL_UNKNOWN not in keys.ignored)
    attributes = [places[column.name] for column in taken]
    special, raw = [], []
    for column, attribute in zip(taken, attributes, strict=True):
        holder, _, field = attribute.rpartition(".")
        if value_converters.needs_conversion(column):
            special.append(Special(attrgetter(holder) if holder else _itself, field, column.name))
        elif not _is_text(column):
            raw.append(attribute)
    plain = not keys.paths and not keys.ignored
    array = msgspec.defstruct("Array", _fields(row), array_like=True, gc=False) if plain else None
    return Row(array, row, _taker(attributes), _taker(raw) if raw else None, tuple(special))


def _tree(taken: Sequence[Column], keys: ColumnMapping) -> dict[str, Any] | None:
    """Return the keys of an object, nested as in the object: columns at the ends, None for what is ignored."""
    tree: dict[str, Any] = {name: None for name in keys.ignored if name != ALL_UNKNOWN}
    for column in taken:
        *steps, last = keys.path(column.name)
        node = tree
        for step in steps:
            node = node.setdefault(step, {})
            if not isinstance(node, dict):
                return None
        if last in node or any(_ESCAPED.search(step) for step in (*steps, last)):
            # A path and its prefix both fill columns; or a key with escapes, which msgspec structs do not support.
            return None
        node[last] = column
    return tree


def _defined(tree: Mapping[str, Any], prefix: str, places: dict[str, str], *, strict: bool) -> type[msgspec.Struct]:
    """Define the struct for a tree of keys; record the attribute path of each column in `places`."""
    fields: list[tuple[str, Any, Any]] = []
    names = {}
    for position, (key, inner) in enumerate(tree.items()):
        # Field names must be identifiers; keys need not be.
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
    return not value_converters.needs_conversion(column) and column.base_type.startswith(_STRINGS)


def _taker(attributes: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    take = attrgetter(*attributes)
    # For a single name, attrgetter returns no tuple.
    return take if len(attributes) > 1 else lambda row: (take(row),)


def _itself(row: T) -> T:
    return row
