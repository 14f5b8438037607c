# ruff: noqa: DTZ001 - columns without a time zone hold such
"""Parquet's binary way into a column gives what the server reads from the value's text, pair of types by pair."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.rows import TupleRow

from bluegreen_etl import catalog
from bluegreen_etl.model import Column
from bluegreen_etl.sources.arrow import column_types, encoders
from tests.support import needs_extension

Connection = psycopg.Connection[TupleRow]


def ints(bits: int, *, signed: bool = True) -> st.SearchStrategy[int]:
    """Integers of so many bits."""
    return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1) if signed else st.integers(0, (1 << bits) - 1)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
DOUBLES = st.floats(width=64)
MOMENTS = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31))
ZONED = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC))
WHOLE = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(lambda moment: moment.replace(microsecond=0))
DAYS = st.dates(date(1, 1, 1))
TIMES = st.times()
DECIMALS = st.decimals(-(10**12), 10**12, places=4, allow_nan=False, allow_infinity=False)
SHORT = st.decimals(-(10**6), 10**6, places=2, allow_nan=False, allow_infinity=False)
JSON = st.sampled_from(['{"a": [1.10, null], "a": "\\u0041"}', "[]", "null", '"x"', "12345678901234567890.10"])

# The column's type, Arrow's, the values.
PAIRS: list[tuple[str, pa.DataType, st.SearchStrategy[Any]]] = [
    ("smallint", pa.int8(), ints(8)),
    ("smallint", pa.int16(), ints(16)),
    ("smallint", pa.uint8(), ints(8, signed=False)),
    ("integer", pa.int8(), ints(8)),
    ("integer", pa.int32(), ints(32)),
    ("integer", pa.int64(), ints(32)),
    ("bigint", pa.int32(), ints(32)),
    ("bigint", pa.int64(), ints(64)),
    ("bigint", pa.uint32(), ints(32, signed=False)),
    ("numeric", pa.int64(), ints(64)),
    ("numeric", pa.uint64(), ints(64, signed=False)),
    ("numeric", pa.decimal128(38, 4), DECIMALS),
    ("numeric(10,1)", pa.decimal128(9, 2), SHORT),
    ("numeric", pa.decimal128(9, 2), SHORT),
    ("real", pa.float32(), st.floats(width=32)),
    ("double precision", pa.float64(), DOUBLES),
    ("double precision", pa.int32(), ints(32)),
    ("double precision", pa.float32(), st.floats(width=32)),
    ("double precision", pa.float16(), st.floats(width=16)),
    ("real", pa.float16(), st.floats(width=16)),
    ("text", pa.binary(), TEXT.map(str.encode)),
    ("text", pa.dictionary(pa.int32(), pa.int64()), ints(32)),
    ("jsonb", pa.json_(), JSON),
    ("jsonb", pa.struct([("b", pa.binary())]), st.fixed_dictionaries({"b": TEXT.map(str.encode)})),
    ("jsonb", pa.list_(pa.timestamp("us")), st.lists(MOMENTS, max_size=3)),
    ("date", pa.timestamp("us"), DAYS.map(lambda day: datetime(day.year, day.month, day.day))),
    ("timestamp", pa.timestamp("ns"), st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1))),
    ("timestamptz", pa.timestamp("ns", "UTC"), st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1))),
    ("time", pa.time64("ns"), TIMES),
    ("boolean", pa.bool_(), st.booleans()),
    ("text", pa.string(), TEXT),
    ("text", pa.large_string(), TEXT),
    ("text", pa.string_view(), TEXT),
    ("text", pa.dictionary(pa.int32(), pa.string()), TEXT),
    ("text", pa.int64(), ints(64)),
    ("text", pa.bool_(), st.booleans()),
    ("text", pa.date32(), DAYS),
    ("character varying(20)", pa.string(), TEXT),
    ("character(14)", pa.string(), TEXT.map(lambda text: text.replace("\n", " "))),
    ("citext", pa.string(), TEXT),
    ("mood", pa.string(), st.sampled_from(["happy", 'so, "so"'])),
    ("positive", pa.int32(), st.integers(1, 100)),
    ("json", pa.string(), JSON),
    ("jsonb", pa.string(), JSON),
    ("jsonb", pa.list_(pa.int64()), st.lists(ints(64), max_size=3)),
    ("json", pa.struct([("a", pa.int32()), ("b", pa.string())]), st.fixed_dictionaries({"a": ints(32), "b": TEXT})),
    ("bytea", pa.binary(), st.binary(max_size=9)),
    ("bytea", pa.large_binary(), st.binary(max_size=9)),
    ("uuid", pa.binary(16), st.uuids().map(lambda uuid: uuid.bytes)),
    ("uuid", pa.uuid(), st.uuids().map(lambda uuid: uuid.bytes)),
    ("date", pa.date32(), DAYS),
    ("date", pa.date64(), DAYS),
    ("time", pa.time64("us"), TIMES),
    ("time", pa.time32("s"), TIMES.map(lambda moment: moment.replace(microsecond=0))),
    ("timestamp", pa.timestamp("us"), MOMENTS),
    ("timestamp", pa.timestamp("ms"), WHOLE),
    ("timestamp", pa.timestamp("s"), WHOLE),
    ("timestamp(3)", pa.timestamp("us"), MOMENTS),
    ("timestamptz", pa.timestamp("us", "UTC"), ZONED),
    ("timestamptz", pa.timestamp("ms", "Europe/Berlin"), ZONED.map(lambda moment: moment.replace(microsecond=0))),
    ("integer[]", pa.list_(pa.int32()), st.lists(st.none() | ints(32), max_size=3)),
    ("bigint[]", pa.list_(pa.int64()), st.lists(ints(64), max_size=3)),
    ("text[]", pa.list_(pa.string()), st.lists(st.none() | TEXT, max_size=3)),
    ("double precision[]", pa.list_(pa.float64()), st.lists(DOUBLES, max_size=3)),
    ("boolean[]", pa.list_(pa.bool_()), st.lists(st.booleans(), max_size=3)),
]

# Such go as text only: what the server makes of it is the definition.
TEXTS: list[tuple[str, pa.DataType, Any, str]] = [
    ("numeric", pa.float64(), 0.1, "0.1"),
    ("real", pa.float64(), 0.1, "0.1"),
    ("inet", pa.string(), "10.0.0.1/8", "10.0.0.1/8"),
    ("int4range", pa.string(), "[1,5]", "[1,6)"),
    ("point", pa.string(), "(1,2)", "(1,2)"),
    ("uuid", pa.string(), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("interval", pa.duration("us"), timedelta(days=1, microseconds=5), "24:00:00.000005"),
    ("timestamp[]", pa.list_(pa.timestamp("ns")), [1_700_000_000_123_456_000], '{"2023-11-14 22:13:20.123456"}'),
    ("jsonb", pa.timestamp("ns"), 1_700_000_000_123_456_789, '"2023-11-14T22:13:20.123456789"'),
    ("text", pa.timestamp("ns"), 1_700_000_000_123_456_789, "2023-11-14 22:13:20.123456789"),
    ("date[]", pa.list_(pa.date32()), [3_000_000, -800_000], '{10183-09-21,"0222-09-04 BC"}'),
    ("bytea[]", pa.list_(pa.binary()), [b"\xff"], '{"\\\\xff"}'),
    ("text[]", pa.list_(pa.binary()), ["Zo\u00eb".encode()], "{Zo\u00eb}"),
    ("text", pa.uuid(), bytes(16), "00000000-0000-0000-0000-000000000000"),
    ("interval", pa.month_day_nano_interval(), pa.MonthDayNano([14, 3, 5000]), "1 year 2 mons 3 days 00:00:00.000005"),
    ("timestamptz", pa.timestamp("us"), datetime(2024, 2, 29, 12), "2024-02-29 12:00:00+05:30"),
    ("integer", pa.string(), "17", "17"),
    ("numeric[]", pa.list_(pa.decimal128(9, 2)), [Decimal("1.10"), None], "{1.10,NULL}"),
    ("date[]", pa.list_(pa.date32()), [date(2024, 2, 29)], "{2024-02-29}"),
    ("integer[]", pa.list_(pa.list_(pa.int32())), [[1, 2], [3, 4]], "{{1,2},{3,4}}"),
    ("jsonb", pa.float64(), 1.5, "1.5"),
    ("bytea", pa.binary(2), b"\x00\xff", "\\x00ff"),
    ("text", pa.float64(), 1.5, "1.5"),
    (
        "address",
        pa.struct([("street", pa.string()), ("number", pa.int32())]),
        {"street": 'A "B"', "number": 7},
        '("A ""B""",7)',
    ),
    ("address", pa.string(), '(Road,"4 b")', '(Road,"4 b")'),
]


