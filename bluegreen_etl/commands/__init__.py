"""The commands: one module per command, each reads as a table of contents."""
