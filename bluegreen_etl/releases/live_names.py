"""Look for the live schema's name in SQL: a program or a function with it reaches live instead of a release."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from bluegreen_etl.checks import psql_variables

_LARGEST = 16 << 20  # bytes; a larger file is data rather than a script


def in_command(command: Sequence[str], schema: str) -> Iterator[str]:
    """Yield the first place in each SQL file among a command's arguments that names an object of the schema."""
    for argument in command[1:]:
        # psql has --file=FILE too.
        path = Path(argument.rpartition("=")[2] if argument.startswith("-") else argument)
        if path.suffix == ".sql" and path.is_file() and path.stat().st_size <= _LARGEST:
            found = first(path.read_text(encoding="utf-8", errors="replace"), schema)
            if found:
                line, name = found
                yield f"{path}, line {line}, names {name}"


def first(text: str, schema: str) -> tuple[int, str] | None:
    """Return the line and the qualified name of the first object; comments and strings do not count."""
    code = "".join(
        _blank(piece.text) if piece.kind == "comment" or piece.text[-1:] == "'" else piece.text
        for piece in psql_variables.pieces(text)
    )
    quoted = '"' + schema.replace('"', '""') + '"'
    plain = rf"(?i:{re.escape(schema)})|" if schema == schema.lower() else ""
    pattern = rf'(?<![\w$".])(?:{plain}{re.escape(quoted)})\s*\.\s*("(?:[^"]|"")*"|[^\W\d][\w$]*)'
    found = re.search(pattern, code)
    return (code.count("\n", 0, found.start()) + 1, f"{schema}.{found[1]}") if found else None


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)
