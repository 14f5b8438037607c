"""`bluegreen`: the group of all commands, each imported when it is called."""

import os
from importlib import import_module

import click

EXIT_CODES = """\b
Exit codes:
  0  done
  1  refused or failed, live unchanged
  2  usage or configuration
  3  checks failed, live unchanged or rolled back
  4  lock not obtained in the time allowed, live unchanged, safe to retry
  5  conflict: live has changed since the load, or another command is running
  6  outcome unknown: run `bluegreen status`; or your program wrote to live
"""

# In the order in which a new user needs them; --help keeps it.
COMMANDS = {
    "init": "admin",
    "load": "load",
    "run": "run",
    "open": "shared_release",
    "copy": "shared_release",
    "finish": "shared_release",
    "abort": "shared_release",
    "check": "inspect",
    "diff": "inspect",
    "promote": "promote",
    "rollback": "promote",
    "status": "inspect",
    "history": "inspect",
    "report": "inspect",
    "backup": "backup",
    "restore": "backup",
    "prune": "admin",
    "protect": "admin",
    "doctor": "admin",
    "explain": "admin",
    "demo": "admin",
    "embedded": "admin",
}


class Commands(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order of their use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, and import its module; None if no command has this name."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"bluegreen_etl.cli.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands, each with the first sentence of its help."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(limit=400)) for name, command in commands if command])


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EXIT_CODES,
)
@click.version_option(package_name="bluegreen-etl", prog_name="bluegreen")
def main() -> None:
    """Replace a whole PostgreSQL schema with freshly loaded data; no reader ever sees half of it.

    A release is loaded into a shadow schema, checked there, and made live by one short transaction. The previous
    release is kept for a rollback.

    \b
      bluegreen load data/ --schema league --promote
      bluegreen rollback --schema league
    """
    if os.environ.get("NO_COLOR"):
        click.get_current_context().color = False
