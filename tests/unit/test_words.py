"""The words of the project: code, SQL, help, pages and tests use the field's words (CONTRIBUTING.md, "Words")."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit import test_cli_reference

ROOT = Path(__file__).parents[2]

# Words that a reader would have to guess, and what to use. A blank also matches a line break, an underscore of a name,
# and the seam between two string literals.
WORDS = {
    r"mend(s|ed|ing)?": "fix, correct, grant",
    r"tells?|told|telling": "report, say, show",
    r"hang(s|ing)?|hung": "depend on",
    r"lies?|lying": "be",
    r"stands?|stood": "be",
    r"besides?": "next to, other than, at the same time as",
    r"anew": "again",
    r"whoever|whomever": "the noun",
    r"heed(s|ed|ing)?": "read, obey",
    r"of late": "recently",
    r"but for": "except for",
    r"to be had|(be|is|was|were) had": "obtain",
    r"in no state": "cannot",
    r"br(ing|ings|ought|inging)": "load, install, return",
    r"m(ake|akes|ade|aking)( (?!live)\w+){0,3} again": "re-create",
    r"by (it|him|her|them)sel(f|ves)": "automatically, alone",
    r"talk(s|ed|ing)?": "log",
    r"in (the|its|their|his|whose) way|way back|by way of": "blocking, rollback, through",
    r"put(s|ting)? off": "defer",
    r"followers?": "dependent",
    r"h(old|olds|eld|olding)( \w+)? off": "block",
    r"broken rows?": "bad row, rejected row",
}

# Text that is not checked: the pattern, and the reason.
EXCEPTIONS = {
    r"\bstands? for\b": "means `represents`",
    r"(\.|\bdef )tell\b": "the method of Python's files",
    r"\bstand[- _]ins?\b|(?<=_)stand_ins?\b": "the view in place of a carried table",
    r"\bput_off\b(?!\()": "a column of the ledger, whose released versions do not change",
    r"tests/[\w/]+\.py::\w+": "a proof's name, which test_docs.py compares with the tests",
}
_GLOSSARY = re.compile(r"(?s)(?<=\n## Words\n).*?(?=\n## )")
_THIRD_COLUMN = re.compile(r"(?m)(?<= \| )[^|\n]*\|$")


def _compiled(words: str) -> re.Pattern[str]:
    seam = r"""(?:[ \t_]|"\s*\n\s*f?"|\s*\n[\s#*-]*)+"""
    return re.compile(rf"(?<![A-Za-z])(?:{words.replace(' ', seam)})(?![A-Za-z])", re.IGNORECASE)


_PATTERNS = [(_compiled(words), instead) for words, instead in WORDS.items()]


def _hidden(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", "~", match[0])


def findings(name: str, text: str, first: int = 1) -> Iterator[str]:
    """Yield `name:line: word (what to use)` for each word not to use; the text begins at line `first`."""
    for exception in EXCEPTIONS:
        text = re.sub(exception, _hidden, text)
    found = sorted((match.start(), match[0], instead) for words, instead in _PATTERNS for match in words.finditer(text))
    for start, word, instead in found:
        yield f"{name}:{first + text.count(chr(10), 0, start)}: {' '.join(word.split())} ({instead})"


def _files(*globs: str) -> Iterator[str]:
    for file in sorted(file for glob in globs for file in ROOT.glob(glob) if file.is_file()):
        yield from findings(str(file.relative_to(ROOT)), file.read_text(encoding="utf-8"))


def _contributing() -> Iterator[str]:
    """Yield those of CONTRIBUTING, except for the glossary's column of words not to use."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    yield from findings("CONTRIBUTING.md", _GLOSSARY.sub(lambda part: _THIRD_COLUMN.sub(_hidden, part[0]), text))


def _docstrings() -> Iterator[str]:
    for file in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) or not ast.get_docstring(node):
                continue
            docstring = node.body[0]
            assert isinstance(docstring, ast.Expr)
            assert isinstance(docstring.value, ast.Constant)
            yield from findings(str(file.relative_to(ROOT)), str(docstring.value.value), docstring.lineno)


def found_in(area: str) -> list[str]:
    """Return what is found in one area of the project."""
    match area:
        case "bluegreen_etl":
            return list(_files("bluegreen_etl/**/*.py", "bluegreen_etl/**/*.jinja"))
        case "sql":
            return list(_files("sql/**/*.sql", "sql/**/*.toml"))
        case "docs":
            return list(_files("docs/*.md"))
        case "scripts":
            return list(_files("scripts/*"))
        case "README":
            return [*_files("README.md"), *_contributing()]
        case "--help":
            return list(findings("--help", test_cli_reference.reference()))
        case _:
            return list(_docstrings())


@pytest.mark.parametrize("area", ["bluegreen_etl", "sql", "docs", "scripts", "README", "--help", "tests"])
def test_each_text_uses_the_words_of_the_glossary(area: str) -> None:
    """Nothing has to be read twice: each finding names its place and what to use."""
    found = found_in(area)
    assert not found, f"{len(found)} words not to use:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a\nrows to mend", ["x:2: mend (fix, correct, grant)"]),
        ("indexes are put\n    # off until", ["x:1: put # off (defer)"]),
        ('"it was in the "\n    f"way"', ['x:1: in the " f"way (blocking, rollback, through)']),
        ("def put_off(): ...", ["x:1: put_off (defer)"]),
        ("amended, standby, believes, file.tell(), a key stands for a row", []),
    ],
    ids=["word", "comment", "literals", "name", "others"],
)
def test_words_are_found_across_lines_and_in_names(text: str, found: list[str]) -> None:
    """The list can find something, and leaves ordinary words alone."""
    assert list(findings("x", text)) == found
