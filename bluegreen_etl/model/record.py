"""What all records are."""

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all records: immutable, and ready for JSON."""


def to_json(value: object) -> str:
    """Return a value as compact JSON."""
    return msgspec.json.encode(value).decode()
