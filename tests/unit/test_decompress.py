"""Compressed, damaged and changing files; the digest and the progress of reading."""

import bz2
import gzip
import hashlib
import importlib.util
import lzma
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bluegreen_etl import errors
from bluegreen_etl.model import Column, Reader
from bluegreen_etl.sources import decompress
from bluegreen_etl.sources.discovery import discover
from bluegreen_etl.sources.peek import peek_file
from bluegreen_etl.sources.readers import open_reader

COLUMNS = (Column(name="a", type="integer"), Column(name="b", type="text"))
HAS_ZSTD = any(
    importlib.util.find_spec(name.partition(".")[0]) and importlib.util.find_spec(name)
    for name in ("compression.zstd", "zstandard")
)
# Two frames of zstd, each "a,b\n" or "1,x\n" uncompressed inside: enough to need no compressor here.
ZSTD = b"(\xb5/\xfd \x04!\x00\x00a,b\n" + b"(\xb5/\xfd \x04!\x00\x001,x\n"


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def opened(name: str, data: bytes, *, block_size: int | None = None) -> Reader:
    Path(name).write_bytes(data)
    [source] = discover([name], tables={})
    return open_reader(source, COLUMNS, block_size=block_size)


def text_of(reader: Reader) -> bytes:
    return b"".join(block.data for block in reader.blocks())


