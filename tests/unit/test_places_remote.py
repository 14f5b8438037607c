"""Files by URL: found, read, seen to change, and refused without a word of what is secret in the URL."""

import hashlib
import io
import pickle
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from pyarrow import parquet

from bluegreen_etl import errors
from bluegreen_etl.model import Column, Compression, Format, SourceFile, SourceOptions
from bluegreen_etl.sources import places
from bluegreen_etl.sources.discovery import TableFiles, discover
from bluegreen_etl.sources.peek import peek_file
from bluegreen_etl.sources.places import is_anchored, remote
from bluegreen_etl.sources.readers import open_reader
from tests.web import Page, Web, serving

COLUMNS = (Column(name="a", type="integer"), Column(name="b", type="text"))
TEXT = b"a,b\n1,x\n2,y\n"
LONG = b"a,b\n" + b"1,%s\n" % (b"x" * 1000) * 5000


@pytest.fixture
def memory() -> Iterator[MemoryFileSystem]:
    """fsspec's file system in memory, empty."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    yield system
    system.store.clear()


@pytest.fixture
def web() -> Iterator[Web]:
    """A web server with one file."""
    with serving({"/t.csv": Page(TEXT)}) as served:
        yield served


def found(*paths: str, tables: Mapping[str, TableFiles] | None = None) -> list[tuple[str, str]]:
    return [(source.table, source.path) for source in discover(paths, tables=tables or {})]


def read(url: str, block_size: int | None = None) -> tuple[bytes, str, int]:
    """Return the text, the digest and the size of the one file that a URL means."""
    [source] = discover([url], tables={})
    reader = open_reader(source, COLUMNS, block_size=block_size)
    text = b"".join(block.data for block in reader.blocks())
    return text, reader.sha256, reader.size


def refusal(url: str) -> errors.BadSource:
    """Return the error with which a file is refused, found at once or while it is read."""
    with pytest.raises(errors.BadSource) as raised:
        read(url)
    assert raised.value.hint
    return raised.value


# ---- which files


def test_url_is_a_file(memory: MemoryFileSystem) -> None:
    """The last part of a URL is its name, and the storage reports its size."""
    memory.pipe("/d/players.csv.gz", b"12345")
    assert discover(["memory://d/players.csv.gz"], tables={}) == [
        SourceFile(
            path="memory://d/players.csv.gz",
            table="players",
            format=Format.CSV,
            compression=Compression.GZIP,
            size=5,
        )
    ]


def test_directories_and_globs_are_listed_where_the_storage_can(memory: MemoryFileSystem) -> None:
    """As on the disk: their own data files, hidden ones and sub-directories left out."""
    for name in ("a.csv", "b.json", ".hidden.csv", "README.md", "sub/c.csv"):
        memory.pipe(f"/d/{name}", TEXT)
    both = [("a", "memory://d/a.csv"), ("b", "memory://d/b.json")]
    assert found("memory://d/") == both
    assert found("memory://d") == both
    assert found("memory://d/*") == both
    assert found("memory://d/?.csv") == both[:1]
    assert found("memory://d/**/*.csv") == [("a", "memory://d/a.csv"), ("c", "memory://d/sub/c.csv")]


def test_tables_list_urls(memory: MemoryFileSystem) -> None:
    """And their settings say what an address without a suffix holds."""
    for name in ("p1.csv", "p2.csv", "export"):
        memory.pipe(f"/d/{name}", TEXT)
    tables = {
        "players": TableFiles(files=("memory://d/p*.csv",)),
        "teams": TableFiles(files=("memory://d/export",), options=SourceOptions(format=Format.CSV)),
    }
    assert found(tables=tables) == [
        ("players", "memory://d/p1.csv"),
        ("players", "memory://d/p2.csv"),
        ("teams", "memory://d/export"),
    ]


def test_page_of_links_is_a_directory(web: Web) -> None:
    """As most web servers show theirs; links to elsewhere and to other orders of the list are not files."""
    web.pages["/d/"] = Page(
        b'<a href="?C=N">N</a> <a href="../">up</a> <a href="x%20y.csv">x</a> <a href="z.txt">z</a>'
    )
    web.pages["/d/x%20y.csv"] = Page(TEXT)
    expected = [("x y", f"{web.url}/d/x%20y.csv")]
    assert found(f"{web.url}/d/") == expected
    assert found(f"{web.url}/d/*.csv") == expected
    assert read(f"{web.url}/d/")[0] == TEXT[4:]


def test_file_url_is_a_path(tmp_path: Path) -> None:
    """No package is needed for it, and messages name the path."""
    (tmp_path / "my players.csv").write_bytes(TEXT)
    expected = [("my players", f"{tmp_path}/my players.csv")]
    assert found(f"file://{tmp_path}/my%20players.csv") == expected
    assert found(f"file://localhost{tmp_path}/*.csv") == expected


def test_zip_elsewhere_stands_for_what_is_in_it(memory: MemoryFileSystem, web: Web) -> None:
    """Read in parts: only the files that are wanted are fetched."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("t.csv", TEXT)
        archive.writestr("big.bin", bytes(20_000_000))
    memory.pipe("/d/data.zip", data.getvalue())
    web.pages["/data.zip"] = Page(data.getvalue(), parts=True)
    for url in ("memory://d/data.zip", f"{web.url}/data.zip"):
        assert found(url) == [("t", f"{url}/t.csv")]
        assert found(f"{url}/*.csv") == [("t", f"{url}/t.csv")]
        assert read(f"{url}/t.csv") == (TEXT[4:], hashlib.sha256(TEXT).hexdigest(), len(TEXT))
    assert found(f"{web.url}/data.zip/t.csv?key=sesame") == [("t", f"{web.url}/data.zip/t.csv")]


