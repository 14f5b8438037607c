"""Members of a zip: which are found, which table each belongs to, what their bytes are, and what is refused."""

import gzip
import hashlib
import io
import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from bluegreen_etl import errors
from bluegreen_etl.model import Column, Compression, Format, SourceFile, SourceOptions
from bluegreen_etl.sources import places
from bluegreen_etl.sources.discovery import TableFiles, discover
from bluegreen_etl.sources.peek import peek_file
from bluegreen_etl.sources.readers import open_reader

COLUMNS = (Column(name="a", type="integer"), Column(name="b", type="text"))
TEXT = b"a,b\n1,x\n2,y\n"


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def packed(
    name: str, members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED, *, compresslevel: int | None = None
) -> bytes:
    """Write a zip and return its bytes."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(name, "w", method, compresslevel=compresslevel) as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return Path(name).read_bytes()


def found(*paths: str, tables: Mapping[str, TableFiles] | None = None) -> list[tuple[str, str]]:
    return [(source.table, source.path) for source in discover(paths, tables=tables or {})]


def read(path: str, block_size: int | None = None) -> tuple[bytes, str, int]:
    """Return the text, the digest and the size of the one file that a path means."""
    [source] = discover([path], tables={})
    reader = open_reader(source, COLUMNS, block_size=block_size)
    text = b"".join(block.data for block in reader.blocks())
    return text, reader.sha256, reader.size


# ---- which members


def test_zip_stands_for_the_data_files_in_it() -> None:
    """At any depth; other files, hidden ones and what macOS adds are passed over."""
    packed(
        "data.zip",
        {
            "teams.csv": TEXT,
            "deep/er/players.ndjson.gz": b"x",
            "deep/": b"",
            "README.md": b"hello",
            ".hidden.csv": TEXT,
            ".git/x.csv": TEXT,
            "__MACOSX/._teams.csv": b"x",
        },
    )
    assert found("data.zip") == [("players", "data.zip/deep/er/players.ndjson.gz"), ("teams", "data.zip/teams.csv")]


def test_zip_is_found_in_a_directory_and_by_a_glob() -> None:
    """Like a data file; one without any is passed over there like other files, unless it was named."""
    packed("d/data.zip", {"teams.csv": TEXT})
    packed("d/docs.ZIP", {"README.md": b"hello"})
    Path("d/players.csv").write_bytes(TEXT)
    expected = [("players", "d/players.csv"), ("teams", "d/data.zip/teams.csv")]
    assert found("d") == expected
    assert found("d/*") == expected
    assert found("d/*.zip") == expected[1:]
    with pytest.raises(errors.BadSource, match=r"^d/docs.ZIP contains no data files$"):
        found("d/docs.ZIP")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("data.zip/a/players-1.csv", ["a/players-1.csv"]),
        ("data.zip/a", ["a/players-1.csv", "a/b/players-3.csv"]),
        ("data.zip/a/", ["a/players-1.csv", "a/b/players-3.csv"]),
        ("data.zip/", ["a/players-1.csv", "players-2.csv", "a/b/players-3.csv"]),
        ("data.zip/*.csv", ["players-2.csv"]),
        ("data.zip/*/players-?.csv", ["a/players-1.csv"]),
        ("data.zip/**/players-[13].csv", ["a/players-1.csv", "a/b/players-3.csv"]),
        ("d*.zip/**/players-2.csv", ["players-2.csv"]),
    ],
)
def test_members_are_named_by_path_directory_and_glob(pattern: str, expected: list[str]) -> None:
    """As if the zip were a directory."""
    packed("data.zip", dict.fromkeys(("a/players-1.csv", "players-2.csv", "a/b/players-3.csv", "notes.txt"), TEXT))
    assert [path for _, path in found(pattern)] == [f"data.zip/{name}" for name in expected]


def test_table_lists_members() -> None:
    """The globs of `files` reach into a zip, or take all that is in it."""
    packed("data.zip", {"p1.csv": TEXT, "p2.csv": TEXT, "teams.csv": TEXT, "README.md": b"hello"})
    tables = {"players": TableFiles(files=("data.zip/p*.csv",))}
    expected = [("players", "data.zip/p1.csv"), ("players", "data.zip/p2.csv")]
    assert found(tables=tables) == expected
    assert found("data.zip", tables=tables) == [*expected, ("teams", "data.zip/teams.csv")]
    assert len(found(tables={"all": TableFiles(files=("data.zip",))})) == 3


def test_format_option_makes_data_of_any_member_of_the_table() -> None:
    """As in the feeds of timetables, whose files end in .txt."""
    packed("gtfs.zip", {"stops.txt": TEXT, "trips.txt": TEXT})
    tables = {"stops": TableFiles(options=SourceOptions(format=Format.CSV))}
    assert found("gtfs.zip", tables=tables) == [("stops", "gtfs.zip/stops.txt")]


@pytest.mark.parametrize(("member", "compression"), [("export-1", "none"), ("teams.csv", "none"), ("x.gz", "gz")])
def test_zip_with_the_name_of_a_data_file_is_that_file_compressed(member: str, compression: str) -> None:
    """players.csv.zip holds players.csv, whatever the file in it is called, as players.csv.gz does."""
    packed("players.csv.zip", {member: TEXT})
    [source] = discover(["players.csv.zip"], tables={})
    assert source == SourceFile(
        path=f"players.csv.zip/{member}",
        table="players",
        format=Format.CSV,
        compression=Compression(compression),
        size=len(TEXT),
        address=("players.csv.zip", member),
    )


def test_several_files_in_a_zip_have_their_own_names() -> None:
    """Whatever the zip is called."""
    packed("players.csv.zip", {"teams.csv": TEXT, "leagues.csv": TEXT})
    assert [table for table, _ in found("players.csv.zip")] == ["leagues", "teams"]


def test_directory_called_like_a_zip_is_a_directory() -> None:
    """Paths on the disk come first."""
    Path("data.zip").mkdir()
    Path("data.zip/teams.csv").write_bytes(TEXT)
    packed("data.zip/more.zip", {"players.csv": TEXT})
    assert found("data.zip/teams.csv") == [("teams", "data.zip/teams.csv")]
    assert found("data.zip/more.zip/players.csv") == [("players", "data.zip/more.zip/players.csv")]


def test_member_reached_twice_is_found_once() -> None:
    """By the zip, by its own name, through a link."""
    packed("data.zip", {"teams.csv": TEXT})
    Path("link.zip").symlink_to("data.zip")
    assert found("data.zip", "data.zip/teams.csv", "link.zip") == [("teams", "data.zip/teams.csv")]


# ---- their bytes


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_member_is_read_and_its_own_bytes_are_hashed(method: int) -> None:
    """Size and digest are those of the packed file, so they stay the same when it is packed again."""
    packed("data.zip", {"t.csv": TEXT}, method)
    assert read("data.zip") == (TEXT[4:], hashlib.sha256(TEXT).hexdigest(), len(TEXT))


def test_compressed_member_is_read() -> None:
    """The digest is that of the .gz file."""
    data = gzip.compress(TEXT)
    packed("data.zip", {"t.csv.gz": data})
    assert read("data.zip") == (TEXT[4:], hashlib.sha256(data).hexdigest(), len(data))


def test_member_can_be_read_in_any_order() -> None:
    """For formats that are read from their end."""
    packed("data.zip", {"t.csv": TEXT})
    [source] = discover(["data.zip"], tables={})
    with io.BufferedReader(places.of(source).open_seekable()) as file:
        file.seek(-4, io.SEEK_END)
        assert (file.read(), file.tell()) == (b"2,y\n", len(TEXT))
        file.seek(0)
        assert file.read(3) == b"a,b"


def test_parquet_member_is_read() -> None:
    """pyarrow gets the member as a file; the digest is that of its bytes."""
    table = pa.table({"a": [1, 2], "b": ["x", "y"]})
    data = io.BytesIO()
    parquet.write_table(table, data)
    packed("data.zip", {"t.parquet": data.getvalue()})
    [source] = discover(["data.zip"], tables={})
    assert peek_file(source).columns == ("a", "b")
    reader = open_reader(source, COLUMNS)
    assert sum(block.lines for block in reader.blocks()) == 2
    assert reader.sha256 == hashlib.sha256(data.getvalue()).hexdigest()


def test_source_can_be_sent_to_another_process() -> None:
    """It says all that is needed to open it there."""
    packed("data.zip", {"t.csv": TEXT})
    [source] = discover(["data.zip"], tables={})
    with places.of(pickle.loads(pickle.dumps(source))).open() as file:
        assert file.read() == TEXT


def test_stopping_early_closes_the_zip() -> None:
    """No descriptor stays open when the consumer goes away in the middle."""
    packed("data.zip", {"t.csv": b"a,b\n" + b"1,x\n" * 1000})
    [source] = discover(["data.zip"], tables={})
    before = len(list(Path("/proc/self/fd").iterdir()))
    blocks = open_reader(source, COLUMNS, block_size=64).blocks()
    next(blocks)
    assert len(list(Path("/proc/self/fd").iterdir())) == before + 1
    blocks.close()  # type: ignore[attr-defined]  # blocks() is a generator, its contract only says Iterator
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_zip_that_changes_is_refused() -> None:
    """From when the header was read to the end."""
    packed("data.zip", {"t.csv": TEXT})
    [source] = discover(["data.zip"], tables={})
    reader = open_reader(source, COLUMNS)
    packed("data.zip", {"t.csv": TEXT, "other.csv": TEXT})
    with pytest.raises(errors.BadSource, match=r"^data.zip/t.csv changed while it was read$"):
        list(reader.blocks())


# ---- what is refused


def refusal(path: str) -> str:
    """Return the sentence with which a file is refused, found at once or while it is read."""
    with pytest.raises(errors.BadSource) as raised:
        read(path)
    assert raised.value.hint
    return raised.value.message


def test_missing_member_is_refused_with_a_close_match() -> None:
    """As for files."""
    packed("data.zip", {"players.csv": TEXT})
    with pytest.raises(errors.BadSource, match=r"^data.zip/playrs.csv does not exist$") as raised:
        found("data.zip/playrs.csv")
    assert raised.value.hint == "Did you mean data.zip/players.csv?"
    assert refusal("data.zip/teams-*.csv") == "data.zip/teams-*.csv matches no file"


def test_member_that_is_gone_is_refused() -> None:
    """The zip was written again after discover."""
    packed("data.zip", {"t.csv": TEXT})
    [source] = discover(["data.zip"], tables={})
    packed("data.zip", {"other.csv": TEXT})
    with pytest.raises(errors.BadSource, match=r"^data.zip/t.csv does not exist$"):
        open_reader(source, COLUMNS)
    Path("data.zip").unlink()
    with pytest.raises(errors.BadSource, match=r"^data.zip cannot be read: No such file or directory$"):
        open_reader(source, COLUMNS)


@pytest.mark.parametrize("kept", [0, 10, -1, -30])
def test_truncated_zip_is_refused(kept: int) -> None:
    """Its table of contents is at its end."""
    data = packed("data.zip", {"t.csv": TEXT})
    Path("data.zip").write_bytes(data[:kept])
    assert refusal("data.zip").startswith("data.zip cannot be read as a zip: ")


def test_what_is_no_zip_is_refused() -> None:
    """Whatever its name says; also among other files of a directory."""
    Path("d").mkdir()
    Path("d/data.zip").write_bytes(TEXT)
    assert refusal("d") == "d/data.zip cannot be read as a zip: File is not a zip file"


def test_wrong_checksum_is_refused() -> None:
    """Found when the member has been read to its end, also where a decompressor stops before that."""
    for name, member in (("t.csv", TEXT), ("t.csv.gz", gzip.compress(TEXT) + b"\0" * 100_000)):
        data = packed("data.zip", {name: member}, zipfile.ZIP_STORED)
        Path("data.zip").write_bytes(data.replace(member, member[:-1] + b"z"))
        assert refusal("data.zip") == f"data.zip/{name} cannot be read to its end: Bad CRC-32 for file '{name}'"


def test_damaged_member_is_refused() -> None:
    """Where what is packed cannot be unpacked at all."""
    text = b"a,b\n" + b"".join(b"%d,%d\n" % (number, number * number) for number in range(50_000))
    data = packed("data.zip", {"t.csv": text})
    Path("data.zip").write_bytes(data[:20_000] + b"\xff" * 1000 + data[21_000:])
    assert refusal("data.zip").startswith("data.zip/t.csv cannot be read to its end: ")


def changed(data: bytes, offset: int, value: int) -> bytes:
    """Return a zip of one member with a field changed in both of its headers."""
    local, central = data.index(b"PK\3\4"), data.index(b"PK\1\2")
    array = bytearray(data)
    struct.pack_into("<H", array, local + 6 + offset, value)
    struct.pack_into("<H", array, central + 8 + offset, value)
    return bytes(array)


def test_encrypted_member_is_refused() -> None:
    """At once, not when its bytes make no sense."""
    data = packed("data.zip", {"t.csv": TEXT})
    Path("data.zip").write_bytes(changed(data, 0, 1))
    assert refusal("data.zip") == "data.zip/t.csv is encrypted"


def test_unsupported_method_is_refused() -> None:
    """Deflate64, as Windows uses it for large files."""
    data = packed("data.zip", {"t.csv": TEXT})
    Path("data.zip").write_bytes(changed(data, 2, 9))
    assert refusal("data.zip").startswith("data.zip/t.csv uses a compression that Python does not support: ")


def test_empty_member_is_refused() -> None:
    """As an empty file is."""
    packed("data.zip", {"t.csv": b""})
    assert refusal("data.zip") == "data.zip/t.csv is empty"
