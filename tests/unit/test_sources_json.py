"""JSON and NDJSON become records of CSV, in pieces; what a value becomes is proved in tests/integration."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bluegreen_etl import errors
from bluegreen_etl.model import Column, CopyOptions, Reader, SourceOptions
from bluegreen_etl.sources.discovery import TableFiles, discover
from bluegreen_etl.sources.jsonfiles import element_splitter, json_reader
from bluegreen_etl.sources.readers import open_reader

COLUMNS = (
    Column(name="id", type="integer"),
    Column(name="name", type="text"),
    Column(name="more", type="jsonb"),
    Column(name="list", type="integer[]"),
)


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def reader(
    name: str,
    text: str | bytes,
    *,
    columns: tuple[Column, ...] = COLUMNS,
    options: SourceOptions | None = None,
    block_size: int | None = None,
) -> Reader:
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    [source] = discover([name], tables={"t": TableFiles(options=options or SourceOptions())})
    return open_reader(source, columns, block_size=block_size)


def loaded(name: str, text: str | bytes, *, columns: tuple[Column, ...] = COLUMNS) -> str:
    """What COPY gets, however small the blocks are."""
    whole = b"".join(block.data for block in reader(name, text, columns=columns).blocks())
    for size in (1, 9, 60):
        blocks = reader(name, text, columns=columns, block_size=size).blocks()
        assert b"".join(block.data for block in blocks) == whole
    return whole.decode()


def in_array(*records: str) -> str:
    return "[" + ",".join(records) + "]"


def test_records_are_csv_with_backslashes() -> None:
    """Numbers as written, strings in quotes, null bare, arrays as PostgreSQL writes them."""
    opened = reader("t.json", '[{"list": [1, null], "name": "a\\"b\\\\\\n\\u00e9", "more": {"x": 1.10}, "id": 1}, {}]')
    assert opened.copy_options == CopyOptions(delimiter=",", quote='"', escape="\\", null="null", encoding="UTF8")
    assert opened.columns == ("id", "name", "more", "list")
    [block] = opened.blocks()
    assert block.data.decode() == (
        '1,"a\\"b\\\\\né","{\\"x\\": 1.10}","{\\"1\\",NULL}"\n'  # the first
        "null,null,null,null\n"
    )
    assert (block.number, block.first, block.consumed) == (0, 1, 81)


@pytest.mark.parametrize("name", ["t.json", "t.ndjson"])
def test_value_of_another_kind_goes_the_exact_way(name: str) -> None:
    """A number in a text column, an object in one, an object in a number's: as each is written."""
    records = ['{"id": 1, "name": 1.10}', '{"id": "7", "name": {"k":  "v"}}', '{"id": {"k": 1}, "name": "x"}']
    text = "\n".join(records) if name == "t.ndjson" else in_array(*records)
    assert loaded(name, text, columns=COLUMNS[:2]) == '1,1.10\n"7","{\\"k\\":  \\"v\\"}"\n"{\\"k\\": 1}","x"\n'


def test_column_names_need_not_be_identifiers() -> None:
    """Blanks, and characters that are escaped in JSON."""
    columns = tuple(Column(name=name, type="text") for name in ("a b", 'say "x"', "back\\slash", "field_0"))
    text = '{"a b": "1", "say \\"x\\"": "2", "back\\\\slash": "3", "\\u0066ield_0": "4"}'
    assert loaded("t.ndjson", text, columns=columns) == '"1","2","3","4"\n'


def test_array_however_it_is_laid_out_is_cut_at_its_elements() -> None:
    """Brackets, commas and quotes inside strings, nested values that look like elements, any white space."""
    records = [{"id": n, "name": '},{"id": ]["\\', "more": [{"id": 1}, {"id": [{"id": 2}]}]} for n in range(30)]
    outputs = {
        loaded("t.json", json.dumps(records)),
        loaded("t.json", json.dumps(records, separators=(",", ":")))
        .replace('{\\"id\\":', '{\\"id\\": ')
        .replace("},{", "}, {"),
    }
    assert all(output.count("\n") == 30 for output in outputs)
    assert loaded("t.json", json.dumps(records, indent=2)).count("\n{") == 0
    rows = [row[:2] for row in parsed(loaded("t.json", json.dumps(records, indent="\t")))]
    assert rows == [[str(n), '},{"id": ]["\\'] for n in range(30)]


def parsed(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), doublequote=False, escapechar="\\", strict=True))