@pytest.mark.parametrize(
    ("path", "anchored"), [("-", True), ("s3://b/x", True), ("file:///x", True), ("x.csv", False), ("c:/x", False)]
)
def test_urls_do_not_depend_on_the_directory_of_the_settings(path: str, anchored: bool) -> None:
    """Paths in bluegreen.toml count from its directory; these do not."""
    assert is_anchored(path) is anchored


# ---- their bytes


def test_file_is_read_and_hashed(web: Web, memory: MemoryFileSystem) -> None:
    """By one request for the whole file, because not every server gives parts."""
    memory.pipe("/t.csv", TEXT)
    expected = (TEXT[4:], hashlib.sha256(TEXT).hexdigest(), len(TEXT))
    assert read("memory://t.csv") == expected
    assert read(f"{web.url}/t.csv") == expected
    web.pages["/t.csv"] = Page(LONG * 3)
    web.requests.clear()
    assert read(f"{web.url}/t.csv")[2] == 3 * len(LONG)
    assert web.requests.count("GET /t.csv") == 2  # for the header, and for all of it


def test_size_may_be_unknown(web: Web) -> None:
    """Then it is known when the file has been read."""
    web.pages["/t.csv"] = Page(LONG, sized=False)
    assert discover([f"{web.url}/t.csv"], tables={})[0].size is None
    assert read(f"{web.url}/t.csv")[2] == len(LONG)
    web.pages["/t.csv"] = Page(TEXT, careless=True)
    assert read(f"{web.url}/t.csv")[2] == len(TEXT)


def test_file_can_be_read_in_any_order(web: Web, memory: MemoryFileSystem) -> None:
    """For formats that are read from their end, where the server gives parts."""
    memory.pipe("/t.csv", TEXT)
    web.pages["/t.csv"] = Page(TEXT, parts=True)
    for url in ("memory://t.csv", f"{web.url}/t.csv"):
        [source] = discover([url], tables={})
        with io.BufferedReader(places.of(source).open_seekable()) as file:
            file.seek(-4, io.SEEK_END)
            assert (file.read(), file.tell()) == (b"2,y\n", len(TEXT))


