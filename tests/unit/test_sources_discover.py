"""Which files are found, which table each belongs to, and what is refused."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from bluegreen_etl import errors
from bluegreen_etl.model import Compression, Format, SourceFile, SourceOptions
from bluegreen_etl.sources.discovery import TableFiles, discover


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*paths: str, data: bytes = b"x\n") -> None:
    for path in map(Path, paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def found(*paths: str, tables: Mapping[str, TableFiles] | None = None) -> list[tuple[str, str]]:
    return [(source.table, source.path) for source in discover(paths, tables=tables or {})]


def test_file_is_described_by_its_name() -> None:
    """Table, format and compression come from the name, the size from the disk."""
    touch("data/players.csv.gz", data=b"12345")
    assert discover(["data/players.csv.gz"], tables={}) == [
        SourceFile(path="data/players.csv.gz", table="players", format=Format.CSV, compression=Compression.GZIP, size=5)
    ]


@pytest.mark.parametrize(
    ("name", "table", "file_format", "compression"),
    [
        ("players.csv", "players", Format.CSV, Compression.NONE),
        ("Players.CSV", "Players", Format.CSV, Compression.NONE),
        ("players.tsv.zst", "players", Format.TSV, Compression.ZSTD),
        ("players.json.bz2", "players", Format.JSON, Compression.BZIP2),
        ("players.ndjson.xz", "players", Format.NDJSON, Compression.XZ),
        ("players.jsonl", "players", Format.NDJSON, Compression.NONE),
        ("players.2024.csv", "players.2024", Format.CSV, Compression.NONE),
    ],
)
def test_suffixes_say_the_format(name: str, table: str, file_format: Format, compression: Compression) -> None:
    """Each data suffix, alone or before one of a compression, in either case of letters."""
    touch(name)
    [source] = discover([name], tables={})
    assert (source.table, source.format, source.compression) == (table, file_format, compression)


def test_directory_means_its_own_data_files() -> None:
    """Hidden files, other suffixes and sub-directories are passed over."""
    touch("d/b.csv", "d/a.json", "d/.hidden.csv", "d/README.md", "d/c.csv.bak", "d/sub/e.csv", "d/Makefile")
    assert found("d") == [("a", "d/a.json"), ("b", "d/b.csv")]


def test_glob_means_the_data_files_that_it_matches() -> None:
    """Relative and absolute globs, also through directories."""
    touch("d/a.csv", "d/x/b.csv", "d/notes.txt")
    absolute = str(Path.cwd() / "d")
    assert found("d/*") == [("a", "d/a.csv")]
    assert found("d/**/*.csv") == [("a", "d/a.csv"), ("b", "d/x/b.csv")]
    assert found(f"{absolute}/*.csv") == [("a", f"{absolute}/a.csv")]


def test_several_files_of_a_table_are_sorted_by_path() -> None:
    """Files of several formats may fill one table, if each is named or they are in different directories."""
    touch("d/players.json", "d/players.csv", "e/players.csv")
    expected = [("players", "d/players.csv"), ("players", "d/players.json")]
    assert found("d/players.json", "d/players.csv") == expected
    assert found("d/players.csv", "e") == [("players", "d/players.csv"), ("players", "e/players.csv")]
    listed = {"players": TableFiles(files=("d/players.*",))}
    assert [source.path for source in discover(["d"], tables=listed)] == [path for _, path in expected]


@pytest.mark.parametrize("other", ["players.csv.gz", "players.json", "players.tsv"])
@pytest.mark.parametrize("pattern", ["d", "d/*"])
def test_two_forms_of_one_file_are_refused(pattern: str, other: str) -> None:
    """Its rows would be loaded twice."""
    touch("d/players.csv", f"d/{other}")
    with pytest.raises(errors.BadSource) as refused:
        found(pattern)
    assert refused.value.message == (
        f'd/players.csv and d/{other} have the same name, and both would fill table "players"'
    )
    assert refused.value.hint == (
        'Remove one of them, or list the files of the table: `[tables.players]` `files = ["d/players.csv"]`.'
    )


def test_lock_files_of_office_programs_are_no_tables() -> None:
    """They are there as long as somebody edits the file."""
    touch("d/a.csv", "d/~$a.csv", "d/.a.csv")
    assert found("d") == [("a", "d/a.csv")]


def test_file_reached_twice_is_found_once() -> None:
    """By its directory, by its name, and by a link to it."""
    touch("d/a.csv")
    Path("d/z.csv").symlink_to("a.csv")
    assert found("d", "d/a.csv", "d/*.csv") == [("a", "d/a.csv")]


def test_listed_files_belong_to_their_table_alone() -> None:
    """With globs of its own, a table takes no file by name, and its files go to no other table."""
    touch("d/p1.csv", "d/p2.csv", "d/players.csv", "d/teams.csv")
    tables = {"players": TableFiles(files=("d/p*[12].csv",))}
    expected = [("players", "d/p1.csv"), ("players", "d/p2.csv")]
    assert found(tables=tables) == expected
    assert found("d", tables=tables) == [*expected, ("teams", "d/teams.csv")]


def test_named_file_that_its_table_does_not_list_is_refused() -> None:
    """A file that was asked for is not left out in silence."""
    touch("p1.csv", "players.csv")
    with pytest.raises(errors.BadSource, match=r'^players.csv is not one of the files listed for table "players"$'):
        found("players.csv", tables={"players": TableFiles(files=("p1.csv",))})


def test_file_listed_under_two_tables_is_refused() -> None:
    """It can only belong to one."""
    touch("a.csv")
    tables = {"x": TableFiles(files=("a.csv",)), "y": TableFiles(files=("*.csv",))}
    with pytest.raises(errors.BadSource, match=r'^a.csv is listed for table "x" and for table "y"$'):
        found(tables=tables)


def test_format_option_makes_any_name_a_data_file() -> None:
    """The format by option counts more than the suffix, and the options travel with the file."""
    touch("d/players.dat.gz", "d/teams.csv", "d/README.md")
    options = SourceOptions(format=Format.TSV, null="-")
    tables = {"players": TableFiles(options=options), "teams": TableFiles(options=options)}
    [players, teams] = discover(["d"], tables=tables)
    assert (players.table, players.format, players.compression) == ("players", Format.TSV, Compression.GZIP)
    assert (teams.table, teams.format, teams.options) == ("teams", Format.TSV, options)


def test_format_for_all_files_counts_more_than_their_names() -> None:
    """Only for requested files; other files of a directory do not become data by it."""
    touch("d/players.txt", "d/teams.json", "d/notes")
    options = SourceOptions(format=Format.NDJSON)
    for paths, tables in (
        (["d/players.txt", "d/teams.json"], ["players", "teams"]),
        (["d/*.txt"], ["players"]),
        (["d"], ["teams"]),
    ):
        sources = discover(paths, tables={}, options=options)
        assert [(source.table, source.format) for source in sources] == [(table, Format.NDJSON) for table in tables]


def test_file_that_two_globs_of_a_table_match_is_found_once() -> None:
    """Its rows would be there twice."""
    touch("d/p1.csv")
    assert found(tables={"players": TableFiles(files=("d/*.csv", "d/p1.csv"))}) == [("players", "d/p1.csv")]


def test_missing_path_is_refused_with_a_close_match() -> None:
    """A slip of the finger is answered with the name that was meant."""
    touch("data/players.csv")
    with pytest.raises(errors.BadSource, match=r"^data/playrs.csv does not exist$") as raised:
        found("data/playrs.csv")
    assert raised.value.hint == "Did you mean data/players.csv?"


def test_missing_path_without_a_close_match_names_the_working_directory() -> None:
    """Where nothing is alike, the reason is often the wrong directory."""
    with pytest.raises(errors.BadSource, match=r"^nowhere/x.csv does not exist$") as raised:
        found("nowhere/x.csv")
    assert raised.value.hint is not None
    assert str(Path.cwd()) in raised.value.hint


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("empty.csv", "empty.csv is empty"),
        ("dir", "dir contains no data files"),
        ("*.tsv", "*.tsv matches no file"),
        ("*.md", "*.md contains no data files"),
        ("README.md", "the format of README.md is unknown"),
        ("players.csv.bak", "the format of players.csv.bak is unknown"),
        ("fifo.csv", "fifo.csv is not a regular file"),
    ],
)
def test_what_cannot_be_loaded_is_refused(path: str, message: str) -> None:
    """Each with a sentence that names it, and a hint."""
    touch("empty.csv", data=b"")
    touch("dir/notes.txt", "README.md", "players.csv.bak")
    os.mkfifo("fifo.csv")
    with pytest.raises(errors.BadSource) as raised:
        found(path)
    assert raised.value.message == message
    assert raised.value.hint


def test_listed_file_of_unknown_format_is_refused() -> None:
    """A table's own globs say exactly what belongs to it."""
    touch("players.dat")
    with pytest.raises(errors.BadSource, match=r"^the format of players.dat is unknown$"):
        found(tables={"players": TableFiles(files=("players.*",))})


