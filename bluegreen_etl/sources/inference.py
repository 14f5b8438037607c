"""Column types proposed from the first records: the narrowest that hold every value seen, text when in doubt."""

import re
import uuid
from collections.abc import Sequence
from datetime import date, datetime

import msgspec

from bluegreen_etl.model import Record
from bluegreen_etl.sources.peek import Kind, Peek

# No sign +, no leading zero: what looks so is a telephone number or a postal code, and means its zeros.
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)\Z")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)?\.[0-9]+\Z")
_FLOAT = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]+)?|\.[0-9]+)[eE][+-]?[0-9]+\Z")
# fromisoformat also takes 20240101, week dates and nanoseconds; these are not what PostgreSQL would keep.
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(Z|[+-][0-9:]{2,6})?\Z"
)

# Digits that a double always gives back; one more may be lost.
_DOUBLE_DIGITS = 17
_BOOLEANS = frozenset({"t", "f", "true", "false", "True", "False", "TRUE", "FALSE"})
# A number of moderate length with a point: a double where its neighbours have exponents, else numeric.
_SHORT_DECIMAL = "short decimal"
_NUMBERS = frozenset({"integer", "bigint", "numeric", "double precision", _SHORT_DECIMAL})


class InferredColumn(Record, frozen=True, kw_only=True):
    """A column and the PostgreSQL type proposed for it."""

    name: str
    type: str


def infer(peeks: Sequence[Peek]) -> tuple[InferredColumn, ...]:
    """Propose the columns of the one table that all the `peeks` belong to, in order of first appearance."""
    types: dict[str, set[str]] = {}
    for seen in peeks:
        for position, name in enumerate(seen.columns):
            values = {row[position] for row in seen.rows}
            types.setdefault(name, set()).update({seen.types[position]} if seen.types else ())
            types[name].update(_type_of(value, seen.kinds[position]) for value in values if value is not None)
    return tuple(InferredColumn(name=name, type=_joined(found)) for name, found in types.items())


def _joined(types: set[str]) -> str:
    """Return the one type that holds values of all `types`."""
    if len(types) == 1 and types != {_SHORT_DECIMAL}:
        return next(iter(types))
    if types and types <= _NUMBERS:
        if "double precision" in types and not types & {"bigint", "numeric"}:
            return "double precision"
        return "bigint" if types == {"integer", "bigint"} else "numeric"
    if types == {"date", "timestamp"}:
        return "timestamp"
    return "text"


def _type_of(value: str, kinds: frozenset[Kind]) -> str:
    """Return the narrowest type for one value; `kinds` are those of its whole column."""
    if Kind.NESTED in kinds:
        return "jsonb"
    if kinds == {Kind.NUMBER}:
        return _number(value) or "text"
    if kinds == {Kind.BOOLEAN}:
        return "boolean"
    if kinds == {Kind.STRING}:
        return _written(value) or "text"
    if kinds == {Kind.UNKNOWN}:
        return _boolean(value) or _number(value) or _written(value) or _nested(value) or "text"
    return "text"


def _boolean(value: str) -> str | None:
    return "boolean" if value in _BOOLEANS else None


def _number(value: str) -> str | None:
    if _INTEGER.match(value):
        # Longer ones are numeric by their length alone; Python refuses to read integers of thousands of digits.
        number = int(value) if len(value) <= len("-9223372036854775808") else 1 << 63
        if -(1 << 31) <= number < 1 << 31:
            return "integer"
        return "bigint" if -(1 << 63) <= number < 1 << 63 else "numeric"
    digits = sum(map(str.isdigit, re.split("[eE]", value)[0]))
    if _DECIMAL.match(value):
        return _SHORT_DECIMAL if digits <= _DOUBLE_DIGITS else "numeric"
    if _FLOAT.match(value):
        fits = digits <= _DOUBLE_DIGITS and abs(float(value)) != float("inf")
        return "double precision" if fits else "numeric"
    return None


def _written(value: str) -> str | None:
    """Return the type of what JSON can only write as a string."""
    try:
        if _DATE.match(value):
            date.fromisoformat(value)
            return "date"
        if found := _TIMESTAMP.match(value):
            datetime.fromisoformat(value)
            return "timestamp with time zone" if found[1] else "timestamp"
        if len(value) == len(str(uuid.NAMESPACE_DNS)) and str(uuid.UUID(value)) == value.lower():
            return "uuid"
    except ValueError:
        pass
    return None


def _nested(value: str) -> str | None:
    if not value.startswith(("{", "[")):
        return None
    try:
        msgspec.json.decode(value, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    return "jsonb"
