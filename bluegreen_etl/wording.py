"""Words that many messages share: numbers with their nouns, and long lists cut short."""

from collections.abc import Iterable

_SIBILANTS = ("s", "x", "z", "ch", "sh")
_VOWELS = "aeiou"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun in the singular or plural: `1 row`, `2 rows`, `2 indexes`, `2 tries`."""
    return f"{number} {noun if number == 1 else _plural(noun)}"


def listed(items: Iterable[object], most: int) -> str:
    """Return the first `most` items separated by commas, and how many more there are: `a, b and 3 more`."""
    texts = [str(item) for item in items]
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def _plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2:-1] not in _VOWELS:
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(_SIBILANTS) else f"{noun}s"
