"""Reads SQL as psql's own scanner does, as far as needed: comments, quoted text, and its variables live and shadow."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from psycopg import sql
from psycopg.abc import AdaptContext

_PIECE = re.compile(
    r"""
      (?P<space> \s+ )
    | (?P<comment> --[^\n]* | /\* )
    | (?P<variable> (?<!:):(?:"(?:live|shadow)"|'(?:live|shadow)') )
    | (?P<quoted> [eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*"
                | \$(?P<tag>(?:[^\W\d]\w*)?)\$ .*? \$(?P=tag)\$ )
    | (?P<code> [^\W\d][\w$]* | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_BOUND = re.compile(r"/\*|\*/")


class Piece(NamedTuple):
    """A piece of SQL: `kind` is space, comment, variable, quoted or code; `start` is its place in the text."""

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


class Variable(sql.Composable):
    """A schema's name that is filled in later: `:"live"` as an identifier, `:'live'` as a text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.name = text[2:-1]
        self.is_text = text[1] == "'"

    def as_bytes(self, context: AdaptContext | None = None) -> bytes:
        """Return it as psql would read it."""
        return str(self._obj).encode()


LIVE, SHADOW = Variable(':"live"'), Variable(':"shadow"')


def composed(parts: list[Piece]) -> sql.Composed:
    """Return SQL with its variables still to be bound."""
    return sql.Composed([Variable(piece.text) if piece.kind == "variable" else sql.SQL(piece.text) for piece in parts])


def bound(query: sql.Composable, values: Mapping[str, str]) -> sql.Composable:
    """Return SQL with the variables filled."""
    if isinstance(query, Variable):
        value = values[query.name]
        return sql.Literal(value) if query.is_text else sql.Identifier(value)
    return sql.Composed([bound(part, values) for part in query]) if isinstance(query, sql.Composed) else query


def mentions(query: sql.Composable, name: str) -> bool:
    """Say whether SQL holds a variable."""
    if isinstance(query, Variable):
        return query.name == name
    return isinstance(query, sql.Composed) and any(mentions(part, name) for part in query)


def _comment_end(text: str, place: int) -> int:
    """Return where the block comment that begins at `place` ends: they nest."""
    depth = 0
    for bound in _BOUND.finditer(text, place):
        depth += 1 if bound[0] == "/*" else -1
        if depth == 0:
            return bound.end()
    return len(text)