def test_deeply_nested_elements_are_cut_too() -> None:
    """Deeper than the pattern looks at once."""
    deep = '{"more": ' + '[{"a": ' * 30 + "1" + "}]" * 30 + "}"
    opened = reader("t.json", in_array(*[deep] * 5), columns=(COLUMNS[2],), block_size=16)
    assert sum(block.data.count(b"\n") for block in opened.blocks()) == 5


def test_first_is_the_elements_number() -> None:
    """Counted from 1, without empty lines."""
    for name, text in (
        ("t.json", in_array(*['{"id": 1}'] * 6)),
        ("t.ndjson", '{"id": 1}\n\n{"id": 1}\n{"id": 1}\n\n\n{"id": 1}\n{"id": 1}\n{"id": 1}'),
    ):
        first = 1
        blocks = list(reader(name, text, columns=COLUMNS[:1], block_size=10).blocks())
        assert len(blocks) > 1
        for number, block in enumerate(blocks):
            assert (block.number, block.first) == (number, first)
            first += block.data.count(b"\n")
        assert first == 7


def test_located_line_is_the_element_it_came_from() -> None:
    """A line end inside a value makes further lines of the same element."""
    records = [json.dumps({"id": n, "name": "x\n" * n}) for n in range(4)]
    array = reader("t.json", in_array(*records), columns=COLUMNS[:2])
    assert [array.locate(0, 1, line) for line in range(1, 11)] == [
        *["element 1"] * 1,
        *["element 2"] * 2,
        *["element 3"] * 3,
        *["element 4"] * 4,
    ]
    lines = reader("t.ndjson", "\n\n".join(records), columns=COLUMNS[:2])
    assert [lines.locate(0, 1, line) for line in (1, 2, 3, 4, 10)] == ["line 1", "line 3", "line 3", "line 5", "line 7"]


def test_located_line_of_a_later_block_is_found_by_reading_again() -> None:
    """Block numbers are the same in every reading."""
    for name, unit, text in (
        ("t.json", "element", in_array(*['{"id": 1}'] * 50)),
        ("t.ndjson", "line", '{"id": 1}\n' * 50),
    ):
        opened = reader(name, text, columns=COLUMNS[:1], block_size=64)
        *_, last = opened.blocks()
        assert last.number > 2
        count = last.data.count(b"\n")
        assert opened.locate(last.number, last.first, count) == f"{unit} 50"
        assert last.lines == count


def test_location_in_a_file_that_is_gone_is_about() -> None:
    """An error about a row shall not become one about the file."""
    opened = reader("t.json", '[{"id": 1}]', columns=COLUMNS[:1])
    Path("t.json").unlink()
    assert opened.locate(0, 1, 1) == "element 1 or after it"


# ---- which columns


def test_columns_with_a_default_are_left_to_it_unless_the_file_has_them() -> None:
    """Generated columns are never filled; those without a default are NULL either way."""
    columns = (
        Column(name="a", type="text", has_default=True),
        Column(name="b", type="text", has_default=True),
        Column(name="c", type="text"),
        Column(name="g", type="text", generated=True),
    )
    assert reader("t.json", '[{"b": "x"}]', columns=columns).columns == ("b", "c")
    assert reader("t.json", "[]", columns=columns).columns == ("c",)
    forced = SourceOptions(columns=("a", "b"))
    assert reader("t.json", '[{"b": "x"}]', columns=columns, options=forced).columns == ("a", "b")
    with pytest.raises(errors.BadSource, match=r'^t.json, option columns: "z" is not a column of the table$'):
        reader("t.json", "[]", columns=columns, options=SourceOptions(columns=("z",)))


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("z", 'key "z" is not a column of the table'),
        ("g", 'column "g" is generated: a file cannot fill it'),
    ],
)
@pytest.mark.parametrize("elements", [3, 3000])
@pytest.mark.parametrize("name", ["t.json", "t.ndjson"])
def test_unknown_key_is_refused_with_its_element(name: str, elements: int, key: str, message: str) -> None:
    """When the file is opened, or when the element is reached."""
    records = ['{"id": 1}'] * (elements - 1) + [f'{{"{key}": 1}}']
    text = "\n".join(records) if name == "t.ndjson" else in_array(*records)
    unit = "line" if name == "t.ndjson" else "element"
    columns = (COLUMNS[0], Column(name="g", type="text", generated=True))
    with pytest.raises(errors.BadRow) as raised:
        list(reader(name, text, columns=columns).blocks())
    assert raised.value.message == f"{name}, {unit} {elements}: {message}"
    assert raised.value.hint


