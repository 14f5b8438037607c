"""Delimited files in blocks are to the server what the whole file is, and its line numbers are found again."""

import re
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.rows import TupleRow

from bluegreen_etl.model import Block, Column, CopyOptions, Reader, SourceOptions
from bluegreen_etl.sources.discovery import TableFiles, discover
from bluegreen_etl.sources.readers import open_reader

Connection = psycopg.Connection[TupleRow]
COLUMNS = (Column(name="a", type="text"), Column(name="b", type="text"))


@pytest.fixture
def table(connection: Connection) -> Connection:
    """A table of two texts."""
    connection.execute("CREATE TABLE t (number integer GENERATED ALWAYS AS IDENTITY, a text, b text)")
    return connection


def copied(
    connection: Connection, data: list[bytes], options: CopyOptions, *, header: bool = False
) -> list[TupleRow] | None:
    """What the server reads in the blocks; None when it refuses them."""
    statement = sql.SQL(
        "COPY t (a, b) FROM STDIN (FORMAT csv, HEADER {}, DELIMITER {}, QUOTE {}, ESCAPE {}, NULL {})"
    ).format(header, *map(sql.Literal, (options.delimiter, options.quote, options.escape, options.null)))
    connection.execute("TRUNCATE t")
    try:
        with connection.cursor().copy(statement) as copy:
            for block in data:
                copy.write(block)
    except psycopg.DataError:
        return None
    return connection.execute("SELECT a, b FROM t ORDER BY number").fetchall()


def opened(path: Path, data: bytes, escape: str | None, block_size: int | None) -> Reader:
    path.write_bytes(data)
    tables = {"t": TableFiles(options=SourceOptions(escape=escape))}
    [source] = discover([str(path)], tables=tables)
    return open_reader(source, COLUMNS, block_size=block_size)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.lists(st.sampled_from(['"', '""', "\\", ",", "x", "é", "\n"]), max_size=30).map("".join),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    escape=st.sampled_from([None, "\\"]),
    size=st.integers(1, 20),
)
def test_any_text_in_blocks_is_what_the_whole_is(
    table: Connection, tmp_path: Path, body: str, end: str, escape: str | None, size: int
) -> None:
    """Also malformed text: each block alone as well as all together give the whole file's rows, or are refused."""
    data = b"a,b\n" + body.encode() + b"\n"
    data = data.replace(b"\n", end.encode())
    reader = opened(tmp_path / "t.csv", data, escape, size)
    blocks = [block.data for block in reader.blocks()]
    empty_lines = re.sub(rb"[\r\n]+\Z", end.encode(), data)
    whole = copied(table, [empty_lines], reader.copy_options, header=True)
    assert copied(table, blocks, reader.copy_options) == whole
    if whole is not None:
        one_by_one = [copied(table, [block], reader.copy_options) for block in blocks]
        assert [row for rows in one_by_one if rows is not None for row in rows] == whole


def test_end_of_data_marker_is_data(connection: Connection, tmp_path: Path) -> None:
    r"""A line of `\.` loses nothing after it, on servers of any version."""
    connection.execute("CREATE TABLE one (a text)")
    path = tmp_path / "one.csv"
    path.write_bytes(b'a\nx\n\\.\ny\n"z\n\\.\n"\n\\.\n')
    [source] = discover([str(path)], tables={})
    with connection.cursor().copy("COPY one FROM STDIN (FORMAT csv)") as copy:
        for block in open_reader(source, COLUMNS[:1]).blocks():
            copy.write(block.data)
    rows = [row[0] for row in connection.execute("SELECT a FROM one")]
    assert rows == ["x", "\\.", "y", "z\n\\.\n", "\\."]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [None, 8, 40])
def test_servers_line_is_found_in_the_file(
    connection: Connection, tmp_path: Path, end: bytes, size: int | None
) -> None:
    """Through values with line feeds in them, which the server counts only where lines end in one."""
    connection.execute("CREATE TABLE t (a integer, b text)")
    lines = [b"a,b", b'1,"x\ny\nz"', b'2,"u"', b'3,"v\nw"', b"oops,q", b"5,r"]
    path = tmp_path / "t.csv"
    path.write_bytes(end.join(lines) + end)
    [source] = discover([str(path)], tables={})
    reader = open_reader(source, COLUMNS, block_size=size)
    blocks = list(reader.blocks())
    with pytest.raises(psycopg.DataError) as raised:
        copy_all(connection, blocks, end)
    found = re.search(r"line (\d+)", raised.value.diag.context or "")
    assert found
    server_line = int(found[1]) - 1
    for block in blocks:
        count = block.lines
        if server_line <= count:
            break
        server_line -= count
    # In a file of carriage returns alone, those are what an editor counts.
    expected = 5 if end == b"\r" else 8
    assert reader.locate(block.number, block.first, server_line) == f"line {expected}"


def copy_all(connection: Connection, blocks: list[Block], end: bytes) -> None:
    """Send an empty header first: the server counts lines inside values only once it has seen how lines end."""
    with connection.cursor().copy("COPY t FROM STDIN (FORMAT csv, HEADER)") as copy:
        copy.write(end)
        for block in blocks:
            copy.write(block.data)
