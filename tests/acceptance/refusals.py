"""What tests of refusals share: run a command that must fail, and see that live is what it was to the last byte."""

import re
from typing import NamedTuple

from tests.support import Bluegreen, Live

PREFIX = "bluegreen: error: "
HINT = "HINT: "
_MORE = re.compile(r" \(bluegreen explain (\w+)\)$")  # where more is said, at the end of each hint


class Refusal(NamedTuple):
    """What a command that failed has said: the sentence about what it found, the hint, its name, and its stdout.

    The hint is without the end that names the error.
    """

    sentence: str
    hint: str
    name: str
    stdout: str


def refused(
    bluegreen: Bluegreen,
    *arguments: str,
    live: Live | None = None,
    code: int = 1,
    stdin: str | bytes = b"",
    **environment: str,
) -> Refusal:
    """Run a command that must be refused with this exit code, a sentence and a hint, and must leave `live` alone."""
    before = live.dump() if live else None
    done = bluegreen(*arguments, code=code, stdin=stdin, **environment)
    if live:
        assert live.dump() == before
    lines = done.stderr.splitlines()
    places = [number for number, line in enumerate(lines) if line.startswith(PREFIX)]
    assert len(places) == 1, done.stderr
    error, *rest = lines[places[0] :]
    assert len(rest) == 1, done.stderr
    assert rest[0].startswith(HINT), done.stderr
    more = _MORE.search(rest[0])
    assert more, done.stderr
    return Refusal(error.removeprefix(PREFIX), rest[0][: more.start()].removeprefix(HINT), more[1], done.stdout)
