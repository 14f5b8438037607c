"""Find what no setting may hold, and the line of bluegreen.toml that has a key."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Key = tuple[str, ...]
_HEADER = re.compile(r"\s*\[\[?(?P<key>[^\[\]]+)\]\]?\s*(?:#.*)?$")
_ASSIGNMENT = re.compile(r"\s*(?P<key>(?:[\w-]+|\"[^\"]*\"|'[^']*')(?:\s*\.\s*(?:[\w-]+|\"[^\"]*\"|'[^']*'))*)\s*=")
_PART = re.compile(r"[\w-]+|\"[^\"]*\"|'[^']*'")
_REPORTED = re.compile(r"\.(\w+)|\[(\.\.\.)\]")
_ANY = "..."  # how msgspec reports the key of a table whose keys are free


def find_bad_text(document: object, key: Key = ()) -> tuple[Key, str] | None:
    """Return the first text that neither the server nor the system can take: its key and the reason; None if all can.

    A key that cannot be taken counts as a text of its section.
    """
    if isinstance(document, str):
        reason = _find_reason(document)
        return (key, reason) if reason else None
    return next(filter(None, (find_bad_text(inner, place) for place, inner in _inner(document, key))), None)


def find_line(file: str, key: Key) -> int | None:
    """Return the line of a TOML file that sets a key, or the value that holds it; None if the text does not show it.

    `...` in the key matches any part.
    """
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    found: list[tuple[int, int]] = []
    section: Key = ()
    for number, line in enumerate(lines, 1):
        if header := _HEADER.match(line):
            section = _parts(header["key"])
        elif assignment := _ASSIGNMENT.match(line):
            own = (*section, *_parts(assignment["key"]))
            if _holds(own, key) or (own[:1] == ("environments",) and _holds(own[2:], key)):
                found.append((len(own), number))
    deepest = [number for depth, number in found if depth == max(found)[0]]
    return deepest[0] if len(deepest) == 1 else None


def reported_key(said: str) -> Key:
    """Return the key in a message of msgspec, which ends in its path: `$.tables[...].files[0]`."""
    path = re.search(r" - at `(?:key in )?\$(.*)`$", said)
    return tuple(name or _ANY for name, _ in _REPORTED.findall(path[1])) if path else ()


def _inner(document: object, key: Key) -> Iterator[tuple[Key, Any]]:
    if isinstance(document, Mapping):
        yield from ((key, name) for name in document)
        yield from (((*key, str(name)), value) for name, value in document.items())
    elif isinstance(document, list | tuple):
        yield from ((key, value) for value in document)


def _find_reason(text: str) -> str | None:
    if "\0" in text:
        return "holds the character NUL, which no text of PostgreSQL can hold"
    # An environment variable or an argument that is not UTF-8 arrives so.
    return "is not valid UTF-8" if any("\ud800" <= each <= "\udfff" for each in text) else None


def _parts(key: str) -> Key:
    return tuple(part.strip("\"'") for part in _PART.findall(key))


def _holds(own: Key, key: Key) -> bool:
    """Return whether `own` is the key, or a table written on one line that has the key in it."""
    return 0 < len(own) <= len(key) and all(
        wanted in {_ANY, part} for part, wanted in zip(own, key[: len(own)], strict=True)
    )
