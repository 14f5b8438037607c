"""The base of all records."""

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all records: immutable, and convertible to JSON."""


def to_json(value: object) -> str:
    """Return a value as compact JSON."""
    return msgspec.json.encode(value).decode()
