"""Standard input: read more than once from its start, never kept whole, and compressed as its first bytes say."""

import bz2
import gzip
import hashlib
import io
import lzma
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bluegreen_etl import errors, interrupts
from bluegreen_etl.model import STDIN, Column, Compression, Format, SourceFile, SourceOptions
from bluegreen_etl.sources import places
from bluegreen_etl.sources.discovery import TableFiles, discover
from bluegreen_etl.sources.peek import peek_file
from bluegreen_etl.sources.places import stdin
from bluegreen_etl.sources.readers import open_reader

COLUMNS = (Column(name="a", type="integer"), Column(name="b", type="text"))
TEXT = b"a,b\n1,x\n2,y\n"


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], None]]:
    """What makes standard input a pipe of these bytes."""
    saved = os.dup(0)
    threads = []

    def begin(data: bytes) -> None:
        readable, writable = os.pipe()
        os.dup2(readable, 0)
        os.close(readable)
        stdin.standard_input.cache_clear()
        # A pipe holds 64 kB; who reads less than all of it goes away before the writer is done.
        threads.append(threading.Thread(target=written, args=(writable, data)))
        threads[-1].start()

    yield begin
    os.dup2(saved, 0)
    os.close(saved)
    stdin.standard_input.cache_clear()
    for thread in threads:
        thread.join()


def written(descriptor: int, data: bytes) -> None:
    """Write into a pipe until all is written or nobody reads any more."""
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except BrokenPipeError:
        pass


def found(options: SourceOptions | None = None, *paths: str) -> list[SourceFile]:
    own = options or SourceOptions(format=Format.CSV)
    return discover([STDIN, *paths], tables={"t": TableFiles(files=(STDIN,), options=own)})


def test_standard_input_is_a_file_of_the_table_that_lists_it(feed: Callable[[bytes], None]) -> None:
    """Standard input is read next to files of other tables; its size is not known."""
    feed(TEXT)
    assert found() == [
        SourceFile(
            path="standard input",
            table="t",
            format=Format.CSV,
            compression=Compression.NONE,
            size=None,
            options=SourceOptions(format=Format.CSV),
            address=(STDIN,),
        )
    ]


def test_it_is_looked_at_and_then_read_from_its_start(feed: Callable[[bytes], None]) -> None:
    """Peek, header and blocks each begin at the first byte; size and digest are those of what was read."""
    feed(TEXT)
    [source] = found()
    assert peek_file(source).rows == (("1", "x"), ("2", "y"))
    reader = open_reader(source, COLUMNS)
    assert b"".join(block.data for block in reader.blocks()) == TEXT[4:]
    assert (reader.sha256, reader.size) == (hashlib.sha256(TEXT).hexdigest(), len(TEXT))


@pytest.mark.parametrize(
    ("compress", "compression"),
    [(gzip.compress, "gz"), (bz2.compress, "bz2"), (lzma.compress, "xz"), (bytes, "none")],
)
def test_compression_is_known_by_the_first_bytes(
    feed: Callable[[bytes], None], compress: Callable[[bytes], bytes], compression: str
) -> None:
    """There is no name that could say it."""
    feed(compress(TEXT))
    [source] = found()
    assert source.compression == Compression(compression)
    assert peek_file(source).columns == ("a", "b")


def test_zstd_is_known_by_its_first_bytes(feed: Callable[[bytes], None]) -> None:
    """Whether or not there is a decoder."""
    feed(b"(\xb5/\xfd \x04!\x00\x00a,b\n")
    assert found()[0].compression is Compression.ZSTD


def test_text_that_begins_like_bzip2_is_text(feed: Callable[[bytes], None]) -> None:
    """A column may be called BZh9."""
    feed(b"BZh9,b\n1,x\n")
    assert found()[0].compression is Compression.NONE


def test_only_the_first_bytes_are_kept() -> None:
    """Bytes beyond the kept ones are read once, and a second reader gets an error there."""
    readable, writable = os.pipe()
    os.write(writable, bytes(range(100)))
    os.close(writable)
    kept = stdin.RereadableInput(readable, limit=40)
    assert kept.read_at(0, 30) == bytes(range(30))
    assert kept.read_at(0, 10) == bytes(range(10))
    assert kept.read_at(30, 30) == bytes(range(30, 60))
    assert kept.read_at(10, 100) == bytes(range(10, 30))
    with pytest.raises(errors.BadSource, match=r"^standard input cannot be read a second time beyond its first "):
        kept.read_at(30, 1)
    assert kept.read_at(60, 100) == bytes(range(60, 100))
    assert kept.read_at(100, 100) == b""
    os.close(readable)


