"""What is made of the server's words on a row, in the form in which Citus hands on those of its nodes."""

from types import SimpleNamespace

import psycopg
import pytest

from bluegreen_etl.shadow import build_indexes
from bluegreen_etl.shadow.copy_errors import Refusal, is_refusal


class Said(psycopg.Error):
    """An error of the server with these fields."""

    def __init__(self, sqlstate: str, **fields: str) -> None:
        super().__init__(fields.get("message_primary", ""))
        self.sqlstate = sqlstate
        names = ("message_primary", "message_detail", "context", "column_name", "table_name", "constraint_name")
        self._fields = SimpleNamespace(**{name: fields.get(name) for name in names})

    @property
    def diag(self) -> SimpleNamespace:  # type: ignore[override]
        """The fields."""
        return self._fields


NULL = Said(
    "XX000", message_primary="null value in column b of e_102008", message_detail="Failing row contains (2, null)."
)


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        (NULL, True),
        (Said("23502", message_primary="null value", context="COPY e, line 3"), True),
        (Said("XX000", message_primary="could not read block"), False),
        (Said("XX000", message_primary="broken", message_detail="Pages.", context="COPY e, line 3"), False),
        (Said("08006", message_primary="connection to the remote node failed"), False),
    ],
)
def test_node_that_refuses_a_row_is_no_failed_server(error: Said, refusal: bool) -> None:
    """A broken constraint comes without SQLSTATE and line; any other error has no DETAIL."""
    assert is_refusal(error) == refusal


def test_row_is_shown_if_its_line_is_unknown() -> None:
    """With the node's own DETAIL."""
    said = 'null value in column b of e_102008: "Failing row contains (2, null)."'
    assert Refusal.of(NULL, "e") == Refusal(None, None, said)


def test_port_of_a_node_is_no_line() -> None:
    """The column is at the end of the context."""
    context = "while executing command on 10.0.0.1:5432"
    assert Refusal.of(Said("23514", message_primary="m", context=f"\n{context}"), "e").line is None
    assert Refusal.of(Said("22P02", message_primary="m", context=f"COPY e, line 7\n{context}"), "e").line == 7


def test_broken_key_has_a_name_where_the_server_tells_none() -> None:
    """The one that pg_dump has for it."""
    error = Said("23505", message_primary="m", message_detail="Key (id)=(1) is duplicated.")
    assert build_indexes.bad_key(error, "teams teams_pkey").message == (
        "duplicate key: Key (id)=(1) is duplicated (constraint teams teams_pkey)"
    )
