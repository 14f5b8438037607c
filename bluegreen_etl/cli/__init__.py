"""The command line: turn options into settings, call one command, write one report, turn errors into exit codes."""
