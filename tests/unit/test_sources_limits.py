"""Content that its suffix does not announce is recognised, and input without bounds is refused early."""

import bz2
import gzip
import lzma
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bluegreen_etl import errors
from bluegreen_etl.model import Column, SourceFile
from bluegreen_etl.sources.discovery import discover
from bluegreen_etl.sources.peek import peek_file
from bluegreen_etl.sources.readers import open_reader

CSV = b"id,name\n1,Ann\n"
COLUMNS = (Column(name="id", type="integer"), Column(name="name", type="text"))


def source_of(path: Path, data: bytes) -> SourceFile:
    path.write_bytes(data)
    [source] = discover([str(path)], tables={})
    return source


@pytest.mark.parametrize(
    "compress", [gzip.compress, bz2.compress, lzma.compress, bytes], ids=["gz", "bz2", "xz", "none"]
)
@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.csv.xz"])
def test_compression_is_recognised_whatever_the_suffix(
    tmp_path: Path, name: str, compress: Callable[[bytes], bytes]
) -> None:
    """A server may have decompressed a file, or a program compressed it under its old name."""
    source = source_of(tmp_path / name, compress(CSV))
    assert peek_file(source).rows == (("1", "Ann"),)
    assert b"".join(block.data for block in open_reader(source, COLUMNS).blocks()) == b"1,Ann\n"


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"PK\x03\x04", "is a zip or an Excel workbook, not text"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an Excel workbook, not text"),
        (b"PAR1", "is Parquet, not text"),
    ],
)
@pytest.mark.parametrize("name", ["t.csv", "t.json"])
def test_another_format_is_named(tmp_path: Path, name: str, start: bytes, message: str) -> None:
    """No encoding would help."""
    with pytest.raises(errors.BadSource, match=message):
        peek_file(source_of(tmp_path / name, start + bytes(range(256))))


def test_two_byte_order_marks_are_no_part_of_a_name(tmp_path: Path) -> None:
    """Some programs write it twice."""
    assert peek_file(source_of(tmp_path / "t.csv", b"\xef\xbb\xbf" * 2 + CSV)).columns == ("id", "name")


def test_a_long_zstd_window_is_read(tmp_path: Path) -> None:
    """`zstd --long=31` is neither damaged nor truncated."""
    zstandard = pytest.importorskip("zstandard")
    parameters = zstandard.ZstdCompressionParameters(window_log=29, compression_level=1)
    packed = zstandard.ZstdCompressor(compression_params=parameters).compressobj().compress(CSV)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = compressor.compress(CSV) + compressor.flush()
    assert peek_file(source_of(tmp_path / "t.csv.zst", packed)).rows == (("1", "Ann"),)


@pytest.mark.parametrize("count", [1601, 200_000])
def test_more_columns_than_postgresql_accepts_are_refused(tmp_path: Path, count: int) -> None:
    """In no time, however many."""
    header = ",".join(f"c{number}" for number in range(count)).encode()
    begun = time.monotonic()
    with pytest.raises(errors.BadSource, match=f"line 1: {count} columns, and PostgreSQL accepts 1600"):
        peek_file(source_of(tmp_path / "t.csv", header + b"\n"))
    assert time.monotonic() - begun < 5


def test_a_header_without_end_is_refused_early(tmp_path: Path) -> None:
    """A compressed file may hold any number of bytes."""
    packed = gzip.compress(b"x" * (1 << 26), 1)
    with pytest.raises(errors.BadSource, match="line 1: the header is longer than 16 MB"):
        peek_file(source_of(tmp_path / "t.csv.gz", packed))


def test_deep_json_is_refused_early(tmp_path: Path) -> None:
    """16 kB may unpack to millions of brackets."""
    begun = time.monotonic()
    with pytest.raises(errors.BadRow, match="an element has more than 10000 levels of nesting"):
        peek_file(source_of(tmp_path / "t.json.gz", gzip.compress(b"[" * (1 << 24))))
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize(
    ("header", "message", "lines"),
    [
        (b",a,b", "column 1 has no name", '`columns = ["column_1", "a", "b"]`, `ignore_columns = ["column_1"]`'),
        (b"a,b,", "column 3 has no name", '`columns = ["a", "b", "column_3"]`, `ignore_columns = ["column_3"]`'),
        (b"a,b,a", 'column "a" appears twice', '`columns = ["a", "b", "a_3"]`'),
    ],
)
def test_unnamed_and_duplicate_columns_have_a_hint_to_paste(
    tmp_path: Path, header: bytes, message: str, lines: str
) -> None:
    """pandas and R write an index without a name."""
    with pytest.raises(errors.BadSource, match=message) as refused:
        peek_file(source_of(tmp_path / "t.csv", header + b"\n1,2,3\n"))
    assert refused.value.hint == f"Rename it in the file, or write under `[tables.t]`: {lines}."


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (b'{"data": [{"a": 1}]}', "Extract the array: `jq '.\"data\"' t.json > FILE`."),
        (b'{"type": "FeatureCollection", "features": [{"a": 1}]}', "`jq '.\"features\"' t.json > FILE`."),
        (b'{"a": 1}\n{"a": 2}', 'For one object per line set `format = "ndjson"`'),
        (b'{\n "a": 1\n}\n{\n "a": 2\n}', "for several lines: `jq -c . t.json > FILE.ndjson`."),
        (b'{"de": {"a": 1}, "fr": {"a": 2}}', "`jq '[.[]]' t.json > FILE`."),
    ],
)  # fmt: skip
def test_a_json_object_has_a_hint_that_makes_an_array(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes, hint: str
) -> None:
    """One row with a jsonb column is not what anybody wants."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.BadSource, match="is a JSON object, not an array of objects") as refused:
        peek_file(source_of(Path("t.json"), text))
    assert hint in (refused.value.hint or "")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.ndjson", b'{\n  "a": 1\n}\n', "line 1: the line is not a whole object"),
        ("t.ndjson", b'{"a": NaN}\n', "line 1: NaN at byte"),
        ("t.json", b'[{"a": -Infinity}]', "element 1: -Infinity at byte"),
    ],
)
def test_common_json_that_is_none_is_named(tmp_path: Path, name: str, text: bytes, message: str) -> None:
    """Pretty-printed NDJSON, and what Python's json writes for numbers that are not finite."""
    with pytest.raises(errors.BadRow, match=message):
        peek_file(source_of(tmp_path / name, text))


def test_a_directory_of_directories_exists(tmp_path: Path) -> None:
    """It only has no files."""
    (tmp_path / "data" / "sub").mkdir(parents=True)
    with pytest.raises(errors.BadSource, match="data contains no files: subdirectories are not searched"):
        discover([str(tmp_path / "data")], tables={})