def test_parquet_is_read_where_it_lies(web: Web, memory: MemoryFileSystem) -> None:
    """In parts, and once more as a whole for its digest."""
    data = io.BytesIO()
    parquet.write_table(pa.table({"a": [1, 2], "b": ["x", "y"]}), data)
    memory.pipe("/t.parquet", data.getvalue())
    web.pages["/t.parquet"] = Page(data.getvalue(), parts=True)
    for url in ("memory://t.parquet", f"{web.url}/t.parquet"):
        [source] = discover([url], tables={})
        assert peek_file(source).columns == ("a", "b")
        reader = open_reader(source, COLUMNS)
        assert sum(block.lines for block in reader.blocks()) == 2
        assert reader.sha256 == hashlib.sha256(data.getvalue()).hexdigest()


def test_server_that_sends_no_parts_is_named(web: Web) -> None:
    """For a zip it takes some."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("t.bin", bytes(20_000_000))
    web.pages["/data.zip"] = Page(data.getvalue())
    error = refusal(f"{web.url}/data.zip")
    assert error.message == f"{web.url}/data.zip cannot be read in parts: the server does not support ranges"


def test_compressed_file_arrives_as_it_lies_there(web: Web) -> None:
    """Whatever the server says about its content; aiohttp would unpack it on the way."""
    [source] = discover([f"{web.url}/t.csv"], tables={})
    with places.of(source).open():
        pass
    assert web.accepted == ["identity"] * len(web.accepted)


def test_source_can_be_sent_to_another_process(web: Web) -> None:
    """It says all that is needed to open it there, secrets included."""
    [source] = discover([f"{web.url}/t.csv?key=sesame"], tables={})
    with places.of(pickle.loads(pickle.dumps(source))).open() as file:
        assert file.read() == TEXT
    assert web.requests[-1] == "GET /t.csv?key=sesame"


@pytest.mark.parametrize("change", [Page(TEXT, etag="2"), Page(TEXT + b"3,z\n")])
def test_file_that_changes_is_refused(web: Web, change: Page) -> None:
    """A change from the header to the end is noticed by the size or by any mark that the server sends."""
    [source] = discover([f"{web.url}/t.csv"], tables={})
    reader = open_reader(source, COLUMNS)
    web.pages["/t.csv"] = change
    with pytest.raises(errors.BadSource, match=r"/t.csv changed while it was read$"):
        list(reader.blocks())


def test_file_in_a_storage_that_changes_is_refused(memory: MemoryFileSystem) -> None:
    """Each storage has its own words for when and what."""
    memory.pipe("/t.csv", TEXT)
    [source] = discover(["memory://t.csv"], tables={})
    reader = open_reader(source, COLUMNS)
    memory.pipe("/t.csv", TEXT.replace(b"x", b"y"))
    with pytest.raises(errors.BadSource, match=r"^memory://t.csv changed while it was read$"):
        list(reader.blocks())


# ---- what is refused


@pytest.mark.parametrize("cut", [100, 3_000_000])
def test_dropped_connection_is_refused(web: Web, cut: int) -> None:
    """Never taken as a shorter file."""
    web.pages["/t.csv"] = Page(LONG, cut=cut)
    error = refusal(f"{web.url}/t.csv")
    assert error.message == f"{web.url}/t.csv cannot be read to its end: the connection was lost"


@pytest.mark.parametrize(
    ("status", "reason", "hint"),
    [
        (404, "404 Not Found", "URL"),
        (403, "403 Forbidden", "credentials"),
        (503, "503 Service Unavailable", "network"),
    ],
)
def test_answer_of_the_server_is_shown(web: Web, status: int, reason: str, hint: str) -> None:
    """In its own words, with what to look at."""
    web.pages["/t.csv"] = Page(TEXT, status=status)
    error = refusal(f"{web.url}/t.csv")
    assert error.message == f"{web.url}/t.csv cannot be read: {reason}"
    assert hint in (error.hint or "")


def test_missing_server_is_named() -> None:
    """Nobody listens on this port any more."""
    with serving({}) as web:
        pass
    assert refusal(f"{web.url}/t.csv").message == f"{web.url}/t.csv cannot be read: Connection refused"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("memory://nowhere.csv", "memory://nowhere.csv cannot be read: the file does not exist"),
        ("memory://nowhere/*.csv", "memory://nowhere/*.csv matches no file"),
        ("memory://d/empty.csv", "memory://d/empty.csv is empty"),
        ("memory://d/notes.txt", "the format of memory://d/notes.txt is unknown"),
        ("http://127.0.0.1:1/x.csv#", "http://127.0.0.1:1/x.csv cannot be read: Connection refused"),
        ("nosuch://x.csv", "nosuch://x.csv cannot be read: Protocol not known: nosuch"),
        ("s3://bucket/x.csv", "s3://bucket/x.csv needs a package that is not installed"),
    ],
)
def test_what_cannot_be_loaded_is_refused(memory: MemoryFileSystem, url: str, message: str) -> None:
    """Each with a sentence that names it, and a hint."""
    memory.pipe("/d/empty.csv", b"")
    memory.pipe("/d/notes.txt", b"x")
    assert refusal(url).message == message


def test_missing_package_is_named() -> None:
    """fsspec knows which one a storage needs."""
    assert refusal("s3://bucket/x.csv").hint == "Install s3fs to access S3."


def test_missing_fsspec_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is no dependency of those who load files of their own machine."""
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    error = refusal("https://example.org/x.csv")
    assert error.message == "https://example.org/x.csv is a remote file: the package fsspec is not installed"
    assert "bluegreen-etl[remote]" in (error.hint or "")