@pytest.mark.parametrize(("suffix", "compress"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
def test_compressed_file_is_read_and_its_own_bytes_are_hashed(suffix: str, compress: Callable[[bytes], bytes]) -> None:
    """A file of several members, as appending writes them, is read whole; the digest covers the bytes on disk."""
    data = compress(b"a,b\n1,x\n") + compress(b"2,y\n")
    reader = opened(f"t.csv.{suffix}", data)
    assert text_of(reader) == b"1,x\n2,y\n"
    assert reader.sha256 == hashlib.sha256(data).hexdigest()


def test_bytes_after_the_text_are_hashed_too() -> None:
    """Padding that the decompressor passes over is part of the file."""
    data = gzip.compress(b"a,b\n1,x\n") + b"\0" * 100_000
    reader = opened("t.csv.gz", data)
    assert text_of(reader) == b"1,x\n"
    assert reader.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(("suffix", "compress"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
@pytest.mark.parametrize("damage", ["cut off", "overwritten"])
def test_damaged_archive_is_refused(suffix: str, compress: Callable[[bytes], bytes], damage: str) -> None:
    """Never taken as a shorter file."""
    packed = compress(b"a,b\n" + os.urandom(50_000).hex().encode() + b",x\n")
    damaged = {
        "cut off": packed[:-20],
        "overwritten": packed[:20_000] + b"\0" * 100 + packed[20_100:],
    }[damage]
    with pytest.raises(errors.BadSource, match=rf"^t.csv.{suffix} cannot be read to its end: "):
        text_of(opened(f"t.csv.{suffix}", damaged))


@pytest.fixture(params=["isal", "standard library"])
def gzip_decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each decoder of gzip in turn: without isal it is the standard library's."""
    if request.param == "standard library":
        monkeypatch.setitem(sys.modules, "isal.igzip", None)
    return str(request.param)


def test_gzip_file_is_read_by_either_decoder(gzip_decoder: str) -> None:
    """Through all members, and what is behind them is hashed too."""
    data = gzip.compress(b"a,b\n1,x\n") + gzip.compress(b"2,y\n" * 100_000) + b"\0" * 100_000
    reader = opened("t.csv.gz", data)
    assert text_of(reader) == b"1,x\n" + b"2,y\n" * 100_000
    assert reader.sha256 == hashlib.sha256(data).hexdigest()
    with decompress.open_stream(discover(["t.csv.gz"], tables={})[0]) as stream:
        assert type(stream._text).__module__ == ("isal.igzip" if gzip_decoder == "isal" else "gzip")


@pytest.mark.parametrize("kept", [-1, -9, 5, 15])
@pytest.mark.parametrize("before", [b"", gzip.compress(b"a,b\n1,x\n")], ids=["first member", "later member"])
def test_truncated_gzip_file_is_refused_by_either_decoder(gzip_decoder: str, kept: int, before: bytes) -> None:
    """Wherever it ends, in its first member or in a later one."""
    packed = gzip.compress(b"a,b\n" + os.urandom(50_000).hex().encode() + b",x\n")
    with pytest.raises(errors.BadSource, match=r"^t.csv.gz cannot be read to its end: "):
        text_of(opened("t.csv.gz", before + packed[:kept]))


@pytest.mark.parametrize("damage", [b"\0" * 100, b"\xff" * 100, os.urandom(100)], ids=["zeros", "ones", "noise"])
def test_damaged_gzip_file_is_refused_by_either_decoder(gzip_decoder: str, damage: bytes) -> None:
    """isal has an error of its own for it."""
    packed = gzip.compress(b"a,b\n" + os.urandom(50_000).hex().encode() + b",x\n")
    with pytest.raises(errors.BadSource, match=r"^t.csv.gz cannot be read to its end: "):
        text_of(opened("t.csv.gz", packed[:20_000] + damage + packed[20_100:]))


@pytest.mark.skipif(not HAS_ZSTD, reason="needs Python 3.14 or the package zstandard")
def test_zstd_file_is_read() -> None:
    """By whichever decoder is there, through all frames."""
    reader = opened("t.csv.zst", ZSTD)
    assert text_of(reader) == b"1,x\n"
    assert reader.sha256 == hashlib.sha256(ZSTD).hexdigest()


@pytest.mark.skipif(not HAS_ZSTD, reason="needs Python 3.14 or the package zstandard")
def test_damaged_zstd_file_is_refused() -> None:
    """A cut-off one too, which zstandard's own reader takes as a shorter file."""
    with pytest.raises(errors.BadSource, match=r"^t.csv.zst cannot be read to its end: "):
        text_of(opened("t.csv.zst", ZSTD[:-2]))


@pytest.mark.skipif(HAS_ZSTD, reason="a decoder is installed")
def test_zstd_file_without_a_decoder_says_what_to_install() -> None:
    """The decoder is not a dependency."""
    with pytest.raises(errors.BadSource) as raised:
        opened("t.csv.zst", ZSTD)
    assert raised.value.message == "t.csv.zst is compressed with zstd: no decoder is installed"
    assert raised.value.hint == "Run `pip install zstandard`, or use Python 3.14."


def test_consumed_counts_bytes_on_disk() -> None:
    """It rises to the file's size, compressed or not, so that progress can be shown."""
    text = b"a,b\n" + b"".join(b"%d,%s\n" % (i, os.urandom(500).hex().encode()) for i in range(5000))
    for name, data in (("t.csv", text), ("t.csv.gz", gzip.compress(text, 1))):
        consumed = [block.consumed for block in opened(name, data).blocks()]
        assert consumed == sorted(consumed)
        assert 0 < consumed[0] < len(data)
        assert consumed[-1] == len(data)


@pytest.mark.parametrize("name", ["t.csv", "t.ndjson"])
def test_digest_is_known_at_the_end_only(name: str) -> None:
    """Half of a file has none."""
    reader = opened(name, b'{"a":1}\n' if name == "t.ndjson" else b"a,b\n1,x\n")
    with pytest.raises(RuntimeError):
        _ = reader.sha256
    text_of(reader)
    assert len(reader.sha256) == 64


def appended(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"9,z\n")


def cut_short(path: Path) -> None:
    os.truncate(path, 9)


def replaced(path: Path) -> None:
    modified = path.stat().st_mtime_ns
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(modified, modified))
    other.replace(path)


def overwritten(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"x", b"y"))
    os.utime(path, ns=(0, 0))


@pytest.mark.parametrize("change", [appended, cut_short, replaced, overwritten])
@pytest.mark.parametrize("when", ["before", "between"])
def test_file_that_changes_is_refused(change: Callable[[Path], None], when: str) -> None:
    """From when the header was read to the end, whether size, time or only the file behind the path changes."""
    reader = opened("t.csv", b"a,b\n" + b"1,x\n" * 1000, block_size=64)
    blocks = reader.blocks()
    if when == "between":
        next(blocks)
    change(Path("t.csv"))
    with pytest.raises(errors.BadSource, match=r"^t.csv changed while it was read$"):
        list(blocks)


def test_file_that_is_gone_is_refused() -> None:
    """Found by discover, removed before it was opened."""
    Path("t.csv").write_bytes(b"a,b\n")
    [source] = discover(["t.csv"], tables={})
    Path("t.csv").unlink()
    for function in (peek_file, lambda gone: open_reader(gone, COLUMNS)):
        with pytest.raises(errors.BadSource, match=r"^t.csv cannot be read: No such file or directory$"):
            function(source)


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.ndjson"])
def test_stopping_early_closes_the_file(name: str) -> None:
    """No descriptor stays open when the consumer goes away in the middle."""
    text = b'{"a":1}\n' * 100 if name == "t.ndjson" else b"a,b\n" + b"1,x\n" * 100
    reader = opened(name, gzip.compress(text) if name.endswith("gz") else text, block_size=16)
    before = len(list(Path("/proc/self/fd").iterdir()))
    blocks = reader.blocks()
    next(blocks)
    assert len(list(Path("/proc/self/fd").iterdir())) == before + 1
    blocks.close()  # type: ignore[attr-defined]  # blocks() is a generator, its contract only says Iterator
    assert len(list(Path("/proc/self/fd").iterdir())) == before
