"""Words that many messages share: numbers with their nouns, long lists cut short, and data without control bytes."""

import re
from collections.abc import Iterable

_SIBILANTS = ("s", "x", "z", "ch", "sh")
_VOWELS = "aeiou"
# C0 except tab and newline, DEL, C1, and the marks that reorder the text of a line: a terminal obeys them.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def counted(number: int, noun: str) -> str:
    """Return a number with its noun in the singular or plural: `1 row`, `2 rows`, `2 indexes`, `2 tries`."""
    return f"{number} {noun if number == 1 else _plural(noun)}"


def listed(items: Iterable[object], most: int) -> str:
    """Return the first `most` items separated by commas, and how many more there are: `a, b and 3 more`."""
    texts = [str(item) for item in items]
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def printable(text: str) -> str:
    """Return a text that may hold data with its control characters escaped as psql does: `\\x1b`."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def printable_json(text: str) -> str:
    """Return the same JSON document with the control characters of its strings escaped: `\\u001b`."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2:-1] not in _VOWELS:
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(_SIBILANTS) else f"{noun}s"