# ---- secrets


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://host/a/x.csv", "https://host/a/x.csv"),
        ("HTTPS://me:sesame@host:8080/x.csv", "https://host:8080/x.csv"),
        ("https://me:ses@me@host/x.csv?key=sesame&b=?", "https://host/x.csv"),
        ("https://host/x.csv#sesame?sesame", "https://host/x.csv"),
        ("https://[::1]:8080/x.csv?sesame", "https://[::1]:8080/x.csv"),
        ("https://me:se/same@host/x.csv", "https://…"),
        ("https://me:se?same@host/x.csv", "https://…"),
        ("ftp://me:sesame@host/x.csv", "ftp://host/x.csv"),
        ("s3://bucket/players-?.csv", "s3://bucket/players-?.csv"),
        ("s3://bucket/x.csv?versionId=sesame", "s3://bucket/x.csv"),
        ("abfs://container@account.example/x.csv", "abfs://container@account.example/x.csv"),
        ("abfs://me:sesame@account.example/x.csv", "abfs://account.example/x.csv"),
    ],
)
def test_url_is_shown_without_secrets(url: str, shown: str) -> None:
    """Users, passwords and queries are hidden; a URL that cannot be parsed is not shown at all."""
    parts = remote.split(url)
    assert parts is not None
    assert parts.shown == shown


def test_secrets_are_not_part_of_the_path(web: Web) -> None:
    """The table's name is that of the path, too."""
    url = web.url.replace("//", "//me:sesame@")
    [source] = discover([f"{url}/t.csv?key=sesame"], tables={})
    assert (source.table, source.path) == ("t", f"{web.url}/t.csv")
    assert peek_file(source).columns == ("a", "b")


def test_urls_that_differ_in_secrets_only_get_different_names(web: Web) -> None:
    """The ledger has each file of a table once."""
    files = (f"{web.url}/t.csv?year=1", f"{web.url}/t.csv?year=2", f"{web.url}/t.csv")
    sources = discover([], tables={"t": TableFiles(files=files)})
    assert [source.path for source in sources] == [f"{web.url}/t.csv", f"{web.url}/t.csv (2)", f"{web.url}/t.csv (3)"]
    asked = []
    for source in sources:
        with places.of(source).open():
            asked.append(web.requests[-1])
    assert sorted(asked) == ["GET /t.csv", "GET /t.csv?year=1", "GET /t.csv?year=2"]


def test_errors_hold_no_secrets(web: Web) -> None:
    """Neither the sentence nor what a traceback would show."""
    web.pages["/cut.csv"] = Page(LONG, cut=100)
    for path in ("none.csv?key=sesame", "cut.csv?key=sesame", "none/*.csv?key=sesame", "t.bin?key=sesame"):
        error = refusal(f"{web.url}/{path}")
        assert "sesame" not in error.message
        assert error.__suppress_context__ or error.__context__ is None
