"""The benchmarks run, and measure what they say: a round of few rows of each kind, whose figures mean nothing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bench import __main__ as script
from tests.bench import server

pytestmark = pytest.mark.usefixtures("server")  # its start makes the system user that every later one finds


@pytest.fixture(scope="module")
def running() -> Iterator[server.Server]:
    """The server that the benchmarks load into: each makes its own schemas and files."""
    with server.running(fsync=False) as started:
        yield started


class Bench:
    """`scripts/bench` on a server that is there: `bench("job", "--rows", "300")` returns what it measured."""

    def __init__(self, running: server.Server, directory: Path, output: pytest.CaptureFixture[str]) -> None:
        self._running = running
        self._file = directory / "measured.json"
        self._output = output

    def __call__(self, *arguments: str) -> Any:  # noqa: ANN401 - whatever the JSON holds
        """Run one round, and insist on a table that names every way."""
        given = script.parsed([*arguments, "--rounds", "1", "--json", str(self._file)])
        script.play(given, self._running)
        measured = json.loads(self._file.read_text(encoding="utf-8"))
        table = self._output.readouterr().out
        assert all(entry["way"] in table for entry in measured["results"])
        return measured


@pytest.fixture
def bench(running: server.Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    """The script, with its JSON and its table read."""
    return Bench(running, tmp_path, capsys)


def test_every_own_way_loads_the_same_rows(bench: Bench) -> None:
    """In formats that need nothing further, with psql's as the reference and a ratio to it for each."""
    own = ["--ways", "psql", "copy", "dealt", "bluegreen", "--formats", "csv", "csv.gz", "json"]
    measured = bench("--rows", "300", "--jobs", "2", *own)
    found = {(entry["way"], entry["format"]): entry for entry in measured["results"]}
    assert next(iter(found)) == ("psql", "csv")
    assert {form for way, form in found if way == "bluegreen"} == {"csv", "csv.gz", "json"}
    assert found["psql", "csv"]["ratio"] == {"median": 1, "min": 1, "max": 1}
    for entry in found.values():
        assert entry["exact"]
        assert entry["ratio"]["median"] > 0
        assert entry["memory"]["median"] > 0 or entry["way"] != "bluegreen"
        assert (entry["way"] == "bluegreen") == bool(entry["copy_ratio"])


def test_memory_is_measured_for_a_longer_file(bench: Bench) -> None:
    """One format at a time, both files by the same ways."""
    measured = bench("--rows", "300", "--long", "3", "--jobs", "1", "--ways", "bluegreen")
    assert [entry["way"] for entry in measured["results"]] == ["psql", "bluegreen"]
    assert measured["results"][1]["growth"] > 0


@pytest.mark.parametrize(
    ("mode", "ways"), [("job", ["psql", "in-place", "bluegreen"]), ("small", ["psql", "bluegreen"])]
)
def test_whole_jobs_end_with_the_same_release(mode: str, ways: list[str], bench: Bench) -> None:
    """Each way gives the same rows, indexes and keys, and no reader meets an error."""
    measured = bench(mode, "--rows", "300", "--jobs", "2")
    assert [entry["way"] for entry in measured["results"]] == ways
    for entry in measured["results"]:
        assert entry["exact"]
        assert entry["ratio"]["median"] > 0
        assert not entry["errors"] or entry["errors"]["max"] == 0


def test_checks_find_the_same_in_one_scan_and_one_by_one(bench: Bench) -> None:
    """Thirty of them, one of which warns."""
    measured = bench("checks", "--rows", "300", "--jobs", "2")
    assert measured["checks"] == 30
    assert [(entry["way"], entry["exact"]) for entry in measured["results"]] == [("files", True), ("declared", True)]
