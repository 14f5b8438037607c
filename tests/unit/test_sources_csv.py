"""Delimited files go to COPY as they are, cut where records end."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bluegreen_etl import errors
from bluegreen_etl.model import Block, Column, CopyOptions, Reader, SourceOptions
from bluegreen_etl.sources.discovery import TableFiles, discover
from bluegreen_etl.sources.readers import open_reader

BOTH = (Column(name="a", type="text"), Column(name="b", type="text"))


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def reader(
    data: bytes,
    options: SourceOptions | None = None,
    *,
    columns: tuple[Column, ...] = BOTH,
    block_size: int | None = None,
    name: str = "t.csv",
) -> Reader:
    Path(name).write_bytes(data)
    [source] = discover([name], tables={"t": TableFiles(options=options or SourceOptions())})
    return open_reader(source, columns, block_size=block_size)


def loaded(data: bytes, options: SourceOptions | None = None, *, columns: tuple[Column, ...] = BOTH) -> bytes:
    """What COPY gets, however small the blocks are."""
    whole = b"".join(block.data for block in reader(data, options, columns=columns).blocks())
    for size in (1, 7):
        blocks = list(reader(data, options, columns=columns, block_size=size).blocks())
        assert b"".join(block.data for block in blocks) == whole
    return whole


def test_bytes_pass_unchanged_without_the_header() -> None:
    """Nothing is parsed, not even what is wrong: the server says what the file means."""
    opened = reader(b'a,b\n1," x "\n\xff,\n')
    assert list(opened.columns) == ["a", "b"]
    assert opened.copy_options == CopyOptions()
    assert list(opened.blocks()) == [Block(number=0, first=2, lines=2, data=b'1," x "\n\xff,\n', consumed=15)]


def test_blocks_begin_at_the_line_that_the_server_counts() -> None:
    """Line ends inside values are lines of the file, and so is the header's."""
    data = b'a,"b\n"\n1,"x\n\ny"\n' + b"2,zzzzzzzz\n" * 2 + b"3,w\n"
    opened = reader(data, columns=(BOTH[0], Column(name="b\n", type="text")), block_size=4)
    assert [(block.number, block.first, block.data) for block in opened.blocks()] == [
        (0, 3, b'1,"x\n\ny"\n2,zzzzzzzz\n'),
        (1, 7, b"2,zzzzzzzz\n3,w\n"),
    ]
    assert opened.locate(0, 3, 1) == "line 3"
    assert opened.locate(1, 7, 2) == "line 8"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a,b\n1,2", b"1,2\n"),
        (b"a,b\r\n1,2\r\n3,4", b"1,2\r\n3,4\r\n"),
        (b"a,b\r1,2\r3,4", b"1,2\r3,4\r"),
        (b"a,b\n1,2\r\n3,4", b"1,2\r\n3,4\r\n"),
        (b"\xef\xbb\xbfa,b\n1,2\n", b"1,2\n"),
        (b"a,b\n1,2\n\n\r\n\n", b"1,2\n"),
        (b'a,b\n1,"2\n\n"\n\n', b'1,"2\n\n"\n'),
        (b"a,b\n1,2\n\n\n3,4\n", b"1,2\n\n\n3,4\n"),
        (b"a,b\n,\n", b",\n"),
        (b"a,b", b""),
        (b"a,b\n\n", b""),
        (b"a,b\r\n\r\n\r\n", b""),
    ],
)
def test_last_line_is_made_whole_and_empty_ones_after_it_are_dropped(data: bytes, expected: bytes) -> None:
    """In the file's own kind of line end; empty lines between records are the server's to refuse."""
    assert loaded(data) == expected


def test_empty_lines_of_one_column_are_records() -> None:
    """Each is a NULL, also at the end."""
    assert loaded(b"a\n1\n\n\n", columns=BOTH[:1]) == b"1\n\n\n"
    assert loaded(b"a\n\n1", columns=BOTH[:1]) == b"\n1\n"


def test_record_longer_than_a_block_stays_whole() -> None:
    """The buffer grows with it."""
    record = b'1,"' + b"x\n" * 5000 + b'"\n'
    blocks = list(reader(b"a,b\n1,2\n" + record + b"2,3\n" * 5000, block_size=16).blocks())
    assert (blocks[0].first, blocks[0].data) == (2, b"1,2\n")
    assert blocks[1].data.startswith(record)
    assert blocks[2].first == 3 + blocks[1].data.count(b"\n")
    assert len(blocks[-2].data) == 16


def test_options_become_copy_options() -> None:
    """The server gets the options of the settings; a TSV file is delimited by tabs."""
    options = SourceOptions(delimiter=";", quote="'", escape="\\", null="\\N", encoding="win1252")
    assert reader(b"a;b\n", options).copy_options == CopyOptions(
        delimiter=";", quote="'", escape="\\", null="\\N", encoding="win1252"
    )
    assert reader(b"a\tb\n", name="t.tsv").copy_options == CopyOptions(delimiter="\t")
    assert reader(b"a,b\n", SourceOptions(quote="'")).copy_options == CopyOptions(quote="'", escape="'")


def test_escape_of_its_own_is_followed_when_cutting() -> None:
    """An escaped quote does not end a value, so the line end after it is no record's."""
    options = SourceOptions(escape="\\")
    data = b'a,b\n1,"x\\"\n\\\\"\n2,"\\\n"\n\\,"z"'
    assert loaded(data, options) == b'1,"x\\"\n\\\\"\n2,"\\\n"\n\\,"z"\n'
    blocks = list(reader(data, options, block_size=4).blocks())
    assert [block.data for block in blocks] == [b'1,"x\\"\n\\\\"\n', b'2,"\\\n"\n', b'\\,"z"\n']


