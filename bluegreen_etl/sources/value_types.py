"""The narrowest PostgreSQL type of a value, and the narrowest type that holds all values of several types."""

import math
import re
import uuid
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal

import msgspec

# A leading zero or a plus sign is part of a postal code or a telephone number, not of an integer.
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)\Z")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)?\.[0-9]+\Z")
_FLOAT = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]+)?|\.[0-9]+)[eE][+-]?[0-9]+\Z")
# fromisoformat also accepts 20240101, week dates and nanoseconds, which PostgreSQL reads differently.
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(Z|[+-][0-9:]{2,6})?\Z"
)
_DECLARED = re.compile(r"numeric\(([0-9]+),([0-9]+)\)")

# A double preserves any 15 digits, and 17 if they are the shortest text of a double.
_SAFE_DIGITS = 15
_DOUBLE_DIGITS = 17
_BOOLEANS = frozenset({"t", "f", "true", "false", "True", "False", "TRUE", "FALSE"})
# A number of moderate length with a point: a double if other values have exponents, otherwise numeric.
SHORT_DECIMAL = "short decimal"
# A JSON object or array, which makes the whole column jsonb.
NESTED = "nested JSON"
# The type that a file declares for a column of NULLs only.
UNKNOWN = "unknown"
_INTEGERS = {"smallint": 5, "integer": 10, "bigint": 19}
_FLOATS = frozenset({"real", "double precision"})
_MOST_DIGITS = 1000  # of a numeric with declared precision

_MOMENT = r"[1-9][0-9]{3}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
_CLOCK = r"[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?"
# Common values that add nothing to a column of the type; others are classified one by one.
PATTERNS = {
    "smallint": r"-?(?:0|[1-9][0-9]{0,3})",
    "integer": r"-?(?:0|[1-9][0-9]{0,8})",
    "bigint": r"-?(?:0|[1-9][0-9]{0,17})",
    "numeric": r"-?(?:0|[1-9][0-9]{0,5})(?:\.[0-9]{1,8})?",
    "double precision": r"-?(?:0|[1-9][0-9]{0,6})(?:\.[0-9]{1,8}(?:[eE][+-]?[0-9]{1,2})?)?",
    "boolean": r"(?:t|f|true|false|True|False|TRUE|FALSE)",
    "date": _MOMENT,
    "timestamp": rf"{_MOMENT}(?:{_CLOCK})?",
    "timestamp with time zone": rf"{_MOMENT}{_CLOCK}(?:Z|[+-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?)",
    "uuid": r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
}


_ANY_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"


def pattern_of(types: set[str]) -> str | None:
    """Return the pattern of values that add nothing to `types`, whatever comes later; None if there is none."""
    return _ANY_NUMBER if is_exact_number(types) else PATTERNS.get(join(types))


def is_exact_number(types: set[str]) -> bool:
    """Whether the type is numeric for good; of short decimals only, an exponent would make a double."""
    return join(types) == "numeric" and bool(types & {"numeric", "bigint"}) and bool(types & {"numeric", SHORT_DECIMAL})


def type_of_text(value: str) -> str:
    """Return the narrowest type of a value in a format without types, such as CSV."""
    boolean = "boolean" if value in _BOOLEANS else None
    return boolean or type_of_number(value) or type_of_string(value) or _nested(value) or "text"


def type_of_number(value: str) -> str | None:
    """Return the narrowest type of a number; None if the value is not a number in plain notation."""
    if _INTEGER.match(value):
        # Longer numbers are numeric: Python refuses to convert integers of thousands of digits.
        number = int(value) if len(value) <= len("-9223372036854775808") else 1 << 63
        if -(1 << 31) <= number < 1 << 31:
            return "integer"
        return "bigint" if -(1 << 63) <= number < 1 << 63 else "numeric"
    mantissa = re.split("[eE]", value)[0]
    digits = len(re.sub("[^0-9]", "", mantissa).lstrip("0"))
    if _DECIMAL.match(value):
        return SHORT_DECIMAL if _survives_double(value, digits) else "numeric"
    if _FLOAT.match(value):
        underflow = float(value) == 0 and any(digit in mantissa for digit in "123456789")
        return "double precision" if _survives_double(value, digits) and not underflow else "numeric"
    return None


def _survives_double(value: str, digits: int) -> bool:
    """Whether a double gives back the same number."""
    if digits > _DOUBLE_DIGITS or math.isinf(float(value)):
        return False
    return digits <= _SAFE_DIGITS or Decimal(repr(float(value))) == Decimal(value)


def type_of_string(value: str) -> str | None:
    """Return the type of a value that JSON writes as a string; None if it is plain text."""
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


def join(found: Iterable[str]) -> str:
    """Return the narrowest type that holds the values of all types."""
    types = set(found) - {UNKNOWN}
    if NESTED in types:
        return "jsonb"
    if len(types) == 1 and types != {SHORT_DECIMAL}:
        return next(iter(types))
    if types and all(map(_is_number, types)):
        return _join_numbers(types)
    if types == {"date", "timestamp"}:
        return "timestamp"
    if types and all(each.endswith("[]") for each in types):
        return join(each.removesuffix("[]") for each in types) + "[]"
    return "text"


def _is_number(name: str) -> bool:
    return name in {*_INTEGERS, *_FLOATS, "numeric", SHORT_DECIMAL} or _DECLARED.fullmatch(name) is not None


def _join_numbers(types: set[str]) -> str:
    if types & _FLOATS:
        if any(name in {"bigint", "numeric"} or _DECLARED.fullmatch(name) for name in types):
            return "numeric"
        return "real" if types == {"real", "smallint"} else "double precision"
    if types <= set(_INTEGERS):
        return max(types, key=lambda name: _INTEGERS[name])
    if types & {"numeric", SHORT_DECIMAL}:
        return "numeric"
    pairs = [(int(found[1]), int(found[2])) for name in types if (found := _DECLARED.fullmatch(name))]
    pairs += [(_INTEGERS[name], 0) for name in types & set(_INTEGERS)]
    scale = max(scale for _, scale in pairs)
    precision = max(precision - own for precision, own in pairs) + scale
    return f"numeric({precision},{scale})" if precision <= _MOST_DIGITS else "numeric"