def test_memory_is_bounded_however_long_it_is(feed: Callable[[bytes], None]) -> None:
    """Three times what is kept passes through, and no more than that stays."""
    row = b"1,%s\n" % (b"x" * 100_000)
    feed(b"a,b\n" + row * 500)
    [source] = found()
    reader = open_reader(source, COLUMNS)
    assert sum(len(block.data) for block in reader.blocks()) == 500 * len(row)
    assert len(stdin.standard_input()._kept._start) <= 16 << 20


@pytest.mark.parametrize(("eol", "second", "beyond"), [(b"\n", 3, ""), (b"\r\n", 4, " or after it")])
def test_place_of_an_error_is_near_where_the_text_is_gone(
    feed: Callable[[bytes], None], eol: bytes, second: int, beyond: str
) -> None:
    """Within what is kept the place is exact; where lines must be counted again beyond it, it is the least."""
    row = b'1,"%s\n"' % (b"x" * 100_000) + eol
    feed(b"a,b" + eol + row * 300)
    reader = open_reader(found()[0], COLUMNS)
    blocks = [block._replace(data=b"") for block in reader.blocks()]
    assert reader.locate(0, blocks[0].first, 2) == f"line {second}"
    last = blocks[-1]
    assert reader.locate(last.number, last.first, 2) == f"line {last.first + 1}{beyond}"


def test_redirected_file_has_a_size(feed: Callable[[bytes], None], tmp_path: Path) -> None:
    """Then the progress of the load is known; what somebody has read of it before does not count."""
    feed(b"")
    (tmp_path / "t.csv").write_bytes(b"#ab\n" + TEXT)
    with (tmp_path / "t.csv").open("rb") as file:
        os.dup2(file.fileno(), 0)
    os.lseek(0, 4, os.SEEK_SET)
    stdin.standard_input.cache_clear()
    [source] = found()
    assert source.size == len(TEXT)
    reader = open_reader(source, COLUMNS)
    assert b"".join(block.data for block in reader.blocks()) == TEXT[4:]


def test_waiting_ends_when_the_load_is_stopped() -> None:
    """The writer may be silent for hours."""
    readable, writable = os.pipe()
    stop = threading.Event()
    threading.Timer(0.1, stop.set).start()
    with interrupts.stopped_by(stop), pytest.raises(errors.Interrupted):
        stdin.RereadableInput(readable).read_at(0, 1)
    os.close(readable)
    os.close(writable)


# ---- what is refused


def test_empty_input_is_refused(feed: Callable[[bytes], None]) -> None:
    """The command before it has died, most likely."""
    feed(b"")
    with pytest.raises(errors.BadSource, match=r"^standard input is empty$"):
        found()


def test_input_without_a_table_is_refused(feed: Callable[[bytes], None]) -> None:
    """No file name shows the format."""
    feed(TEXT)
    with pytest.raises(errors.UsageError, match=r"^no table is named for standard input$"):
        discover([STDIN], tables={})


def test_input_without_a_format_is_refused(feed: Callable[[bytes], None]) -> None:
    """Nor this; the hint names the option."""
    feed(TEXT)
    with pytest.raises(errors.BadSource, match=r"^the format of standard input is unknown$") as raised:
        found(SourceOptions(null="NA"))
    assert raised.value.hint is not None
    assert "--format" in raised.value.hint


def test_input_for_two_tables_is_refused(feed: Callable[[bytes], None]) -> None:
    """It can only be read once."""
    feed(TEXT)
    tables = {name: TableFiles(files=(STDIN,), options=SourceOptions(format=Format.CSV)) for name in "xy"}
    with pytest.raises(errors.BadSource, match=r'^standard input is listed for table "x" and for table "y"$'):
        discover([], tables=tables)


def test_damaged_input_is_refused(feed: Callable[[bytes], None]) -> None:
    """A compressed stream shows that it was cut off; a plain one cannot."""
    feed(gzip.compress(TEXT)[:-9])
    with pytest.raises(errors.BadSource, match=r"^standard input cannot be read to its end: "):
        peek_file(found()[0])


def test_reading_from_the_end_is_refused(feed: Callable[[bytes], None]) -> None:
    """Formats that need it need a file."""
    feed(TEXT)
    with pytest.raises(errors.BadSource, match=r"^standard input cannot be read from its end$"):
        io.BufferedReader(places.of(found()[0]).open_seekable())
