"""Read SQL as psql's own scanner does, as far as needed: comments, quoted text, and the variables live and shadow."""

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
    """Split SQL into pieces, which joined are the text."""
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
    """A variable in SQL, written as in psql: `:"live"` is a schema as a name, `:'live'` as a text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)

    def __hash__(self) -> int:
        """Agree with the equality of its base."""
        return hash(self._obj)

    def as_bytes(self, context: AdaptContext | None = None) -> bytes:
        """Return the variable as psql would read it."""
        return str(self._obj).encode()


LIVE, LIVE_TEXT = Variable(':"live"'), Variable(":'live'")
SHADOW, SHADOW_TEXT = Variable(':"shadow"'), Variable(":'shadow'")
# The number that a scan computes on the checked table, and on live's.
NUMBER, LIVE_NUMBER = Variable(":number"), Variable(":live_number")


def composed(parts: list[Piece]) -> sql.Composed:
    """Return SQL whose variables are not bound yet."""
    return sql.Composed([Variable(piece.text) if piece.kind == "variable" else sql.SQL(piece.text) for piece in parts])


def bound(query: sql.Composable, values: Mapping[Variable, sql.Composable]) -> sql.Composed:
    """Return SQL with a value in place of each variable that has one."""
    parts = list(query) if isinstance(query, sql.Composed) else [query]
    filled = [values.get(part, part) if isinstance(part, Variable) else part for part in parts]
    return sql.Composed([bound(part, values) if isinstance(part, sql.Composed) else part for part in filled])


def mentions(query: sql.Composable, *variables: Variable) -> bool:
    """Say whether SQL holds one of the variables."""
    if isinstance(query, Variable):
        return query in variables
    return isinstance(query, sql.Composed) and any(mentions(part, *variables) for part in query)


def _comment_end(text: str, place: int) -> int:
    """Return the end of the block comment that begins at `place`; comments nest."""
    depth = 0
    for bound in _BOUND.finditer(text, place):
        depth += 1 if bound[0] == "/*" else -1
        if depth == 0:
            return bound.end()
    return len(text)