def test_end_of_data_marker_is_quoted() -> None:
    r"""To a server before 18 a bare `\.` would end the data; inside a value or a longer line it is nothing special."""
    column = BOTH[:1]
    assert loaded(b'a\n\\.\n"x\n\\.\n"\n\\.x\nx\\.\n\\.', columns=column) == b'"\\."\n"x\n\\.\n"\n\\.x\nx\\.\n"\\."\n'
    assert loaded(b"a\r\n\\.\r\n1\r\n", columns=column) == b'"\\."\r\n1\r\n'


def test_without_a_header_all_lines_are_data() -> None:
    """The columns are the option's, or else the table's that a file can fill."""
    generated = Column(name="g", type="text", generated=True)
    named = reader(b"1,2\n", SourceOptions(header=False, columns=("b", "a")))
    assert list(named.columns) == ["b", "a"]
    bare = reader(b"1,2\n", SourceOptions(header=False), columns=(BOTH[0], generated, BOTH[1]))
    assert list(bare.columns) == ["a", "b"]
    assert [block.data for block in bare.blocks()] == [b"1,2\n"]
    assert [block.first for block in bare.blocks()] == [1]


@pytest.mark.parametrize(
    ("data", "message", "hint"),
    [
        (b"a,bb\n", 't.csv, line 1: "bb" is not a column of the table', 'Did you mean "b"?'),
        (
            b"a,zzz\n",
            't.csv, line 1: "zzz" is not a column of the table',
            "Add it to the table, or remove it from the file.",
        ),
        (
            b"a,g\n",
            't.csv, line 1: column "g" is generated: a file cannot fill it',
            'Remove it, or add `ignore_columns = ["g"]` under `[tables.TABLE]`.',
        ),
    ],
)
def test_header_that_does_not_fit_the_table_is_refused(data: bytes, message: str, hint: str) -> None:
    """When the file is opened, before anything is written."""
    with pytest.raises(errors.BadSource) as raised:
        reader(data, columns=(*BOTH, Column(name="g", type="text", generated=True)))
    assert (raised.value.message, raised.value.hint) == (message, hint)


def test_line_of_a_crlf_file_is_the_editors() -> None:
    """The server does not count the line feeds inside values there, so its line is translated."""
    data = b'a,b\r\n1,"x\ny\nz"\r\n2,w\r\n3,"\r\n"\r\n4,v\r\n'
    opened = reader(data)
    [block] = opened.blocks()
    assert block.first == 2
    assert opened.locate(0, 2, 1) == "line 2"
    assert opened.locate(0, 2, 2) == "line 5"
    assert opened.locate(0, 2, 5) == "line 8"


def test_lines_are_counted_as_the_server_counts_them() -> None:
    """Carriage returns where lines end in them, else line feeds."""
    assert open_lines(b'a,b\r\n1,"x\ny"\r\n2,"\r\n"\r\n') == 3
    assert open_lines(b'a,b\n1,"x\r\ny"\n2,"\r"\n') == 3
    assert open_lines(b"a,b\r1,2\r3,4\r") == 2


def open_lines(data: bytes) -> int:
    Path("t.csv").write_bytes(data)
    [source] = discover(["t.csv"], tables={})
    opened = open_reader(source, BOTH)
    return sum(block.lines for block in opened.blocks())


def test_quote_that_is_never_closed_goes_to_the_server() -> None:
    """It refuses the value in its own words, at the right line."""
    assert loaded(b'a,b\n1,2\n3,"4\n5,6\n') == b'1,2\n3,"4\n5,6\n'


# ---- any CSV

FIELDS = st.text(st.sampled_from('ab",;\n\r\\ é'), max_size=6)
ROWS = st.lists(st.tuples(FIELDS, FIELDS), min_size=1, max_size=20)


def written(row: tuple[str, ...], *, sparing: bool) -> str:
    """A record without its line end; `sparing` quotes only where it must, also for a lone carriage return."""
    return ",".join(
        field if sparing and not set(field) & set('",\r\n') else '"' + field.replace('"', '""') + '"' for field in row
    )


def parsed(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=ROWS,
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    size=st.integers(1, 40),
    last_end=st.booleans(),
    bom=st.booleans(),
    sparing=st.booleans(),
)
def test_any_csv_is_cut_at_record_ends_only(
    rows: list[tuple[str, str]], end: str, size: int, last_end: bool, bom: bool, sparing: bool
) -> None:
    """Blocks together are the file without its header, and each is whole records for Python's own parser."""
    body = "".join(written(row, sparing=sparing) + end for row in rows)
    data = ("\ufeff" if bom else "") + f"a,b{end}" + (body if last_end else body.removesuffix(end))
    blocks = list(reader(data.encode(), block_size=size).blocks())
    assert b"".join(block.data for block in blocks) == body.encode()
    assert [row for block in blocks for row in parsed(block.data.decode())] == [list(row) for row in rows]
    feed = end[-1]
    line = 2
    for block in blocks:
        assert block.first == line
        line += block.data.decode().count(feed)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, size=st.integers(1, 40))
def test_any_csv_with_an_escape_of_its_own_is_cut_at_record_ends_only(rows: list[tuple[str, str]], size: int) -> None:
    """The same with backslashes before quotes."""

    def field(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    records = [f"{field(first)},{field(second)}\n".encode() for first, second in rows]
    opened = reader(b"a,b\n" + b"".join(records), SourceOptions(escape="\\"), block_size=size)
    left = list(records)
    for block in opened.blocks():
        data = block.data
        while data:
            record = left.pop(0)
            assert data.startswith(record)
            data = data.removeprefix(record)
    assert left == []