@pytest.fixture
def ordinary_user() -> Iterator[None]:
    """Root may read everything, so step down."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield
    os.seteuid(user)


def test_unreadable_file_is_refused(directory: Path, ordinary_user: None) -> None:
    """Found out by opening it, before anything is loaded."""
    os.seteuid(os.getuid())
    touch("secret.csv")
    Path("secret.csv").chmod(0)
    for parent in (directory, *directory.parents[:-1]):
        parent.chmod(parent.stat().st_mode | 0o055)
    if os.getuid() == 0:
        os.seteuid(65534)
    with pytest.raises(errors.BadSource, match=r"^secret.csv cannot be read: Permission denied$"):
        found("secret.csv")


def test_a_default_that_does_not_apply_to_a_format_is_ignored() -> None:
    """`--null NA` is about the CSV files of a directory; the table's own setting is refused by the reader."""
    touch("d/a.csv", "d/b.json", "d/c.json")
    defaults = SourceOptions(null="NA", encoding="LATIN1")
    own = SourceOptions(null="-")
    tables = {"c": TableFiles(options=SourceOptions(null="-", encoding="LATIN1"), own=own)}
    options = {source.path: source.options for source in discover(["d"], tables=tables, options=defaults)}
    assert options == {"d/a.csv": defaults, "d/b.json": SourceOptions(), "d/c.json": own}


@pytest.mark.parametrize("pattern", ["d", "d/t.csv"])
def test_a_directory_named_like_a_file_is_one_table(pattern: str) -> None:
    """Spark, Dask and Polars write such directories, with marks of their own in them."""
    touch("d/t.csv/part-0.csv", "d/t.csv/part-1.csv.gz", "d/t.csv/_SUCCESS", "d/t.csv/.part-0.crc", "d/sub/x.csv")
    assert found(pattern) == [("t", "d/t.csv/part-0.csv"), ("t", "d/t.csv/part-1.csv.gz")]


def test_a_partition_column_is_not_lost() -> None:
    """Its values are in the names of directories only."""
    touch("d/t.parquet/year=2024/a.parquet")
    with pytest.raises(errors.BadSource, match=r"d/t\.parquet/year=2024 is a partition: its files lack column year"):
        found("d")
