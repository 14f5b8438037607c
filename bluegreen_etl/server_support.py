"""Which servers with PostgreSQL's protocol cannot run a cut-over, by their own answers. Pure."""

import re
from collections.abc import Callable
from typing import NamedTuple

_YUGABYTE_SETTING = "yb_ddl_transaction_block_enabled"


class Reason(NamedTuple):
    """The reason, and what to do."""

    message: str
    hint: str


def unfit_engine(version: str, setting: Callable[[str], str | None]) -> Reason | None:
    """Return why an engine cannot run a cut-over; None if it can.

    Args:
        version: the result of `SELECT version()`.
        setting: returns the value of a setting, None if it is unknown; called only for engines that have the query.
    """
    if version.startswith("CockroachDB"):
        return Reason(
            "this is CockroachDB: it can neither rename two schemas in one transaction nor lock tables",
            "Use PostgreSQL.",
        )
    if " Redshift " in version:
        return Reason(
            "this is Amazon Redshift: it has no COPY from a client, which loads need",
            "Use PostgreSQL.",
        )
    if re.search(r"-YB-\d", version) and setting(_YUGABYTE_SETTING) != "on":
        return Reason(
            "this is YugabyteDB, where each DDL statement commits on its own: readers would see half of a cut-over",
            "Set `ysql_yb_ddl_transaction_block_enabled` on its tablet servers (not tested), or use PostgreSQL.",
        )
    return None


def read_only(*, in_recovery: bool, transaction_read_only: bool) -> Reason | None:
    """Return why the server accepts no writes; None if it does."""
    if in_recovery:
        return Reason(
            "this server is a standby: it accepts no writes",
            "Connect to the primary; `bluegreen status` works here too.",
        )
    if transaction_read_only:
        return Reason(
            "transactions are read-only: default_transaction_read_only is on for the server, the database or the role",
            "Run `ALTER ROLE … SET default_transaction_read_only = off`; providers set it when a disk is nearly full.",
        )
    return None
