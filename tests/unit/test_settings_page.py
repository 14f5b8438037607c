"""docs/settings.md is what the sections say; `python -m tests.unit.test_settings_page` writes it again."""

import enum
import inspect
import math
import re
import tomllib
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest

from bluegreen_etl import config
from bluegreen_etl.config import table_checks

DOCS = Path(__file__).parents[2] / "docs"
FILE = DOCS / "settings.md"
HEAD = """\
# Settings

Every key of `bluegreen.toml`, all of them optional. What comes before what, environments and `${NAME}`, and where data
files are, are on the page about [configuration](configuration.md).

Each key may also be in `[environments.NAME]`, nested as it is here.
"""


def page() -> str:
    """Return the page as it should be."""
    return "\n".join([HEAD, *sections(config.Settings, ())])


def sections(kind: Any, path: tuple[str, ...]) -> list[str]:  # noqa: ANN401 - a Struct, which mypy sees as a type
    """Return a section with its keys, and then those within it."""
    name = ".".join(path)
    parts = [
        f"## [{name}]\n\n{inspect.cleandoc(kind.__doc__)}\n"
        if path
        else f"## Above all sections\n\n{inspect.cleandoc(kind.__doc__)}\n"
    ]
    keys, inner = [], []
    hints = get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        within = section_of(hints[field.name])
        if within is None:
            keys.append(row(field, hints[field.name]))
        else:
            several = (
                ("NAME" if field.name == "tables" else "COLUMN",) if get_origin(bare(hints[field.name])) is dict else ()
            )
            inner += sections(within, (*path, field.encode_name, *several))
    if keys:
        parts.append("\n".join(["| key | value | default | meaning |", "|---|---|---|---|", *keys]) + "\n")
    return [*parts, *inner]


def row(field: msgspec.structs.FieldInfo, hint: Any) -> str:  # noqa: ANN401 - any annotation
    """Return the line of the table about one key."""
    return f"| `{field.encode_name}` | {shown(hint)} | {default(field)} | {meaning(hint)} |"


def section_of(hint: Any) -> Any:  # noqa: ANN401 - any annotation
    """Return the Struct that a key holds, itself or by name, where it is a section; None where it is a value."""
    hint = bare(hint)
    if get_origin(hint) is dict:
        hint = bare(get_args(hint)[1])
    is_section = (
        isinstance(hint, type) and issubclass(hint, msgspec.Struct) and not issubclass(hint, table_checks.Declared)
    )
    return hint if is_section else None


def bare(hint: Any) -> Any:  # noqa: ANN401 - any annotation
    """Return a type without what is said about it, and without None."""
    if get_origin(hint) is Annotated:
        return bare(get_args(hint)[0])
    if get_origin(hint) in {UnionType, Union}:
        kept = [each for each in get_args(hint) if each is not NoneType]
        return bare(kept[0]) if len(kept) == 1 else hint
    return hint


def shown(hint: Any) -> str:  # noqa: ANN401 - any annotation
    """Return what a value looks like, in words."""
    limits = constraints(hint)
    hint = bare(hint)
    if get_origin(hint) is Literal:
        return ", ".join(f"`{each}`" for each in get_args(hint))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return ", ".join(f"`{each.value}`" for each in hint)
    if get_origin(hint) is tuple:
        return f"list of {plural(shown(get_args(hint)[0]))}"
    if get_origin(hint) is dict:
        return f"table of {plural(shown(get_args(hint)[1]))}"
    if get_origin(hint) in {UnionType, Union}:
        return " or ".join(dict.fromkeys(shown(each) for each in get_args(hint) if each is not NoneType))
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return f"table: {', '.join(own_fields(hint))}" if own_fields(hint) else "table"
    word = {str: "text", bool: "`true`, `false`", int: "whole number", float: "number"}[hint]
    return f"{word}{limits}"


def own_fields(kind: Any) -> list[str]:  # noqa: ANN401 - see sections
    """Return the keys of a declared check that are not those of all."""
    shared = {field.name for field in msgspec.structs.fields(table_checks.Declared)}
    return [f"`{field.encode_name}`" for field in msgspec.structs.fields(kind) if field.name not in shared]


def plural(words: str) -> str:
    """Return the words for several."""
    parts = words.split(" or ")
    return " or ".join(part if part.startswith("`") else re.sub(r"^(\w+( number)?)", r"\1s", part) for part in parts)


def constraints(hint: Any) -> str:  # noqa: ANN401 - any annotation
    """Return the limits of a number, or the form of a text, from anywhere in an annotation."""
    found: dict[str, Any] = {}
    pending = [hint]
    while pending:
        each = pending.pop()
        if get_origin(each) is Annotated:
            inner, *about = get_args(each)
            pending.append(inner)
            for meta in about:
                found |= {
                    name: getattr(meta, name)
                    for name in ("ge", "gt", "le", "pattern")
                    if getattr(meta, name) is not None
                }
        elif get_origin(each) in {UnionType, Union}:
            pending += get_args(each)
    if found.get("le", math.inf) < 1000:  # the other bounds only keep sums and dates computable
        return f" from {found['ge']} to {found['le']}"
    if "pattern" in found:
        return ", as `5 %`" if "%" in found["pattern"] else ", as `>10`"
    return f", at least {found['ge']}" if "ge" in found else f" above {found['gt']}" if "gt" in found else ""


def meaning(hint: Any) -> str:  # noqa: ANN401 - any annotation
    """Return what is said of a key; there is something."""
    [said] = [meta.description for meta in get_args(hint)[1:] if meta.description]
    return str(said).replace("|", "\\|")


def default(field: msgspec.structs.FieldInfo) -> str:
    """Return a default as TOML writes it; nothing where the description says what happens."""
    value = field.default
    if value in (None, msgspec.NODEFAULT, (), False) and value is not False:
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`" if value != {} else ""


def test_the_page_has_every_key() -> None:
    """A key that is added, renamed or explained otherwise is so on the page too."""
    assert FILE.read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("name", ["configuration.md", "checks.md", "objects.md", "recipes.md", "../README.md"])
def test_the_examples_are_settings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block of TOML in README and docs is read as bluegreen.toml would be."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```toml\n(.*?)^```", (DOCS / name).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    for block in blocks:
        (tmp_path / "bluegreen.toml").write_text(block, encoding="utf-8")
        for environment in [None, *tomllib.loads(block).get("environments", {})]:
            config.resolve({}, environment=environment, environ={"PRODUCTION_DATABASE_URL": "postgresql://db/app"})


if __name__ == "__main__":
    FILE.write_text(page(), encoding="utf-8")
