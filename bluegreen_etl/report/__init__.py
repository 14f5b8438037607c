"""Show the results of commands, as tables for people or as JSON. The only writer of stdout."""
