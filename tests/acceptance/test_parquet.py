"""Parquet files as a user loads them: exact types, mixed with other formats, and what happens to broken ones."""

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from psycopg.rows import TupleRow
from pyarrow import parquet

from tests.acceptance.refusals import refused
from tests.support import TEAMS, Bluegreen, Live

Connection = psycopg.Connection[TupleRow]


def write(bluegreen: Bluegreen, file: str, /, **columns: Any) -> Path:  # noqa: ANN401 - Arrow's arrays
    """Write a Parquet file of several row groups below the test's directory."""
    path = bluegreen.directory / file
    path.parent.mkdir(exist_ok=True)
    parquet.write_table(pa.table(columns), path, row_group_size=2)
    return path


def test_a_first_load_takes_the_types_that_the_file_declares(bluegreen: Bluegreen, connection: Connection) -> None:
    """Decimals, times, nested values: nothing is guessed from the rows."""
    write(
        bluegreen,
        "data/prices.parquet",
        id=pa.array([1, 2, 3], pa.int64()),
        amount=pa.array([Decimal("1.10"), None, Decimal("12345678901234567.89")], pa.decimal128(19, 2)),
        at=pa.array([datetime(2024, 2, 29)] * 3, pa.timestamp("us", "UTC")),  # noqa: DTZ001 - Arrow's zone counts
        tags=pa.array([["a", None], [], None], pa.list_(pa.string())),
        more=pa.array([{"k": 1}, None, {"k": 2}], pa.struct([("k", pa.int32())])),
    )
    bluegreen("load", "data", "--promote")
    found = connection.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = 'league.prices'::regclass AND attnum > 0 ORDER BY attnum"
    ).fetchall()
    assert dict(found) == {
        "id": "bigint",
        "amount": "numeric(19,2)",
        "at": "timestamp with time zone",
        "tags": "text[]",
        "more": "jsonb",
    }
    rows = connection.execute("SELECT id, amount, tags, more FROM league.prices ORDER BY id").fetchall()
    assert rows == [
        (1, Decimal("1.10"), ["a", None], {"k": 1}),
        (2, None, [], None),
        (3, Decimal("12345678901234567.89"), None, {"k": 2}),
    ]


def test_a_table_is_filled_from_parquet_in_binary_and_as_text(
    bluegreen: Bluegreen, live: Live, connection: Connection
) -> None:
    """Columns in any order, a default where one is missing, and types that have no proven binary pair."""
    connection.execute("ALTER TABLE league.players ADD COLUMN home inet")
    bluegreen.write("data/teams.csv", TEAMS)
    players = {"name": ["Ann", "Zoë"], "team_id": pa.array([1, 2], pa.int64())}
    write(bluegreen, "data/players.parquet", **players)
    bluegreen("load", "data", "--promote")
    assert connection.execute("SELECT id, team_id, name FROM league.players ORDER BY id").fetchall() == [
        (1, 1, "Ann"),
        (2, 2, "Zoë"),
    ]
    write(bluegreen, "data/players.parquet", **players, home=["10.0.0.1/8", None])
    bluegreen("load", "data", "--promote")
    assert connection.execute("SELECT name, home::text FROM league.players ORDER BY name").fetchall() == [
        ("Ann", "10.0.0.1/8"),
        ("Zoë", None),
    ]


@pytest.mark.parametrize("home", [None, "10.0.0.1"])
def test_a_broken_value_is_named_by_its_row(
    bluegreen: Bluegreen, live: Live, connection: Connection, home: str | None
) -> None:
    """In binary, and where the table has to go as text; the lines inside of values count for nothing."""
    connection.execute("ALTER TABLE league.players ADD COLUMN home inet, ADD COLUMN age int CHECK (age < 100)")
    bluegreen.write("data/teams.csv", TEAMS)
    more = {"home": [home] * 5} if home else {}
    name = pa.array(["two\nlines", "b", "c", "d", "e"])
    write(bluegreen, "data/players.parquet", team_id=[1] * 5, name=name, age=[1, 2, 3, 444, 5], **more)
    assert "players.parquet, row 4" in refused(bluegreen, "load", "data", live=live).sentence
    write(bluegreen, "data/players.parquet", team_id=[1] * 5, name=name, age=[1, 2, 3, 4, 1 << 40], **more)
    sentence = refused(bluegreen, "load", "data", live=live).sentence
    assert "players.parquet, row 5" in sentence
    assert str(1 << 40) in sentence


def test_a_file_that_is_not_parquet_or_cut_off_is_refused(bluegreen: Bluegreen, live: Live) -> None:
    """One sentence, before anything is written."""
    bluegreen.write("data/teams.csv", TEAMS)
    whole = write(bluegreen, "data/players.parquet", team_id=[1], name=["Ann"]).read_bytes()
    for text in (b"id,name\n", whole[:-8]):
        bluegreen.write("data/players.parquet", text)
        assert "players.parquet cannot be read as Parquet" in refused(bluegreen, "load", "data", live=live).sentence


def test_options_of_text_are_refused(bluegreen: Bluegreen, live: Live) -> None:
    """An option that would be passed over in silence is an error."""
    bluegreen.write("data/teams.csv", TEAMS)
    write(bluegreen, "data/players.parquet", team_id=[1], name=["Ann"])
    bluegreen.write("bluegreen.toml", '[tables.players]\nnull = "NA"\n')
    assert refused(bluegreen, "load", "data", live=live, code=2).sentence.endswith("does not apply to Parquet")