def test_key_that_comes_too_late_for_its_default_is_refused() -> None:
    """The column was left out of COPY; the option adds it."""
    columns = (COLUMNS[0], Column(name="late", type="text", has_default=True))
    text = in_array(*['{"id": 1}'] * 2000, '{"late": "x"}')
    with pytest.raises(errors.BadRow) as raised:
        list(reader("t.json", text, columns=columns).blocks())
    assert raised.value.message == (
        't.json, element 2001: key "late" is not in the sample of the first records, and its column has a default'
    )
    assert raised.value.hint is not None
    assert "`columns`" in raised.value.hint
    forced = reader("t.json", text, columns=columns, options=SourceOptions(columns=("id", "late")))
    assert sum(block.data.count(b"\n") for block in forced.blocks()) == 2001


# ---- what is wrong, and where


@pytest.mark.parametrize(
    ("element", "message"),
    [
        ('{"id": 01}', "JSON is malformed: invalid number (byte 8)"),
        ("3", "is a number, not an object"),
        ("", "the element is empty"),
        ('{"name": "\\u0000"}', "contains \\u0000, which PostgreSQL cannot store"),
        ('{"more": {"\\u0000": 1}}', "contains \\u0000, which PostgreSQL cannot store"),
        ('{"name": "\\ud83d"}', "the JSON is truncated, or contains half of a surrogate pair"),
        ('{"list": 1}', 'the value of "list" is not a JSON array, which integer[] requires'),
        ('{"list": {}}', 'the value of "list" is not a JSON array, which integer[] requires'),
        ('{"list": [[1], 2]}', 'the value of "list" mixes arrays and other values as elements'),
        ('{"list": [[1], [2, 3]]}', 'the value of "list" contains arrays of different lengths'),
        ('{"id": 1} {"id": 2}', "JSON is malformed: trailing characters (byte 11)"),
        ('{"more": ' + "[" * 3000 + "]" * 3000 + "}", "is nested too deeply"),
    ],
)
@pytest.mark.parametrize("before", [2, 2000])
@pytest.mark.parametrize("size", [None, 64])
def test_bad_element_is_refused_by_its_number(element: str, message: str, before: int, size: int | None) -> None:
    """Wherever in the file it is and however the file is cut."""
    text = in_array(*['{"id": 1}'] * before, element, '{"id": 2}')
    with pytest.raises(errors.BadRow) as raised:
        list(reader("t.json", text, block_size=size).blocks())
    assert raised.value.message == f"t.json, element {before + 1}: {message}"
    assert raised.value.hint


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": 1', "the JSON is truncated, or contains half of a surrogate pair"),
        ('{"id": 1}{"id": 2}', "JSON is malformed: trailing characters (byte 10)"),
        ("[1]", "is an array, not an object"),
        (b'{"name": "\xe9"}', "byte 11 of the element is not UTF-8"),
        (b'{"id": "\xe9"}', "byte 9 of the element is not UTF-8"),
    ],
)
@pytest.mark.parametrize("before", [2, 2000])
def test_bad_line_is_refused_by_its_number(line: str | bytes, message: str, before: int) -> None:
    """Empty lines count as lines."""
    bad = line if isinstance(line, bytes) else line.encode()
    with pytest.raises(errors.BadRow) as raised:
        list(reader("t.ndjson", b'{"id": 1}\n\n' * before + bad + b"\n").blocks())
    assert raised.value.message == f"t.ndjson, line {2 * before + 1}: {message}"


@pytest.mark.parametrize(
    ("end", "error", "message"),
    [
        ("", errors.BadSource, "t.json, element 2001: the array is not closed at the end of the file"),
        (',{"id": 1', errors.BadSource, "t.json, element 2001: the array is not closed at the end of the file"),
        (',{"id": 1}', errors.BadSource, "t.json, element 2001: the array is not closed at the end of the file"),
        ('] {"id": 1}', errors.BadSource, "t.json: there is text after the end of the array"),
        ("]]", errors.BadSource, "t.json: there is text after the end of the array"),
        (",]", errors.BadRow, "t.json, element 2001: the element is empty"),
    ],
)
@pytest.mark.parametrize("size", [None, 64])
def test_array_must_end_where_the_file_does(end: str, error: type[Exception], message: str, size: int | None) -> None:
    """A file that was cut off is never taken as a shorter one."""
    text = "[" + ",".join(['{"id": 1}'] * 2000) + end
    with pytest.raises(error) as raised:
        list(reader("t.json", text, block_size=size).blocks())
    assert str(raised.value).replace("element 2000:", "element 2001:") == message


@pytest.mark.parametrize("size", [None, 64])
def test_missing_quote_is_named_by_its_element(size: int | None) -> None:
    """Though it turns all that follows inside out."""
    record = '{"id": 1, "name": "x"}'
    text = in_array(*[record] * 100, '{"id": 1, "name": "x}', *[record] * 20_000)
    with pytest.raises(errors.BadRow, match=r"^t.json, element 101: JSON is malformed: "):
        list(reader("t.json", text, block_size=size).blocks())


