"""Where some rows may be broken, exactly these are left out and written down, in whatever blocks the rest arrives."""

import contextlib
import csv
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from psycopg.rows import TupleRow

from bluegreen_etl import db, errors, parallel
from bluegreen_etl.model import Column, SourceOptions, Table, TableLoad
from bluegreen_etl.shadow import copy, rejects
from bluegreen_etl.shadow.dealer import Opened
from bluegreen_etl.sources.discovery import TableFiles, discover
from bluegreen_etl.sources.readers import open_reader
from bluegreen_etl.workers import Workers
from tests.records import release

Connection = psycopg.Connection[TupleRow]
COLUMNS = (
    Column(name="id", type="integer"),
    Column(name="t", type="text"),
    Column(name="n", type="numeric", receive="numeric_recv"),
)
RELEASE = release(7)


class Rows(NamedTuple):
    """A file's text; the ids that are sound, and for each broken record its number in the file and how many lines."""

    text: str
    sound: list[int]
    broken: dict[int, int]


@pytest.fixture
def schema(connection: Connection) -> Connection:
    """The shadow of a release with one table."""
    connection.execute("CREATE SCHEMA league__r7")
    connection.execute("CREATE TABLE league__r7.t (id int NOT NULL, t text CHECK (t <> 'short'), n numeric)")
    return connection


def delimited(seed: int, *, end: str, count: int = 250) -> Rows:
    """Records with everything that may be wrong with one, alone and in clusters, and values of several lines."""
    lots = random.Random(seed)
    lines, sound, broken, line = ["id,t,n"], [], {}, 2
    cluster = 0
    for number in range(count):
        cluster = cluster - 1 if cluster else lots.choice([0] * 30 + [9])
        good = f'{number},"two{end}lines, ""quoted""",1.5' if lots.random() < 0.3 else f"{number},x y,"
        wrong = [f"x{number},a,1", f"{number},short,1", f"{number},a", f"{number},a,1,2", f',"a{end}b",1']
        record = lots.choice(wrong) if cluster or lots.random() < 0.02 else good
        size = record.count(end) + 1
        if record == good:
            sound.append(number)
        else:
            broken[line] = size
        lines.append(record)
        line += size
    return Rows(end.join(lines) + end, sound, broken)


def objects(seed: int, *, array: bool, count: int = 250) -> Rows:
    """Objects, some of which are none, have strange keys or values, or are not JSON."""
    lots = random.Random(seed)
    texts, sound, broken = [], [], {}
    wrong = ['{"id": "x", "t": "a"}', "7", '{"id": 1, "u": 2}', '{"id": 1, "t": "a\\u0000"}', '{"id": null}']
    wrong += ['{"id": 1,}'] if array else ['{"id": 1', "}"]
    for number in range(count):
        good = lots.random() < 0.95 or number < 2
        texts.append(json.dumps({"id": number, "t": "a\nb", "n": 1.5}) if good else lots.choice(wrong))
        if good:
            sound.append(number)
        else:
            broken[number + 1] = 1
    return Rows("[" + ",\n".join(texts) + "]" if array else "\n".join(texts), sound, broken)


def load(
    dsn: str, path: Path, *, jobs: int, size: int, limit: int | str, columns: Sequence[str] | None = None
) -> TableLoad:
    """Load a file into the table by `jobs` connections, in blocks of about `size` bytes."""
    options = SourceOptions(columns=("id", "t", "n") if columns else None, ignore_columns=("n",) if columns else ())
    [source] = discover([str(path)], tables={"t": TableFiles(options=options)})
    reader = open_reader(source, COLUMNS, block_size=size, tolerant=True)
    work = copy.Work(
        table=Table(name="t", columns=COLUMNS),
        files=(Opened(source=source, reader=reader),),
        allowed=rejects.allowed(limit, path.parent / "rejects"),
    )
    server = db.Server(dsn, origin="the test")
    with contextlib.closing(Workers(2)) as workers:
        [loading] = copy.begin(copy.Target(RELEASE, workers, lambda _table, _size: None), [work], jobs=jobs)
        parallel.run(server, "test", loading.tasks, jobs=jobs, settings={})
    return loading.result()


