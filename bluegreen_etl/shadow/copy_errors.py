"""What the server says of a row that COPY refuses: which line, which column, and why."""

import re
from typing import NamedTuple

import psycopg

from bluegreen_etl import names

_CONTEXT = re.compile(r"(?P<line>\d+)(?:, \w+ (?P<column>.+?))?(?:: [^\w\s](?P<text>.*)[^\w\s])?$", re.DOTALL)
_ON_NODE = "\nwhile executing command on "  # of Citus, and then the node's address
_SHOWN = 60


def is_refusal(error: psycopg.Error) -> bool:
    """Say whether COPY has refused what it was sent.

    Where a constraint is broken on a node of Citus, its words are handed on without SQLSTATE and line.
    """
    if error.diag.context:
        return (error.sqlstate or "")[:2] in {"22", "23", "42", "P0"}
    return error.sqlstate == "XX000" and error.diag.message_detail is not None


class Refusal(NamedTuple):
    """The server's word on one row: `line` counts from 1 in what COPY was sent; None where it told none."""

    line: int | None
    column: str | None
    reason: str

    @property
    def explained(self) -> str:
        """The reason, with its column in front of it."""
        return f"column {names.quoted(self.column)}: {self.reason}" if self.column else self.reason

    def hint(self, sqlstate: str, table: str, *, inferred: bool) -> str:
        """Return what to do about it; `inferred`: the table's types were, from its files."""
        table = names.toml_key(table)
        if sqlstate == "22021":
            return f'Say how the file is encoded: encoding = "LATIN1" in [tables.{table}], or --encoding.'
        if inferred and self.column and sqlstate.startswith("22"):
            return (
                f"The type was inferred from the file's first rows; declare another one in bluegreen.toml: "
                f'[tables.{table}] types = {{ {names.toml_key(self.column)} = "text" }}, or give your own DDL.'
            )
        return "Mend the file and load again."

    @classmethod
    def of(cls, error: psycopg.Error, table: str) -> "Refusal":
        """Read an error that COPY into a table has met."""
        context = (error.diag.context or "").partition(_ON_NODE)[0]
        match = _CONTEXT.search(context.partition(f"COPY {table}, ")[2] or context)
        column, text = error.diag.column_name, None if context else error.diag.message_detail
        if match:
            column, text = column or match["column"], match["text"]
        reason = _with_value(error.diag.message_primary or "", text or "")
        return cls(int(match["line"]) if match else None, column, reason)


def _with_value(reason: str, value: str) -> str:
    """Return the server's reason on one line with the value that it is about, both shortened."""
    shown = f"{value[:_SHOWN]}…" if len(value) > _SHOWN else value
    if value and value[:_SHOWN] not in reason:
        reason += f': "{shown}"'
    elif shown != value:
        reason = reason.partition(value[:_SHOWN])[0] + f'{shown}"'
    return reason.replace("\r", "\\r").replace("\n", "\\n")