def test_element_that_no_more_text_can_complete_is_refused_early() -> None:
    """The rest of a file is not gathered in memory behind a missing quote; half a number may still become whole."""
    Path("t.json").write_text("[]")
    [source] = discover(["t.json"], tables={})
    cutter = element_splitter.splitter_of(source)
    for half in (b'{"n": 1.', b'{"n": 1.2', b'{"n": 1.2e', b'{"n": 1.2e-', b'{"n": tr', b'{"n": "\\'):
        cutter.examine(half, 1, final=False)
    cutter.examine(b'{"n": "x}, {"n": "x"}, ', 2, final=False)
    with pytest.raises(errors.BadRow, match=r"^t.json, element 2: JSON is malformed: "):
        cutter.examine(b'{"n": "x}, {"n": "x"}, {"n": "x"}, {"n": ', 2, final=False)


def test_long_numbers_and_literals_cut_by_a_read_are_whole() -> None:
    """Half a number is not JSON, but more of it may come."""
    columns = (Column(name="n", type="numeric"), Column(name="b", type="boolean"))
    record = '{"n": -1' + "2" * 3000 + "." + "3" * 3000 + 'e-5, "b": true}'
    opened = reader("t.json", in_array(*[record] * 20), columns=columns, block_size=7)
    assert sum(block.data.count(b"\n") for block in opened.blocks()) == 20


# ---- any JSON

VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(st.sampled_from('a"\\\n,[]{}é😀:'), max_size=6)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["id", "}"]), inner, max_size=2)
    ),
    max_leaves=5,
)
RECORDS = st.lists(
    st.fixed_dictionaries({}, optional={"id": st.integers(), "name": st.text(max_size=5), "more": VALUES}), max_size=12
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    records=RECORDS,
    size=st.integers(1, 60),
    indent=st.sampled_from([None, 0, 2]),
    ascii_only=st.booleans(),
    lines=st.booleans(),
)
def test_any_json_is_cut_at_elements_only(
    records: list[dict[str, object]], size: int, indent: int | None, ascii_only: bool, lines: bool
) -> None:
    """Every element is one record, in order, whatever the size of the blocks."""
    if lines:
        text = "\n".join(json.dumps(record, ensure_ascii=ascii_only) for record in records) or "\n"
    else:
        text = json.dumps(records, indent=indent, ensure_ascii=ascii_only)
    columns = tuple(Column(name=name, type="jsonb") for name in ("id", "name", "more"))
    try:
        blocks = list(reader("t.ndjson" if lines else "t.json", text, columns=columns, block_size=size).blocks())
    except errors.BadRow:
        assert "\\u0000" in json.dumps(records)
        return
    rows = parsed(b"".join(block.data for block in blocks).decode())
    found = [
        {name: json.loads(value) for name, value in zip(("id", "name", "more"), row, strict=True) if value != "null"}
        for row in rows
    ]
    assert found == [{key: value for key, value in record.items() if value is not None} for record in records]


@pytest.mark.parametrize(
    ("name", "text", "places"),
    [
        ("t.json", '[{"a": "},{\\"x\\":"}, {"b":\n[1,{"c":2}]},{"d":1}]', ["element 1", "element 2", "element 3"]),
        ("t.ndjson", '{"a":1}\n\n{"b":"},{"}\n{"c":3}', ["line 1", "line 3", "line 4"]),
        ("t.json", "[]", []),
    ],
)
def test_every_element_is_found_with_its_place(name: str, text: str, places: list[str]) -> None:
    """However small the blocks are, and whatever strings contain."""
    Path(name).write_text(text, encoding="utf-8")
    [source] = discover([name], tables={})
    for size in (1, 9, 60, None):
        found = list(json_reader.every_element(source, block_size=size))
        assert [element.where for element in found] == [f"{name}, {place}" for place in places]
        expected = json.loads(text) if name == "t.json" else [json.loads(line) for line in text.split("\n") if line]
        assert [json.loads(element.text) for element in found] == expected


@pytest.mark.parametrize("text", ['[{"a": 1}', '[{"a": 1}] x', '{"a": 1}'])
def test_every_element_of_what_is_not_one_array_is_refused(text: str) -> None:
    """As the load would refuse it."""
    Path("t.json").write_text(text, encoding="utf-8")
    [source] = discover(["t.json"], tables={})
    with pytest.raises(errors.BluegreenError):
        list(json_reader.every_element(source))
