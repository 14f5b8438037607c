"""Which servers that talk like PostgreSQL cannot do a cut-over, told by their own answers. Pure."""

import re
from collections.abc import Callable
from typing import NamedTuple

_YUGABYTE_SETTING = "yb_ddl_transaction_block_enabled"


class Reason(NamedTuple):
    """Why not, and what to do."""

    message: str
    hint: str


def unfit(version: str, setting: Callable[[str], str | None]) -> Reason | None:
    """Say why an engine cannot do it; None where it can.

    Args:
        version: what `SELECT version()` gives.
        setting: asked for a setting's value, None where there is none; only of servers that know such a question.
    """
    if version.startswith("CockroachDB"):
        return Reason(
            "this is CockroachDB: it neither renames two schemas in one step nor has table locks to hold readers off",
            "bluegreen needs PostgreSQL.",
        )
    if " Redshift " in version:
        return Reason(
            "this is Amazon Redshift: it has no COPY from a client, which is how a release is filled",
            "bluegreen needs PostgreSQL.",
        )
    if re.search(r"-YB-\d", version) and setting(_YUGABYTE_SETTING) != "on":
        return Reason(
            "this is YugabyteDB with each DDL statement committing by itself: half of a cut-over would be seen",
            "Set ysql_yb_ddl_transaction_block_enabled on its tablet servers (not tested), or use PostgreSQL.",
        )
    return None


def read_only(*, in_recovery: bool, transaction_read_only: bool) -> Reason | None:
    """Say why nothing can be written; None where it can."""
    if in_recovery:
        return Reason(
            "this server is a standby, where nothing can be written", "Connect to the primary; `status` works here too."
        )
    if transaction_read_only:
        return Reason(
            "transactions are read only here, by default_transaction_read_only of the server, the database or the role",
            "ALTER ROLE … SET default_transaction_read_only = off; a provider sets it where a disk is nearly full.",
        )
    return None
