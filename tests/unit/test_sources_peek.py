"""What the first records of a file say, and which files are refused at first sight."""

import codecs
from pathlib import Path

import pytest

from bluegreen_etl import errors
from bluegreen_etl.model import Format, SourceFile, SourceOptions
from bluegreen_etl.sources.discovery import TableFiles, discover
from bluegreen_etl.sources.peek import Kind, Peek, peek_file

UNKNOWN = frozenset({Kind.UNKNOWN})


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(name: str, data: bytes | str, options: SourceOptions | None = None) -> SourceFile:
    Path(name).write_bytes(data if isinstance(data, bytes) else data.encode())
    table = name.split(".", maxsplit=1)[0]
    [source] = discover([name], tables={table: TableFiles(options=options or SourceOptions())})
    return source


def test_csv_has_the_header_and_its_records() -> None:
    """Quoted names and values, line ends inside them, a byte order mark; only unquoted nothing is NULL."""
    source = written("a.csv", '\ufeffid,"the ""name""","x,\ny"\r\n1,"a ""b""",\r\n2,"","l1\nl2"\r\n\r\n')
    assert peek_file(source) == Peek(
        columns=("id", 'the "name"', "x,\ny"),
        rows=(("1", 'a "b"', None), ("2", "", "l1\nl2")),
        kinds=(UNKNOWN, UNKNOWN, UNKNOWN),
    )


def test_tsv_is_csv_with_tabs() -> None:
    """The same quotes, another delimiter."""
    assert peek_file(written("a.tsv", 'a\tb\n"1\t2"\t3,4\n')).rows == (("1\t2", "3,4"),)


def test_options_say_how_values_are_written() -> None:
    """Another delimiter, quote, escape and NULL; a NULL in quotes is a text."""
    options = SourceOptions(delimiter=";", quote="'", escape="\\", null="\\N", encoding="latin1")
    source = written("a.csv", "a;b;c\n'it\\'s';\\N;'\\\\N'\né;;x'y;z'w\n".encode("latin1"), options)
    assert peek_file(source).rows == (("it's", None, "\\N"), ("é", "", "xy;zw"))


def test_names_by_option_replace_or_stand_for_the_header() -> None:
    """With a header its line is skipped, without one the first line is data."""
    named = SourceOptions(columns=("x", "y"))
    without = SourceOptions(columns=("x", "y"), header=False)
    assert peek_file(written("a.csv", "a,b\n1,2\n", named)) == Peek(
        columns=("x", "y"), rows=(("1", "2"),), kinds=(UNKNOWN, UNKNOWN)
    )
    assert peek_file(written("b.csv", "a,b\n1,2\n", without)).rows == (("a", "b"), ("1", "2"))


def test_header_alone_is_a_file_without_rows() -> None:
    """With or without its line end."""
    assert peek_file(written("a.csv", "a,b")) == Peek(columns=("a", "b"), rows=(), kinds=(UNKNOWN, UNKNOWN))
    assert peek_file(written("a.csv", "a,b\n")).rows == ()


def test_empty_line_of_one_column_is_a_record() -> None:
    """In a file of more columns it could only be a mistake at the end."""
    assert peek_file(written("a.csv", "a\n1\n\n")).rows == (("1",), (None,))


def test_only_the_first_records_are_read() -> None:
    """At most 1,000 of them, and of long ones as many as fit in about a megabyte."""
    assert len(peek_file(written("a.csv", "a\n" + "1\n" * 5000)).rows) == 1000
    assert len(peek_file(written("b.csv", "a\n" + ("x" * 99_999 + "\n") * 20)).rows) == 10
    assert len(peek_file(written("c.ndjson", '{"a": 1}\n' * 5000)).rows) == 1000


def test_json_columns_are_all_keys_in_order_of_appearance() -> None:
    """Values as text, missing ones and null as None, and what kind each column's values are."""
    text = '[{"a": 1.10, "b": "x\\u0041"}, {"c": {"k": [1,  2]}, "b": null}, {"a": true, "d": null}]'
    assert peek_file(written("a.json", text)) == Peek(
        columns=("a", "b", "c", "d"),
        rows=(("1.10", "xA", None, None), (None, None, '{"k": [1,  2]}', None), ("true", None, None, None)),
        kinds=(
            frozenset({Kind.NUMBER, Kind.BOOLEAN}),
            frozenset({Kind.STRING}),
            frozenset({Kind.NESTED}),
            frozenset(),
        ),
    )


def test_json_lines_are_read_without_empty_ones() -> None:
    """Also when the last line has no end."""
    assert peek_file(written("a.ndjson", '\ufeff{"a": 1}\r\n\r\n{"a": 2}')).rows == (("1",), ("2",))


