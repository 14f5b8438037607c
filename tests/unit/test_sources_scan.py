"""Inferred types hold every value of the files, whatever a sample of their first records looks like."""

import gzip
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bluegreen_etl.model import SourceFile, SourceOptions
from bluegreen_etl.sources import inference, value_types
from bluegreen_etl.sources.delimited import field_scan
from bluegreen_etl.sources.discovery import TableFiles, discover
from bluegreen_etl.sources.peek import peek_file

ROWS = 3000


def source_of(path: Path, data: bytes, options: SourceOptions | None = None) -> SourceFile:
    path.write_bytes(data)
    tables = {"t": TableFiles(options=options or SourceOptions())}
    [source] = discover([str(path)], tables=tables)
    return source


def inferred(*sources: SourceFile) -> dict[str, str]:
    columns = inference.infer([peek_file(source) for source in sources], sources)
    return {column.name: column.type for column in columns}


@pytest.fixture(params=["pyarrow", "python"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With and without the extra that has pyarrow."""
    if request.param == "python":
        monkeypatch.setattr(field_scan, "_optional", lambda _name: None)
    return str(request.param)


TAILS = [
    ("12345", "01234", "text"),
    ("1", "+3", "text"),
    ("1", "0x1F", "text"),
    ("1", "1_000", "text"),
    ("1", " 1", "text"),
    ("1", "2.5", "numeric"),
    ("1", "3000000000", "bigint"),
    ("1", "1e400", "numeric"),
    ("1.5", "1e-400", "numeric"),
    ("1", "nil", "text"),
    ("2024-01-01", "2024-01-01 23:30:00", "timestamp"),
    ("2024-01-01", "2024-02-30", "text"),
    ("2024-01-01 00:00:00", "2024-07-01 12:00:00+02:00", "text"),
    ("2024-01-01 00:00:00", "2024-07-01 12:00:00.1234567", "text"),
    ("true", "yes", "text"),
    ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", "text"),
    ("", "", "text"),
    ("", "7", "integer"),
]


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(("first", "last", "expected"), TAILS)
@pytest.mark.parametrize("other", ["x", '"a, ""b"" c"', '5" pipe'])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_late_value_widens_the_type(
    tmp_path: Path, first: str, last: str, expected: str, other: str, end: str
) -> None:
    """The server would read 01234 as 1234, and drop an offset or a time of day."""
    stray = not other.startswith('"') and '"' in other
    lines = ["v,o", *[f"{first},{other}"] * (2 * (ROWS // 2)), f"{last},{other}", *[f"{first},{other}"] * 3]
    assert len(lines) % 2 == 1 or not stray  # two stray quotes make one record
    source = source_of(tmp_path / "t.csv", end.join(lines).encode())
    found = inference.infer([peek_file(source, tolerant=True)], [source])
    if not stray:
        assert found[0].type == expected


def test_leading_zeros_of_a_reversed_file_stay(tmp_path: Path) -> None:
    """Codes without a zero come first."""
    data = "zip\n" + "\n".join(f"{number:05}" for number in reversed(range(20000)))
    assert inferred(source_of(tmp_path / "t.csv.gz", gzip.compress(data.encode()))) == {"zip": "text"}


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ("1", '"007"', "text"),
        ("1", "2767891499", "bigint"),
        ("1", "1.5", "numeric"),
        ("1", "12345678901234567890", "numeric"),
        ("1e5", "9007199254740993", "numeric"),
        ("1e5", "0.123456789012345678", "numeric"),
        ("1", "true", "text"),
        ("1", "null", "integer"),
        ("1", '{"a": 1}', "jsonb"),
        ('"x"', "[1]", "jsonb"),
        ("null", "[1]", "jsonb"),
        ("null", "1", "integer"),
        ("true", '"t"', "text"),
        ('"2024-01-01"', '"2024-01-01T10:00:00"', "timestamp"),
        ('"2024-01-01T10:00:00Z"', '"2024-01-01T10:00:00"', "text"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["t.json", "t.ndjson"])
def test_a_late_json_value_widens_the_type(tmp_path: Path, name: str, first: str, last: str, expected: str) -> None:
    """A string in a column of numbers is text."""
    values = [first] * ROWS + [last] + [first] * 3
    objects = [f'{{"v": {value}, "o": "]}}"}}' for value in values]
    data = "\n".join(objects) if name.endswith(".ndjson") else "[" + ",\n".join(objects) + "]"
    assert inferred(source_of(tmp_path / name, data.encode())) == {"v": expected, "o": "text"}


@pytest.mark.parametrize("name", ["t.csv", "t.ndjson", "t.json"])
def test_digits_that_a_double_loses_are_seen_before_an_exponent(tmp_path: Path, name: str) -> None:
    """The order of values does not matter."""
    values = ["1.5"] * ROWS + ["0.1234567890123456789", "1e5"] + ["1.5"] * ROWS
    texts = {"t.csv": "v\n" + "\n".join(values), "t.ndjson": "\n".join(f'{{"v":{value}}}' for value in values)}
    texts["t.json"] = "[" + texts["t.ndjson"].replace("\n", ",") + "]"
    assert inferred(source_of(tmp_path / name, texts[name].encode())) == {"v": "numeric"}


@pytest.mark.parametrize("name", ["t.json", "t.ndjson"])
def test_a_late_key_becomes_a_column(tmp_path: Path, name: str) -> None:
    """Also under the name that `sources` gives it; an ignored key does not."""
    objects = ['{"a": 1}'] * ROWS + ['{"a": 2, "b": {"c": true}, "i": 1}']
    data = "\n".join(objects) if name.endswith(".ndjson") else "[" + ", ".join(objects) + "]"
    options = SourceOptions(ignore_columns=("i",))
    assert inferred(source_of(tmp_path / name, data.encode(), options)) == {"a": "integer", "b": "jsonb"}
    options = SourceOptions(sources={"c": "/b/c"}, ignore_columns=("i",))
    assert inferred(source_of(tmp_path / name, data.encode(), options)) == {"a": "integer", "c": "boolean"}


VALUES = st.sampled_from([
    *("1", "-5", "007", "12", "1.5", "1e5", "", "t", "2024-01-01", "2024-01-01 10:00", "9999999999", '"q"', '"a,b"'),
    *('"01"', '""', '"x""y"', "é", "\u2028", "2024-01-01T10:00Z", '"{""a"":1}"'),
])  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=30), st.sampled_from(["\n", "\r\n"]))
def test_both_parsers_find_the_types_of_the_exact_one(tmp_path: Path, rows: list[tuple[str, str]], end: str) -> None:
    """Whatever is quoted."""
    data = end.join(",".join(row) for row in [("a", "b"), *rows]) + end
    source = source_of(tmp_path / "t.csv", data.encode())
    sample = inference.infer([peek_file(source)])
    types: dict[str, set[str]] = {"a": set(), "b": set()}
    field_scan.widen(source, types)
    assert {column.name: column.type for column in sample} == {
        name: value_types.join(found) for name, found in types.items()
    }


@pytest.mark.parametrize("name", sorted(value_types.PATTERNS))
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_the_pattern_of_a_type_matches_only_values_of_it(name: str, data: st.DataObject) -> None:
    """So a value that is not classified changes nothing."""
    value = data.draw(st.from_regex(re.compile(value_types.PATTERNS[name], re.ASCII), fullmatch=True))
    assert value_types.join({name, value_types.type_of_text(value)}) == name or name == "smallint"


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ({"smallint", "integer"}, "integer"),
        ({"smallint", "bigint"}, "bigint"),
        ({"integer", value_types.UNKNOWN}, "integer"),
        ({value_types.UNKNOWN}, "text"),
        ({"real", "double precision"}, "double precision"),
        ({"real", "smallint"}, "real"),
        ({"real", "integer"}, "double precision"),
        ({"double precision", "bigint"}, "numeric"),
        ({"numeric(9,2)", "numeric(7,4)"}, "numeric(11,4)"),
        ({"numeric(5,2)", "integer"}, "numeric(12,2)"),
        ({"numeric(5,2)", "numeric"}, "numeric"),
        ({"integer[]", "smallint[]"}, "integer[]"),
        ({"integer", "boolean"}, "text"),
    ],
)
def test_declared_types_join_to_the_narrowest_that_holds_both(types: set[str], expected: str) -> None:
    """Parts of one table in Parquet need not declare the same types."""
    assert value_types.join(types) == expected
