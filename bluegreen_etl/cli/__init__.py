"""The command line: options become settings, one call of a command, one report; errors become exit codes."""
