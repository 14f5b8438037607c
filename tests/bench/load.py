"""One table: every way of loading the same rows, in every format; and memory for a file many times larger."""

# ruff: noqa: S608 - the names in its statements are its own

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench import data, measure, rounds, ways
from tests.bench.measure import Run, Way
from tests.bench.server import Server

_DDL = f"CREATE TABLE bench.t ({', '.join(f'{name} {kind}' for name, kind in data.COLUMNS.items())})"
# A peer may choose its own types, which counts as exact as long as each value is the same: the scale of a decimal
# is none.
_VALUES = ", ".join(
    f"trim_scale({name}::numeric)" if kind == "numeric" else f"{name}::{kind}" for name, kind in data.COLUMNS.items()
)


class Scene:
    """The empty table that each way fills."""

    def __init__(self, server: Server, ways: Sequence[Way]) -> None:
        self.ways = ways
        self._server = server

    def prepare(self) -> None:
        """Re-create the table, and leave nothing of the previous way."""
        with self._server.connect() as connection:
            connection.execute("DROP SCHEMA IF EXISTS bench, bench__r2, bench_staging, bluegreen CASCADE")
            connection.execute("CREATE SCHEMA bench")
            connection.execute(_DDL.encode())
            connection.execute("CHECKPOINT")

    def run(self, way: Way) -> Run:
        """Run one way; of a whole load, also see in the ledger what copying took."""
        run = measure.run(way, self._server)
        if way.name != "bluegreen":
            return run
        with self._server.connect() as connection:
            [(seconds,)] = connection.execute("SELECT seconds FROM bluegreen.loaded_table").fetchall()
        return run._replace(copying=seconds)

    def digest(self, way: Way) -> object:
        """Return count and sum of hashes of the rows, read as the table's own types."""
        schema = "bench__r2" if way.name == "bluegreen" else "bench"
        statement = f"SELECT count(*), sum(hashtextextended(ROW({_VALUES})::text, 0)) FROM {schema}.t"
        with self._server.connect() as connection:
            return connection.execute(statement.encode()).fetchone()


def measured(
    server: Server, rows: int, count: int, formats: Sequence[str], jobs: Sequence[int], names: Sequence[str]
) -> dict[str, Any]:
    """Write the files, play the rounds and return what was measured."""
    results = _results(server, server.directory, rows, count, formats, jobs, names)
    return rounds.document(server, "load", results, rows=rows)


def measured_long(
    server: Server, rows: int, times: int, form: str, jobs: Sequence[int], names: Sequence[str]
) -> dict[str, Any]:
    """Load a file and one so many times longer, and return the largest memory of both."""
    long = server.directory / "long"
    long.mkdir()
    short = _results(server, server.directory, rows, 1, [form], jobs, names)
    found = {_key(result): result for result in _results(server, long, rows * times, 1, [form], jobs, names)}
    document = rounds.document(server, "long", short, rows=rows, times=times)
    for entry, result in zip(document["results"], short, strict=True):
        longer = found[_key(result)]
        entry["error"] = result.error or longer.error
        if not entry["error"]:
            entry["memory_long"] = longer.runs[0].memory
            # A process that has ended before it was looked at has no size.
            entry["growth"] = longer.runs[0].memory / result.runs[0].memory if result.runs[0].memory else None
    return document


def _results(
    server: Server,
    directory: Path,
    rows: int,
    count: int,
    formats: Sequence[str],
    jobs: Sequence[int],
    names: Sequence[str],
) -> list[rounds.Result]:
    possible = [form for form in formats if not _told_missing(form)]
    data.write(directory, rows, possible)
    scene = Scene(server, ways.every(server, directory, possible, jobs, names))
    return rounds.play(scene, count)


def _told_missing(form: str) -> bool:
    package = data.missing(form)
    if package:
        measure.say(f"left out: {form}: cannot be written: pip install {package}")
    return package is not None


def _key(result: rounds.Result) -> tuple[str, str, int | None]:
    return result.way.name, result.way.form, result.way.jobs
