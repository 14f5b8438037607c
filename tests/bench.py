"""Side by side timings of one table's load: psql, server-side COPY, bluegreen; interleaved, with CPU and memory.

Every figure is a ratio to psql's \\copy of the same rows as CSV in the same run: absolute seconds say little on a
machine that others use too. The data come from a seed, so that two runs load the same bytes.
"""

import argparse
import csv
import gzip
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import psutil
import psycopg
import tabulate

from bluegreen_etl import embedded, process

COLUMNS = (
    "id int, a int, b int, name text, note text, created timestamp, amount numeric, flag boolean, score float8, "
    "code text, city text, ref int"
)
NAMES = [column.split()[0] for column in COLUMNS.split(", ")]
SETUP = f"DROP SCHEMA IF EXISTS bench CASCADE; CREATE SCHEMA bench; CREATE TABLE bench.t ({COLUMNS})"
WORDS = [
    "lorem",
    "ipsum",
    "dolor",
    "sit",
    "amet",
    "consectetur",
    "adipiscing",
    "elit",
    "sed",
    "do",
    "eiusmod",
    "tempor",
]


class Run(NamedTuple):
    """What one load took: seconds of wall clock and CPU, and the client's largest resident size in MB."""

    wall: float
    client: float
    server: float
    memory: float


def rows(count: int) -> Iterator[list[object]]:
    """Yield the benchmark's rows: numbers, text with quotes and newlines, times, decimals, nulls."""
    chance = random.Random(20)
    begun = datetime(2020, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    for number in range(count):
        note = " ".join(chance.choices(WORDS, k=6)) + (', "quoted"\nand a second line' if number % 7 == 0 else "")
        yield [
            number,
            chance.randrange(1000),
            chance.randrange(10**6),
            f"name {number}",
            note,
            (begun + timedelta(seconds=number)).isoformat(),
            f"{chance.randrange(10000)}.{number % 100:02d}",
            bool(number % 2),
            None if number % 5 == 0 else chance.random(),
            f"{chance.getrandbits(32):08x}",
            f"City {number % 500}",
            None if number % 3 else number,
        ]


def write_data(directory: Path, count: int, formats: Sequence[str]) -> None:
    """Write the rows once in each format: t.csv, t.csv.gz, t.ndjson, t.json."""
    with (directory / "t.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(NAMES)
        writer.writerows(rows(count))
    if "csv.gz" in formats:
        with (directory / "t.csv").open("rb") as plain, gzip.open(directory / "t.csv.gz", "wb", 6) as packed:
            shutil.copyfileobj(plain, packed, 1 << 20)
    for name, before, between, after in (("ndjson", "", "\n", "\n"), ("json", "[\n", ",\n", "\n]\n")):
        if name in formats:
            with (directory / f"t.{name}").open("w", encoding="utf-8") as file:
                file.write(before)
                for number, row in enumerate(rows(count)):
                    file.write((between if number else "") + json.dumps(dict(zip(NAMES, row, strict=True))))
                file.write(after)


class Bench:
    """The server and the ways of loading."""

    def __init__(self, dsn: str, directory: Path) -> None:
        self._dsn = dsn
        self._directory = directory
        self._psql = process.client_program("psql", server_major=0)

    def ways(self, formats: Sequence[str], jobs: Sequence[int]) -> dict[str, Callable[[], list[str]]]:
        """Return each way's name with the function that gives its command."""
        found: dict[str, Callable[[], list[str]]] = {
            "psql \\copy, csv": lambda: self._sql(f"\\copy bench.t FROM '{self._directory}/t.csv' CSV HEADER"),
            "COPY FROM file, csv": lambda: self._sql(f"COPY bench.t FROM '{self._directory}/t.csv' CSV HEADER"),
        }
        for name in formats:
            for count in jobs:
                found[f"bluegreen, {name}, --jobs {count}"] = lambda name=name, count=count: self._load(name, count)  # type: ignore[misc] # the defaults bind the loop's values
        return found

    def time(self, command: list[str]) -> Run:
        """Run one command from an empty schema and measure it."""
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
            connection.execute(SETUP.encode())
            connection.execute("DROP SCHEMA IF EXISTS bluegreen CASCADE")
            connection.execute("DROP SCHEMA IF EXISTS bench__r2 CASCADE")
        server = self._server_seconds()
        begun = time.monotonic()
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        memory, status = 0.0, 0
        while not status:
            memory = max(memory, _megabytes(child.pid))
            status, result, usage = os.wait4(child.pid, os.WNOHANG)
            time.sleep(0.01)
        wall = time.monotonic() - begun
        child.returncode = os.waitstatus_to_exitcode(result)
        if child.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
        return Run(wall, usage.ru_utime + usage.ru_stime, self._server_seconds() - server, memory)

    def _server_seconds(self) -> float:
        """Return the CPU seconds of the server's processes, those that have ended included: their parent has them."""
        postmaster = psutil.Process(int((self._directory / "server/postmaster.pid").read_text().split()[0]))
        times = [one.cpu_times() for one in [postmaster, *postmaster.children()]]
        return sum(one.user + one.system for one in times) + times[0].children_user + times[0].children_system

    def _sql(self, statement: str) -> list[str]:
        return [str(self._psql), "--no-psqlrc", "-v", "ON_ERROR_STOP=1", self._dsn, "-c", statement]

    def _load(self, name: str, jobs: int) -> list[str]:
        file = str(self._directory / f"t.{name}")
        options = ["--schema", "bench", "--dsn", self._dsn, "--jobs", str(jobs)]
        return [sys.executable, "-m", "bluegreen_etl", "load", file, *options]


def _megabytes(pid: int) -> float:
    """Return the resident size of a process and its children."""
    try:
        process = psutil.Process(pid)
        return sum(one.memory_info().rss for one in [process, *process.children(recursive=True)]) / 1e6
    except psutil.Error:
        return 0.0


def table(runs: dict[str, list[Run]]) -> list[dict[str, object]]:
    """Return each way's medians, the wall clock as a ratio to psql's in the same round."""
    reference = next(iter(runs.values()))
    return [
        {
            "way": name,
            "to psql": round(statistics.median(a.wall / b.wall for a, b in zip(found, reference, strict=True)), 2),
            "wall s": round(statistics.median(run.wall for run in found), 2),
            "client CPU s": round(statistics.median(run.client for run in found), 2),
            "server CPU s": round(statistics.median(run.server for run in found), 2),
            "client MB": round(statistics.median(run.memory for run in found)),
        }
        for name, found in runs.items()
    ]


def main() -> None:
    """Parse the arguments, run the rounds, print the table (stdout) or JSON."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--formats", nargs="+", default=["csv"], choices=["csv", "csv.gz", "ndjson", "json"])
    parser.add_argument("--jobs", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bluegreen-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # the server reads the file too, as another user where we are root
        write_data(directory, given.rows, given.formats)
        dsn = embedded.start(directory / "server")
        try:
            bench = Bench(dsn, directory)
            ways = bench.ways(given.formats, given.jobs)
            runs: dict[str, list[Run]] = {way: [] for way in ways}
            for _ in range(given.rounds):
                for way, command in ways.items():
                    runs[way].append(bench.time(command()))
        finally:
            embedded.stop(directory / "server")
    found = table(runs)
    print(json.dumps(found, indent=2) if given.json else tabulate.tabulate(found, headers="keys"))  # noqa: T201 - a script


if __name__ == "__main__":
    main()