@pytest.fixture
def types(connection: Connection) -> Connection:
    """A database with types of its own."""
    connection.execute("CREATE TYPE mood AS ENUM ('happy', 'so, \"so\"')")
    connection.execute("CREATE TYPE address AS (street text, number text)")
    connection.execute("CREATE DOMAIN positive AS int CHECK (value > 0)")
    connection.execute("SET TimeZone = 'Asia/Kolkata'")
    return connection


def column_of(connection: Connection, kind: str) -> Column:
    """Make a table with one column `x`, and return what the catalog says of the column."""
    connection.execute("DROP SCHEMA IF EXISTS one CASCADE")
    connection.execute("CREATE SCHEMA one")
    connection.execute(sql.SQL("CREATE TABLE one.t (x {})").format(sql.SQL(kind)))
    oid = catalog.schema_oid(connection, "one")
    assert oid
    return catalog.tables(connection, oid)[0].columns[0]


def copied(connection: Connection, data: bytes, *, binary: bool) -> list[str]:
    """What the table holds after COPY of these rows."""
    connection.execute("TRUNCATE one.t")
    if binary:
        data = b"PGCOPY\n\xff\r\n\0" + bytes(8) + data + b"\xff\xff"
    with connection.cursor().copy(f"COPY one.t FROM STDIN (FORMAT {'binary' if binary else 'csv'})") as copy:
        copy.write(data)
    return [row[0] for row in connection.execute("SELECT x::text FROM one.t ORDER BY ctid")]


