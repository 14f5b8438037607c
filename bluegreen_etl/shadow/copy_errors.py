"""Read from an error of COPY which row the server refuses: line, column and reason."""

import re
from typing import NamedTuple

import psycopg

from bluegreen_etl import names, sqlstates

_CONTEXT = re.compile(r"(?P<line>\d+)(?:, \w+ (?P<column>.+?))?(?:: [^\w\s](?P<text>.*)[^\w\s])?$", re.DOTALL)
_ON_NODE = "\nwhile executing command on "  # of Citus, and then the node's address
_SHOWN = 60


def is_refusal(error: psycopg.Error) -> bool:
    """Say whether the server has refused rows of COPY.

    If a constraint fails on a node of Citus, the coordinator passes the message on without SQLSTATE and line.
    """
    if sqlstates.function_without_path(error):
        return False  # no row would fit
    if error.diag.context:
        return (error.sqlstate or "")[:2] in {"22", "23", "42", "P0"}
    return error.sqlstate == "XX000" and error.diag.message_detail is not None


class Refusal(NamedTuple):
    """Why the server refuses a row: `line` counts from 1 in what COPY was sent; None if the server gives no line."""

    line: int | None
    column: str | None
    reason: str

    @property
    def explained(self) -> str:
        """The reason, after the column if there is one."""
        return f"column {names.quoted(self.column)}: {self.reason}" if self.column else self.reason

    def hint(self, sqlstate: str, table: str, *, inferred: bool) -> str:
        """Return what to do; `inferred`: the table's types were inferred from its files."""
        table = names.toml_key(table)
        if sqlstate == "22021":
            return (
                f'Name the encoding of the file: `encoding = "LATIN1"` in `[tables.{table}]`, or `--encoding LATIN1`.'
            )
        if inferred and self.column and sqlstate.startswith("22"):
            return (
                f"The type was inferred from the file's first rows; declare another one in bluegreen.toml: "
                f'[tables.{table}] types = {{ {names.toml_key(self.column)} = "text" }}, or give your own DDL.'
            )
        return "Fix the file and load again."

    @classmethod
    def of(cls, error: psycopg.Error, table: str) -> "Refusal":
        """Read an error of COPY into a table."""
        context = (error.diag.context or "").partition(_ON_NODE)[0]
        match = _CONTEXT.search(context.partition(f"COPY {table}, ")[2] or context)
        column, text = error.diag.column_name, None if context else error.diag.message_detail
        if match:
            column, text = column or match["column"], match["text"]
        reason = _with_value(error.diag.message_primary or "", text or "")
        return cls(int(match["line"]) if match else None, column, reason)


def _with_value(reason: str, value: str) -> str:
    """Return the server's reason on one line with the refused value, both shortened."""
    shown = f"{value[:_SHOWN]}…" if len(value) > _SHOWN else value
    if value and value[:_SHOWN] not in reason:
        reason += f': "{shown}"'
    elif shown != value:
        reason = reason.partition(value[:_SHOWN])[0] + f'{shown}"'
    return reason.replace("\r", "\\r").replace("\n", "\\n")
