"""No part of a password reaches a message, whatever is wrong with the connection string."""

import pytest

from bluegreen_etl import db, errors


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://user:S3CR@TAIL@localhost:1/db",
        "postgresql://user:S3CR/TAIL@localhost:1/db",
        "postgresql://user:S3CR?TAIL@localhost:1/db",
        "postgresql://user:S3CR#TAIL@localhost:1/db",
        "postgresql://user:S3CR%TAIL@localhost:1/db",
        "postgresql://user:S3CR TAIL@localhost:1/db",
        "host=localhost port=1 password=S3CR TAIL dbname=db",
        "host=localhost port=1 sslmode=TAIL",
        "postgresql://localhost:1/db?sslmode=TAIL",
        "postgresql://localhost:1/db?target_session_attrs=TAIL",
        "postgresql://localhost:1/db?channel_binding=TAIL",
        "postgresql://localhost:1/db?connect_timeout=TAIL",
    ],
)
def test_password_is_in_no_message(dsn: str) -> None:
    """Neither in the error nor in what is said before it."""
    said: list[str] = []
    with (
        pytest.raises(errors.BluegreenError) as raised,
        db.Server(dsn, origin="--dsn", say=said.append).connect("test"),
    ):
        pass
    for text in (raised.value.message, raised.value.hint or "", *said):
        assert "S3CR" not in text
        assert "TAIL" not in text
