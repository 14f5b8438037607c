"""Search SQL text outside of its strings, quoted names and comments."""

import re
from collections.abc import Iterator

# A quoted name, or one that needs no quotes.
IDENTIFIER = r'(?:"(?:[^"]|"")*"|[^\W\d][\w$]*)'
_OPAQUE = r"""
    --[^\n]*
  | (?<![\w$])[eE]'(?:[^'\\]|\\.|'')*'
  | '(?:[^']|'')*'
  | "(?:[^"]|"")*"
  | (?<![\w$])\$(?P<_tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=_tag)\$
"""


def scanner(pattern: str) -> re.Pattern[str]:
    """Compile a pattern for `find`; write its blanks as `[ ]` and use (?s:.) for any character.

    The pattern needs a group called `found`, and wins where a comment begins at the same place.
    """
    return re.compile(f"{pattern} | {_OPAQUE}", re.VERBOSE | re.DOTALL | re.MULTILINE)


def find(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Yield the matches of a scanner's pattern that are SQL: not inside a string, a quoted name or a comment."""
    return (match for match in pattern.finditer(text) if match["found"] is not None)


def unquote(identifier: str) -> str:
    """Return the name that an identifier stands for."""
    return identifier[1:-1].replace('""', '"') if identifier.startswith('"') else identifier