def test_empty_array_has_no_columns() -> None:
    """It is a valid file."""
    assert peek_file(written("a.json", " [ ] ")) == Peek(columns=(), rows=(), kinds=())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a,b,a\n", 'f.csv, line 1: column "a" appears twice'),
        ("a,,b\n", "f.csv, line 1: column 2 has no name"),
        ("\na\n", "f.csv, line 1: column 1 has no name"),
        ("a,b\n1,2\n3\n", "f.csv, line 3: has 1 values for 2 columns"),
        ('a,b\n"1\n1",2\n3,"4\n', "f.csv, line 4: a quoted value is not closed"),
        ('"a,b\n', "f.csv, line 1: a quoted value is not closed"),
        (b"a,b\n1,2\n3,caf\xe9\n", "f.csv, line 3, byte 6: 0xe9 is not UTF8"),
        (b"a\0,b\0\n", "f.csv, line 1: the header contains NUL characters"),
        (codecs.BOM_UTF16_LE + "a,b\n".encode("utf-16-le"), "f.csv is encoded in UTF-16, which PostgreSQL cannot read"),
        (codecs.BOM_UTF32_LE + "a,b\n".encode("utf-32-le"), "f.csv is encoded in UTF-32, which PostgreSQL cannot read"),
    ],
)
def test_csv_that_cannot_be_understood_is_refused(data: str | bytes, message: str) -> None:
    """Each with a sentence that says where, and a hint."""
    with pytest.raises((errors.BadSource, errors.BadRow)) as raised:
        peek_file(written("f.csv", data))
    assert raised.value.message == message
    assert raised.value.hint


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ('{"a": 1}', "f.json is a JSON object, not an array of objects"),
        ('"a"', "f.json is a string, not an array of objects"),
        ("12", "f.json is a number, not an array of objects"),
        ("<xml>", "f.json is not JSON, not an array of objects"),
        (" \n", "f.json contains no JSON"),
        ('[{"a": 1}, {}, 3]', "f.json, element 3: is a number, not an object"),
        ("[null]", "f.json, element 1: is null, not an object"),
        ("[[1]]", "f.json, element 1: is an array, not an object"),
        ('[{"a": 01}]', "f.json, element 1: JSON is malformed: invalid number (byte 7)"),
        ('[{"a": 1},]', "f.json, element 2: the element is empty"),
        (b'[{"a": "caf\xe9"}]', "f.json, element 1: byte 11 of the element is not UTF-8"),
        ('[{"a": "\\u0000"}]', "f.json, element 1: contains \\u0000, which PostgreSQL cannot store"),
        ('[{"a": ' + "[" * 5000 + "]" * 5000 + "}]", "f.json, element 1: is nested too deeply"),
        ("[", "f.json, element 1: the array is not closed at the end of the file"),
        (codecs.BOM_UTF16_BE + "[]".encode("utf-16-be"), "f.json is encoded in UTF-16, which PostgreSQL cannot read"),
    ],
)
def test_json_that_is_no_array_of_objects_is_refused(data: str | bytes, message: str) -> None:
    """Each with a sentence that says what it is instead, and a hint."""
    with pytest.raises((errors.BadSource, errors.BadRow)) as raised:
        peek_file(written("f.json", data))
    assert raised.value.message == message
    assert raised.value.hint


def test_json_line_that_is_no_object_is_named_by_its_line() -> None:
    """Empty lines count."""
    with pytest.raises(errors.BadRow) as raised:
        peek_file(written("f.ndjson", '{"a": 1}\n\n[2]\n'))
    assert raised.value.message == "f.ndjson, line 3: is an array, not an object"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("f.csv", SourceOptions(delimiter="||"), "option delimiter of table \"f\" is '||', not one ASCII character"),
        ("f.csv", SourceOptions(quote="é"), "option quote of table \"f\" is 'é', not one ASCII character"),
        ("f.csv", SourceOptions(escape=""), "option escape of table \"f\" is '', not one ASCII character"),
        ("f.csv", SourceOptions(quote=","), 'options delimiter and quote of table "f" are the same character'),
        (
            "f.csv",
            SourceOptions(null="a,b"),
            'option null of table "f" holds the delimiter, the quote or a line end, or marks the end of data',
        ),
        ("f.csv", SourceOptions(encoding="klingon"), 'unknown encoding "klingon"'),
        (
            "f.csv",
            SourceOptions(encoding="SJIS", quote="|"),
            "option quote of table \"f\" is '|', which encoding SJIS also uses inside characters",
        ),
        ("f.json", SourceOptions(delimiter=";"), 'option delimiter of table "f" does not apply to JSON'),
        ("f.json", SourceOptions(encoding="LATIN1"), 'option encoding of table "f" is LATIN1, but JSON is UTF-8'),
    ],
)
def test_options_that_cannot_be_are_a_usage_error(name: str, options: SourceOptions, message: str) -> None:
    """The names are in the configuration, so the configuration is wrong."""
    with pytest.raises(errors.UsageError) as raised:
        peek_file(written(name, "[]", options))
    assert raised.value.message == message
    assert raised.value.hint


def test_options_must_name_every_column() -> None:
    """Fewer names than the header has columns would shift the values."""
    with pytest.raises(errors.BadSource, match=r"^f.csv has 2 columns, the options name 1$"):
        peek_file(written("f.csv", "a,b\n", SourceOptions(columns=("x",))))
    with pytest.raises(errors.BadSource, match=r'^f.csv, option columns: column "x" appears twice$'):
        peek_file(written("f.csv", "a,b\n", SourceOptions(columns=("x", "x"), header=False)))
    with pytest.raises(errors.BadSource, match=r"^f.csv has no header: its columns have no names$"):
        peek_file(written("f.csv", "a,b\n", SourceOptions(header=False)))


@pytest.mark.parametrize(
    ("encoding", "codec"),
    [("LATIN1", "latin1"), ("win1252", "cp1252"), ("SJIS", "cp932"), ("EUC_JP", "euc_jp"), ("iso-8859-15", "latin9")],
)
def test_header_is_read_in_the_encoding_given(encoding: str, codec: str) -> None:
    """By PostgreSQL's names, in any spelling that PostgreSQL takes."""
    name = "列ソ" if codec in {"cp932", "euc_jp"} else "prénom"
    source = written("a.csv", f"{name},b\n1,2\n".encode(codec), SourceOptions(encoding=encoding))
    assert peek_file(source).columns == (name, "b")


def test_format_option_reads_json_lines_from_a_json_file() -> None:
    """As the hint for an object at the top of a .json file says."""
    source = written("a.json", '{"a": 1}\n{"a": 2}\n', SourceOptions(format=Format.NDJSON))
    assert peek_file(source).rows == (("1",), ("2",))
