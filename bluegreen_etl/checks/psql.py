"""Reads SQL as psql's own scanner does, as far as needed: where comments and quoted text begin and end."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_PIECE = re.compile(
    r"""
      (?P<space> \s+ )
    | (?P<comment> --[^\n]* | /\* )
    | (?P<quoted> [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*"
                | \$(?P<tag>(?:[^\W\d]\w*)?)\$ .*? \$(?P=tag)\$ )
    | (?P<code> [^\W\d][\w$]* | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_BOUND = re.compile(r"/\*|\*/")


class Piece(NamedTuple):
    """A piece of SQL: `kind` is space, comment, quoted or code; `start` is its place in the text."""

    kind: str
    text: str
    start: int


def pieces(text: str) -> Iterator[Piece]:
    """Split SQL; the pieces put together are the text again."""
    place = 0
    while match := _PIECE.match(text, place):
        end = _comment_end(text, place) if match[0] == "/*" else match.end()
        yield Piece(match.lastgroup or "code", text[place:end], place)
        place = end


def statement(text: str) -> list[Piece]:
    """Return the pieces of a file of one statement without the semicolons that end it."""
    found = list(pieces(text))
    for number in reversed(range(len(found))):
        if found[number].text == ";":
            del found[number]
        elif found[number].kind not in {"space", "comment"}:
            break
    return found


def leading_comments(text: str) -> Iterator[Piece]:
    """Yield the comments before the first statement."""
    for piece in pieces(text):
        if piece.kind == "comment":
            yield piece
        elif piece.kind != "space":
            return


def _comment_end(text: str, place: int) -> int:
    """Return where the block comment that begins at `place` ends: they nest."""
    depth = 0
    for bound in _BOUND.finditer(text, place):
        depth += 1 if bound[0] == "/*" else -1
        if depth == 0:
            return bound.end()
    return len(text)
