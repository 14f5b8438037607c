"""The documentation: the site is whole, and what it says of the project's own files is so."""

import ast
import re
import subprocess
import sys
from pathlib import Path

from bluegreen_etl import errors
from bluegreen_etl.cli.root import COMMANDS

ROOT = Path(__file__).parents[2]
_PROOF = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_the_site_is_whole(tmp_path: Path) -> None:
    """Every page is in the navigation, and every link and anchor between pages leads somewhere."""
    # Not with --quiet: it keeps warnings from being counted.
    command = [sys.executable, "-m", "mkdocs", "build", "--config-file", ".mkdocs.yml", "--strict"]
    command += ["--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = {page.name for page in tmp_path.glob("*.html")}
    assert {"index.html", "changelog.html", "guarantees.html", "cli.html"} <= pages
    # Read from a disk or behind a firewall, it is the same: nothing is fetched from anywhere.
    fetched = {
        page: re.findall(r'(?:src|<link[^>]* href)="https?:[^"]*"', page.read_text())
        for page in tmp_path.glob("*.html")
    }
    assert [page.name for page, found in fetched.items() if found] == []


def test_each_guarantee_names_tests_that_exist() -> None:
    """A promise without a proof is none."""
    page = (ROOT / "docs/guarantees.md").read_text(encoding="utf-8")
    for section in page.split("\n## ")[1:]:
        proofs = _PROOF.findall(section)
        assert proofs, section.splitlines()[0]
        for file, name in proofs:
            assert _has(file, name), f"{file}::{name}"


def _has(file: str, name: str) -> bool:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_each_kind_of_object_names_the_test_that_has_seen_it() -> None:
    """What docs/objects.md says of a kind of object is not only said."""
    page = (ROOT / "docs/objects.md").read_text(encoding="utf-8")
    tables = re.findall(
        r"^\| object \| what happens \| seen in \|\n\|---\|---\|---\|\n((?:\|.*\n)+)", page, re.MULTILINE
    )
    rows = [row for table in tables for row in table.splitlines()]
    assert len(rows) > 15
    for row in rows:
        proofs = _PROOF.findall(row.split(" | ")[-1])
        assert proofs, row
        assert all(_has(file, name) for file, name in proofs), row


def test_errors_and_variables_are_what_the_code_has() -> None:
    """Whatever a page sends a reader to explain can be explained, and every variable that is read is on a page."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    for name in re.findall(r"bluegreen explain (\w+)", text):
        assert name == "NAME" or errors.find(name).__name__ == name
    code = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "bluegreen_etl").rglob("*.py"))
    read = set(re.findall(r"\"(BLUEGREEN_[A-Z_]+)\"", code))
    assert {"BLUEGREEN_DSN", "BLUEGREEN_EMBEDDED_DIR"} <= read
    assert sorted(name for name in read if f"`{name}`" not in text) == []


def test_the_readme_is_short_and_has_every_command() -> None:
    """A reader of this table alone knows every command."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 250
    table = text.split("## Commands")[1].split("## Exit codes")[0]
    assert [name for name in COMMANDS if not re.search(rf"`{name}\b", table)] == []


def test_each_place_that_contributing_names_exists() -> None:
    """The table "Where do I change …" and the list of packages are those of this tree."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    tables = page.split("## Where do I change")[1].split("## Words")[0]
    changes, house = tables.split("## The house")
    files = set(re.findall(r"`([a-z_]+/[\w/.]*)`", changes)) | set(re.findall(r"`(\w+\.py)`", changes))
    assert len(files) > 40
    tops = (ROOT / "bluegreen_etl", ROOT)
    assert sorted(file for file in files if not any((top / file).exists() for top in tops)) == []
    named = {name for row in re.findall(r"^\| (`.*?) \|", house, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    package = ROOT / "bluegreen_etl"
    modules = {file.stem for file in package.iterdir() if file.suffix == ".py" or (file / "__init__.py").exists()}
    assert modules - named == {"__init__", "__main__"}
    assert named <= modules
