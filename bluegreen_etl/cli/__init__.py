"""The command line: options become settings, one call of a workflow, one report; errors become exit codes."""

from bluegreen_etl.cli import daily, sharing
from bluegreen_etl.cli.commands import main

__all__ = ["daily", "main", "sharing"]
