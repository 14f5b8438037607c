"""Errors: the exit code of each class, and one list of codes in every place."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from bluegreen_etl import errors
from bluegreen_etl.cli.root import EXIT_CODES, main

FAMILIES = {
    "BluegreenError": 1,
    "UsageError": 2,
    "BadSource": 1,
    "BadRow": 1,
    "Refused": 1,
    "NotPermitted": 1,
    "ServerFailed": 1,
    "InternalError": 1,
    "Interrupted": 1,
    "ChecksFailed": 3,
    "LockNotObtained": 4,
    "CommandFailed": 1,
    "Unfit": 1,
    "Conflict": 5,
    "OutcomeUnknown": 6,
}
README = Path(__file__).parents[2] / "README.md"


def classes() -> dict[str, type[errors.BluegreenError]]:
    """Return every error class by name."""
    found = vars(errors).items()
    return {name: kind for name, kind in found if isinstance(kind, type) and issubclass(kind, errors.BluegreenError)}


def test_each_class_has_its_exit_code() -> None:
    """The codes are a promise to scripts: they change only on purpose."""
    found = {name: kind.exit_code for name, kind in classes().items() if errors.family(kind) is None}
    assert found == FAMILIES


def test_a_cause_has_the_exit_code_of_its_family() -> None:
    """An error that gets a better name does not surprise a script."""
    causes = {kind: family for kind in classes().values() if (family := errors.family(kind))}
    assert len(causes) > 20
    assert all(kind.exit_code == family.exit_code and errors.family(family) is None for kind, family in causes.items())


def test_each_class_says_what_it_means() -> None:
    """The docstring is the class's own, not its parent's."""
    assert [name for name, kind in classes().items() if not kind.__dict__.get("__doc__")] == []


@pytest.mark.parametrize("kind", classes().values())
def test_an_error_carries_its_message_and_its_hint(kind: type[errors.BluegreenError]) -> None:
    """What was found and what to do about it are two things."""
    error = kind("something was found", hint="Do this.")
    assert (str(error), error.message, error.hint) == ("something was found", "something was found", "Do this.")


def test_help_and_readme_list_the_same_codes() -> None:
    """`bluegreen --help` and the README agree with the classes, to the word."""
    helped = dict(re.findall(r"^  (\d)  (.+)$", EXIT_CODES, re.MULTILINE))
    assert {int(code) for code in helped} == {0, *FAMILIES.values()}
    shown = CliRunner().invoke(main, ["--help"]).output
    assert all(f"{code}  {text}" in shown for code, text in helped.items())
    listed = dict(re.findall(r"^\| (\d) \| (.+?) \|$", README.read_text(encoding="utf-8"), re.MULTILINE))
    assert listed == helped
