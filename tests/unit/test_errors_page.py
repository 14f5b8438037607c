"""docs/errors.md is what `bluegreen explain` says; `python -m tests.unit.test_errors_page` writes it again."""

from pathlib import Path

from click.testing import CliRunner

from bluegreen_etl import errors
from bluegreen_etl.cli.root import main

FILE = Path(__file__).parents[2] / "docs" / "errors.md"
HEAD = """\
# Errors

An error is one sentence that says what was found, and a hint that says what to do. The name at the end of the hint is
the error's: `bluegreen explain NAME` says what this page says of it, without a network. With `--log-format json` it is
`kind`, in Python the class `bluegreen_etl.errors.NAME`.

The family decides the [exit code](../README.md#exit-codes), so that a script need not know the names: an error that
gets a better name stays in its family.
"""


def page() -> str:
    """Return the page as it should be."""
    parts = [HEAD]
    for kind in errors.kinds():
        family = errors.family(kind)
        level = "###" if family else "##"
        belongs = f", a kind of [{family.__name__}](#{family.__name__.lower()})" if family else ""
        parts.append(f"{level} {kind.__name__}\n\n*Exit code {kind.exit_code}{belongs}.*\n\n{errors.meaning(kind)}\n")
    return "\n".join(parts)


def test_the_page_has_every_error() -> None:
    """Each has its anchor, and each anchor its error."""
    assert FILE.read_text(encoding="utf-8") == page()


def test_explain_says_what_the_page_says() -> None:
    """Whatever the case of the name; without one, the list; an unknown one is an error like any other."""
    for kind in errors.kinds():
        shown = CliRunner().invoke(main, ["explain", kind.__name__.lower()])
        assert (shown.exit_code, shown.stdout.split("\n\n", 1)[1]) == (0, errors.meaning(kind) + "\n")
        assert shown.stdout.startswith(f"{kind.__name__}: exit code {kind.exit_code}")
    listed = CliRunner().invoke(main, ["explain"]).stdout.splitlines()
    assert [line.split()[0] for line in listed] == [kind.__name__ for kind in errors.kinds()]
    assert all(line[len(kind.__name__)] == " " for line, kind in zip(listed, errors.kinds(), strict=True))
    unknown = CliRunner().invoke(main, ["explain", "Orphan"])
    assert (unknown.exit_code, unknown.stderr) == (
        2,
        "bluegreen: error: no error is called Orphan\n"
        "HINT: List all errors with `bluegreen explain`. (bluegreen explain UsageError)\n",
    )


def test_every_error_begins_with_a_sentence() -> None:
    """One line that can be read alone, then what to do."""
    for kind in errors.kinds():
        first, *rest = errors.meaning(kind).splitlines()
        assert first.endswith("."), kind
        assert rest[:1] == [""], kind
        assert kind.__doc__ != kind.__bases__[0].__doc__


if __name__ == "__main__":
    FILE.write_text(page(), encoding="utf-8")