def written(path: Path) -> list[list[str]]:
    """Return what the file of rejected rows says, without its head."""
    with path.open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["file", "line", "reason", "text"]
    return rows


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("kind", ["lf", "crlf", "projected", "ndjson", "json"])
def test_exactly_the_bad_rows_are_left_out(
    schema: Connection, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, jobs: int
) -> None:
    """However blocks are cut, and dealt to connections; each with its place and its text."""
    monkeypatch.setattr(copy, "DEAL_BYTES", 1)
    for seed, size in ((1, 600), (2, 1 << 20)):
        rows = {
            "lf": lambda seed: delimited(seed, end="\n"),
            "crlf": lambda seed: delimited(seed, end="\r\n"),
            "projected": lambda seed: delimited(seed, end="\n"),
            "ndjson": lambda seed: objects(seed, array=False),
            "json": lambda seed: objects(seed, array=True),
        }[kind](seed)
        path = tmp_path / ("t.csv" if kind in {"lf", "crlf", "projected"} else f"t.{kind}")
        path.write_bytes(rows.text.encode())
        schema.execute("TRUNCATE league__r7.t")
        loaded = load(dsn, path, jobs=jobs, size=size, limit=1000, columns=["id", "t"] if kind == "projected" else None)
        assert (loaded.rows, loaded.rejected) == (len(rows.sound), sum(rows.broken.values()))
        assert not loaded.frozen
        found = schema.execute("SELECT id FROM league__r7.t ORDER BY id").fetchall()
        assert [row[0] for row in found] == rows.sound
        assert loaded.rejects is not None
        told = written(Path(loaded.rejects))
        assert sorted(int(line) for _, line, _, _ in told) == sorted(rows.broken)
        lines = rows.text.replace("\r\n", "\n").split("\n")
        for file, line, reason, text in told:
            assert file == str(path)
            assert reason
            assert text.split("\n")[0].strip("\r[],") == lines[int(line) - 1].strip("[],")


def test_nothing_is_written_and_rows_are_frozen_where_none_is_broken(
    schema: Connection, dsn: str, tmp_path: Path
) -> None:
    """The way that a load goes without a limit."""
    path = tmp_path / "t.csv"
    path.write_text("id,t,n\n1,a,\n2,b,\n")
    loaded = load(dsn, path, jobs=1, size=1000, limit="1 %")
    assert (loaded.rows, loaded.rejected, loaded.rejects, loaded.frozen) == (2, 0, None, True)
    assert not (tmp_path / "rejects").exists()


@pytest.mark.parametrize(
    ("limit", "broken", "sentence"),
    [
        (2, 2, None),
        (2, 3, "more than 2 rows for table t are bad; "),
        ("10 %", 10, None),
        ("10 %", 11, "11 of 100 rows for table t are bad, more than 10 %; "),
        # Long before its end: a share is asked once there are some.
        ("10 %", 500, "50 of "),
    ],
)
def test_limit_is_kept_to_the_row(
    schema: Connection,
    dsn: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: int | str,
    broken: int,
    sentence: str | None,
) -> None:
    """A number, or a share of all rows of the table's files."""
    monkeypatch.setattr(rejects, "ASKED_FROM", 50)
    path = tmp_path / "t.csv"
    count = max(100, broken)
    path.write_text("id,t,n\n" + "".join(f"{'x' if number < broken else number},a,\n" for number in range(count)))
    if sentence is None:
        assert load(dsn, path, jobs=1, size=500, limit=limit).rejected == broken
        return
    with pytest.raises(errors.BadRow) as raised:
        load(dsn, path, jobs=1, size=500, limit=limit)
    assert raised.value.message.startswith(sentence)
    file = tmp_path / "rejects" / "league__r7" / "t.csv"
    assert raised.value.message.endswith(
        f'{file} has them, the first is {path}, line 2, column id: invalid input syntax for type integer: "x"'
    )
    assert len(written(file)) == min(broken, 50)
