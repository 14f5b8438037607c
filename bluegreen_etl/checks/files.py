"""Read checks from files: one SELECT in each *.sql file; comments before it configure the check (docs/checks.md)."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bluegreen_etl import errors
from bluegreen_etl.checks import psql_variables
from bluegreen_etl.checks.check import Check, Threshold, threshold
from bluegreen_etl.model import Severity

_HEADER = re.compile(r"--\s*(?P<key>\w+):\s*(?P<value>.*?)\s*")


def find_check_files(directory: Path) -> list[Check]:
    """Read every *.sql file of a directory and its subdirectories, in the order of their names.

    Raises:
        UsageError: no such directory, an unreadable or empty file, an unknown or malformed header.
    """
    if not os.path.isdir(directory):  # noqa: PTH112 - Path.is_dir raises if the name is too long
        raise errors.BadConfiguration(f"no such directory of checks: {directory}", hint="Check checks.path.")
    files = {file.relative_to(directory).with_suffix("").as_posix(): file for file in directory.rglob("*.sql")}
    return [_read(name, files[name]) for name in sorted(files)]


def _read(name: str, file: Path) -> Check:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise errors.BadConfiguration(f"{file} cannot be read: {error}", hint="Check checks.path.") from error
    pieces = psql_variables.statement(text)
    if all(piece.kind in {"space", "comment"} for piece in pieces):
        raise errors.BadConfiguration(f"{file} holds no statement", hint="Write one SELECT of offending rows into it.")
    # The text is the project's own SQL; the server runs it read only.
    return Check(name=name, query=psql_variables.composed(pieces), file=str(file), **_headers(file, text))


def _headers(file: Path, text: str) -> dict[str, Any]:
    """Return the values in the comments before the statement, by the names of a check's fields."""
    found: dict[str, Any] = {}
    for comment in psql_variables.leading_comments(text):
        match = _HEADER.fullmatch(comment.text)
        if match is None:
            continue
        key, value = match["key"].lower(), match["value"]
        place = f"{file}, line {text.count(chr(10), 0, comment.start) + 1}"
        if key not in _KEYS:
            raise errors.BadConfiguration(
                f'{place}: unknown header "{match["key"]}"',
                hint=f"Known are {', '.join(_KEYS)}; any other comment belongs below the first word of the SELECT.",
            )
        if key in found:
            raise errors.BadConfiguration(f"{place}: a second {key}", hint="Leave one of them.")
        read, wanted, example = _KEYS[key]
        try:
            found[key] = read(value)
        except ValueError as error:
            raise errors.BadConfiguration(
                f'{place}: {key} "{value}" is not {wanted}', hint=f"Write `{example}`."
            ) from error
    _refuse_unreachable(file, found)
    return found


def _refuse_unreachable(file: Path, found: dict[str, Any]) -> None:
    limit = found.get("limit")
    for key in ("error_if", "warn_if"):
        wanted = found.get(key)
        if limit is not None and isinstance(wanted, Threshold) and not wanted.reachable(limit):
            raise errors.BadConfiguration(
                f"{file}: {key} {wanted.operator}{wanted.number} cannot be decided with limit {limit}",
                hint="Raise the limit: no more rows than that are counted.",
            )


def _severity(text: str) -> Severity:
    return Severity(text.lower())


def _limit(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise ValueError(text)
    return int(text)


def _tags(text: str) -> tuple[str, ...]:
    tags = tuple(tag.strip() for tag in text.split(","))
    if not all(tags):
        raise ValueError(text)
    return tags


_THRESHOLD = "an operator and a number"
# By key: the function that reads its value, what the value has to be, and an example.
_KEYS: dict[str, tuple[Callable[[str], object], str, str]] = {
    "severity": (_severity, "warn or error", "-- severity: warn"),
    "error_if": (threshold, _THRESHOLD, "-- error_if: >10"),
    "warn_if": (threshold, _THRESHOLD, "-- warn_if: >0"),
    "limit": (_limit, "a number of rows", "-- limit: 20"),
    "description": (str, "a text", "-- description: all players are born"),
    "tags": (_tags, "a list of words between commas", "-- tags: nightly, smoke"),
}
