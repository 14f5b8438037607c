# ruff: noqa: DTZ001 - columns without a time zone hold such
"""Values in Parquet and Arrow data are exact, or refused with their row and column."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from bluegreen_etl import errors
from bluegreen_etl.model import Column, Compression, Format, SourceFile
from bluegreen_etl.sources.arrow import encoders
from bluegreen_etl.sources.arrow.in_memory import BatchReader
from bluegreen_etl.sources.arrow.library import library_call
from bluegreen_etl.sources.arrow.parquet import ParquetReader, columns
from bluegreen_etl.sources.jsonfiles.value_converters import BadValue

TIMESTAMP = Column(name="x", type="timestamp", receive="timestamp_recv")
TIMESTAMPTZ = Column(name="x", type="timestamptz", receive="timestamptz_recv")
TIMESTAMPS = Column(name="x", type="timestamp[]")
INTERVAL = Column(name="x", type="interval", receive="interval_recv")
DATE = Column(name="x", type="date", receive="date_recv")
TEXT = Column(name="x", type="text", receive="textrecv")
JSONB = Column(name="x", type="jsonb", receive="jsonb_recv")
NUMERIC = Column(name="n", type="numeric", receive="numeric_recv")
MAP = pa.map_(pa.string(), pa.int64())
MAP_OF_LISTS = pa.map_(pa.string(), pa.list_(pa.int32()))
NANOSECOND = 1_700_000_000_123_456_789


def written(path: Path, *, int96: bool = False, **arrays: pa.Array) -> SourceFile:
    """Write a Parquet file."""
    parquet.write_table(pa.table(arrays), path, use_deprecated_int96_timestamps=int96)
    return SourceFile(path=str(path), table="t", format=Format.PARQUET, compression=Compression.NONE, size=1)


def text_of(source: SourceFile, *wanted: Column) -> bytes:
    """Read a file as COPY data."""
    return b"".join(block.data for block in ParquetReader(source, wanted).blocks())


@pytest.mark.parametrize("moment", [datetime(9999, 12, 31), datetime(1, 1, 1), datetime(1969, 12, 31, 23, 59, 59, 9)])
def test_int96_timestamps_keep_their_full_range(tmp_path: Path, moment: datetime) -> None:
    """9999-12-31 is no date of the year 1816."""
    source = written(tmp_path / "t.parquet", int96=True, x=pa.array([moment], pa.timestamp("us")))
    assert columns(source) == {"x": "timestamp"}
    inet = Column(name="x", type="inet")  # a type without a binary form
    assert text_of(source, inet).decode().strip().strip('"') == moment.isoformat(" ", "microseconds")


def test_int96_nanoseconds_are_refused(tmp_path: Path) -> None:
    """Far dates in the same file are no nanoseconds."""
    moments = pa.array([0, NANOSECOND], pa.timestamp("ns"))
    source = written(tmp_path / "t.parquet", int96=True, x=moments)
    with pytest.raises(errors.BadRow, match=r't\.parquet, row 2, column "x": has nanoseconds'):
        text_of(source, TIMESTAMP)


@pytest.mark.parametrize(
    ("array", "column", "message"),
    [
        (pa.array([0, NANOSECOND], pa.timestamp("ns")), TIMESTAMP, "would lose data"),
        (pa.array([0, NANOSECOND], pa.timestamp("ns", "UTC")), TIMESTAMPTZ, "would lose data"),
        (pa.array([0, 1], pa.time64("ns")), Column(name="x", type="time", receive="time_recv"), "would lose data"),
        (pa.array([0, 1500], pa.duration("ns")), INTERVAL, "would lose data"),
        (pa.array([[0], [NANOSECOND]], pa.list_(pa.timestamp("ns"))), TIMESTAMPS, "would lose data"),
        (pa.array([0, 1], pa.timestamp("us")), DATE, "has a time of day, which a date cannot hold"),
        (pa.array([0, -2_147_483_648], pa.date32()), DATE, "is out of PostgreSQL's range of dates"),
        (pa.array([0, -(1 << 63) + 1], pa.timestamp("us")), TIMESTAMP, "is out of PostgreSQL's range of dates"),
        (pa.array([b"a", b"\xff"]), TEXT, "UTF"),
        (pa.array([[b"a"], [b"\xff"]]), JSONB, "is binary, and its byte 1 is not UTF-8 text"),
        (pa.array([[("k", 1)], [("k", 1), ("k", 2)]], MAP), JSONB, 'has the key "k" twice'),
        (pa.array([1, 1 << 40], pa.int64()), Column(name="x", type="integer", receive="int4recv"), "not in range"),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array | Column) else value[:20],
)  # fmt: skip
@pytest.mark.parametrize("as_text", [False, True])
def test_a_value_that_would_change_is_refused_with_row_and_column(
    tmp_path: Path, array: pa.Array, column: Column, message: str, *, as_text: bool
) -> None:
    """Whether the row goes in binary or as text, from a file or from memory."""
    others: dict[str, pa.Array] = {"n": pa.array([1.5, 2.5])} if as_text else {}
    wanted = (column, NUMERIC) if as_text else (column,)
    source = written(tmp_path / "t.parquet", x=array, **others)
    with pytest.raises(errors.BadRow) as refused:
        text_of(source, *wanted)
    assert refused.value.message.startswith(f'{source.path}, row 2, column "x": ')
    assert message in refused.value.message
    reader = BatchReader(pa.table({"x": array, **others}), wanted, name="rows")
    with pytest.raises(errors.BadRow) as refused:
        list(reader.blocks())
    assert refused.value.message.startswith('rows, row 2, column "x": ')


def test_other_columns_do_not_change_a_value(tmp_path: Path) -> None:
    """A real number in a double precision column is the same if a neighbour has to go as text."""
    double = Column(name="x", type="double precision", receive="float8recv")
    batch = pa.record_batch({"x": pa.array([0.1], pa.float32())})
    assert encoders.Text([double]).encode(batch) == b'"0.10000000149011612"\n'


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([[("a", [1, None]), ("b", None)]], MAP_OF_LISTS), '{"a":[1,null],"b":null}'),
        (pa.array([[{"d": 3_000_000}]], pa.list_(pa.struct([("d", pa.date32())]))), '[{"d":"10183-09-21"}]'),
        (pa.array([[NANOSECOND]], pa.list_(pa.timestamp("ns", "UTC"))), '["2023-11-14T22:13:20.123456789Z"]'),
        (pa.array([[0]], pa.list_(pa.timestamp("us", "UTC"))), '["1970-01-01T00:00:00Z"]'),
        (pa.array([[float("nan"), 1.5]]), '["NaN",1.5]'),
        (pa.array([[1], [2], None]).slice(1), "[2]"),
        (pa.array([{}], pa.struct([])), "{}"),
    ],
    ids=str,
)  # fmt: skip
def test_nested_values_become_json(array: pa.Array, expected: str) -> None:
    """Values that Python cannot hold, slices, and NULL included."""
    data = encoders.Text([JSONB]).encode(pa.record_batch({"x": array}))
    assert data.decode().split("\n")[0] == '"' + expected.replace('"', '""') + '"'


def test_json_type_makes_a_jsonb_column(tmp_path: Path) -> None:
    """Also inside a struct, where the value stays JSON."""
    json = pa.json_().wrap_array(pa.array(['{"a": 1.10}']))
    assert columns(written(tmp_path / "t.parquet", x=json)) == {"x": "jsonb"}
    struct = pa.StructArray.from_arrays([json], names=["j"])
    assert encoders.Text([JSONB]).encode(pa.record_batch({"x": struct})) == b'"{""j"":{""a"": 1.10}}"\n'


def test_a_stream_that_fails_is_a_bad_source() -> None:
    """Whatever exception the program raises that makes the data."""

    def batches() -> Any:  # noqa: ANN401 - a generator
        yield pa.record_batch({"x": ["a"]})
        raise KeyError("gone")

    reader = BatchReader(pa.RecordBatchReader.from_batches(pa.schema({"x": pa.string()}), batches()), [TEXT], name="r")
    with pytest.raises(errors.BadSource, match="r cannot be read"):
        list(reader.blocks())


def test_only_exceptions_inside_a_library_call_are_converted() -> None:
    """A bug of our own code, and the lack of memory, stay what they are."""
    with pytest.raises(BadValue, match="'k'"), library_call():
        raise KeyError("k")
    with pytest.raises(MemoryError), library_call():
        raise MemoryError


def test_our_own_bug_is_not_a_bad_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the exceptions of pyarrow and pgpq are about values."""

    def broken(_array: object, _column: object) -> None:
        raise KeyError("bug")

    monkeypatch.setattr("bluegreen_etl.sources.arrow.values.text", broken)
    source = written(tmp_path / "t.parquet", x=pa.array(["10.0.0.1"]))
    with pytest.raises(KeyError, match="bug"):
        text_of(source, Column(name="x", type="inet"))