def batch_of(kind: pa.DataType, values: Sequence[Any]) -> pa.RecordBatch:
    """One column of values and a NULL."""
    storage = kind.storage_type if isinstance(kind, pa.ExtensionType) else kind
    array = pa.array([*values, None], storage)
    array = kind.wrap_array(array) if isinstance(kind, pa.ExtensionType) else array
    return pa.RecordBatch.from_arrays([array], names=["x"])


@pytest.mark.parametrize(
    ("kind", "given_type", "values"), PAIRS, ids=[f"{kind} from {given}" for kind, given, _ in PAIRS]
)
def test_binary_is_what_the_server_reads_from_the_text(
    types: Connection, kind: str, given_type: pa.DataType, values: st.SearchStrategy[Any]
) -> None:
    """Both ways give the same rows, for every pair of types that goes in binary."""
    if kind == "citext":
        needs_extension(types, kind)
        types.execute("CREATE EXTENSION citext")
    column = column_of(types, kind)
    target = column_types.target(column, given_type)
    assert target is not None

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(values, max_size=20))
    def compare(found: list[Any]) -> None:
        batch = batch_of(given_type, found)
        binary = copied(types, encoders.Binary([column], [target]).encode(batch), binary=True)
        assert binary == copied(types, encoders.Text([column]).encode(batch), binary=False)

    compare()


@pytest.mark.parametrize(
    ("kind", "given_type", "value", "expected"), TEXTS, ids=[f"{kind} from {given}" for kind, given, _, _ in TEXTS]
)
def test_other_pairs_go_as_text(
    types: Connection, kind: str, given_type: pa.DataType, value: object, expected: str
) -> None:
    """They are read by the type's own input function."""
    column = column_of(types, kind)
    assert column_types.target(column, given_type) is None
    found = copied(types, encoders.Text([column]).encode(batch_of(given_type, [value])), binary=False)
    assert found == [expected, None]


EARLY = ["1200-02-15 14:13:20 BC"]
EDGES: list[tuple[str, pa.DataType, list[int], list[str]]] = [
    ("date", pa.date32(), [3_000_000, -800_000, -719_529], ["10183-09-21", "0222-09-04 BC", "0002-12-31 BC"]),
    (
        "timestamp",
        pa.timestamp("us"),
        [-(10**17), 253_402_300_800 * 10**6],
        ["1200-02-15 14:13:20 BC", "10000-01-01 00:00:00"],
    ),
    ("timestamptz", pa.timestamp("s", "UTC"), [-(10**11)], ["1200-02-15 20:06:48+05:53:28 BC"]),
]


@pytest.mark.parametrize(("kind", "given_type", "values", "expected"), EDGES, ids=[kind for kind, *_ in EDGES])
def test_dates_before_year_1_and_after_9999_are_the_same_in_binary_and_text(
    types: Connection, kind: str, given_type: pa.DataType, values: list[int], expected: list[str]
) -> None:
    """Python cannot represent these dates."""
    column = column_of(types, kind)
    target = column_types.target(column, given_type)
    batch = batch_of(given_type, values)
    binary = copied(types, encoders.Binary([column], [target]).encode(batch), binary=True)
    assert binary == copied(types, encoders.Text([column]).encode(batch), binary=False)
    assert binary[:-1] == expected
