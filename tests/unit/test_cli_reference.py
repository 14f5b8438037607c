"""docs/cli.md is what --help says; `python -m tests.unit.test_cli_reference` writes it again."""

from collections.abc import Iterator
from pathlib import Path

import click

from bluegreen_etl.cli.root import main

FILE = Path(__file__).parents[2] / "docs" / "cli.md"
HEAD = """\
# Commands

What `--help` says of each. Completion of commands and options, for bash, zsh or fish:

    eval "$(_BLUEGREEN_COMPLETE=bash_source bluegreen)"     # into ~/.bashrc
    eval "$(_BLUEGREEN_COMPLETE=zsh_source bluegreen)"      # into ~/.zshrc
    _BLUEGREEN_COMPLETE=fish_source bluegreen | source      # into ~/.config/fish/completions/bluegreen.fish

Colours are for terminals only, and not where `NO_COLOR` is set.
"""


def commands(group: click.Group, name: str) -> Iterator[tuple[str, click.Command]]:
    """Yield a group's commands, each with what one types for it."""
    yield name, group
    context = click.Context(group)
    for word in group.list_commands(context):
        command = group.get_command(context, word)
        assert command
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {word}")
        else:
            yield f"{name} {word}", command


def reference() -> str:
    """Return the page as it should be."""
    parts = [HEAD]
    for name, command in commands(main, "bluegreen"):
        context = click.Context(command, info_name=name, terminal_width=100, max_content_width=100)
        context.help_option_names = ["-h", "--help"]
        parts.append(f"## {name}\n\n```\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def test_the_page_is_what_help_says() -> None:
    """Nobody has to remember it."""
    assert FILE.read_text(encoding="utf-8") == reference()


if __name__ == "__main__":
    FILE.write_text(reference(), encoding="utf-8")
