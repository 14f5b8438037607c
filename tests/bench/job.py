"""The whole job: three tables with keys, indexes, foreign keys, statistics, checks and swap, under readers."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench import measure, rounds, shop, ways
from tests.bench.measure import Failed, Run, Way
from tests.bench.server import Server

NAMES = ("psql", "in-place", "bluegreen")
READERS = 2
IDLE = 1.0  # seconds for which the readers are measured with nothing beside them


class Scene:
    """The shop as it is live, to be replaced by the same rows, with readers on it."""

    def __init__(self, server: Server, rows: int, jobs: Sequence[int], names: Sequence[str]) -> None:
        self._server = server
        self._rows = rows
        self._files = server.directory / "shop"
        self._files.mkdir()
        shop.write(self._files, rows)
        steps = [shop.script(self._files, "shop_new"), shop.checked("shop_new"), shop.swap("shop", "shop_new")]
        self.ways = [self._script("psql", *steps)]
        if "in-place" in names:
            self.ways.append(self._script("in-place", shop.in_place(self._files, "shop")))
        if "bluegreen" in names:
            self.ways += [self._bluegreen(count) for count in jobs]
        measure.run(self._script("before", shop.script(self._files, "shop")), server)

    def prepare(self) -> None:
        """Leave nothing but live; whichever way made it, it holds the same."""
        with self._server.connect() as connection:
            found = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'shop\\_%'").fetchall()
            for name in ["bluegreen", *(row[0] for row in found)]:
                connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE".encode())
            connection.execute("CHECKPOINT")

    def run(self, way: Way) -> Run:
        """Run one strategy while readers run."""
        with _readers(self._server, shop.small(self._rows)) as told:
            run = measure.run(way, self._server)
        errors = [error for one in told for error in one["errors"]]
        for error in dict.fromkeys(errors):
            measure.say(f"a reader's error beside {way.label}: {error}")
        return run._replace(worst=max(one["worst"] for one in told) * 1000, errors=len(errors))

    def idle(self) -> float:
        """Return the longest wait of the readers in milliseconds while nothing else runs."""
        with _readers(self._server, shop.small(self._rows)) as told:
            time.sleep(IDLE)
        return max(float(one["worst"]) for one in told) * 1000

    def digest(self, way: Way) -> object:
        """Return counts and sums of hashes of live's rows, and how many indexes and constraints there are."""
        of_rows = "(SELECT (count(*), sum(hashtextextended(t::text, 0)))::text FROM shop.{} t)"
        hashes = [of_rows.format(name) for name in shop.TABLES]
        indexes = "(SELECT count(*) FROM pg_indexes WHERE schemaname = 'shop')"
        constraints = "(SELECT count(*) FROM pg_constraint WHERE connamespace = 'shop'::regnamespace AND convalidated)"
        with self._server.connect() as connection:
            return connection.execute(f"SELECT {', '.join([*hashes, indexes, constraints])}".encode()).fetchone()

    def _script(self, name: str, *parts: str) -> Way:
        file = self._server.directory / f"{name}.sql"
        file.write_text("".join(parts), encoding="utf-8")
        return Way(name, "csv", None, self._server.psql("-f", str(file)))

    def _bluegreen(self, jobs: int) -> Way:
        checks = ("--promote", "--checks", str(self._files / "checks"))
        return ways.bluegreen(self._server, "shop", f"{self._files}/*.csv", *checks, form="csv", jobs=jobs)


def measured(server: Server, rows: int, count: int, jobs: Sequence[int], names: Sequence[str]) -> dict[str, Any]:
    """Make the shop, play the rounds and return what was measured."""
    scene = Scene(server, rows, jobs, names)
    idle = scene.idle()
    return rounds.document(server, "job", rounds.play(scene, count), rows=rows, idle_worst=round(idle, 1))


@contextmanager
def _readers(server: Server, rows: int) -> Iterator[list[dict[str, Any]]]:
    """Let readers read during the body, and fill the list with their results after it.

    Raises:
        Failed: a reader died.
    """
    told: list[dict[str, Any]] = []
    command = [sys.executable, str(Path(__file__).with_name("reader.py")), server.dsn, str(rows)]
    readers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(READERS)
    ]
    try:
        for reader in readers:
            if not reader.stdout or reader.stdout.readline() != "ready\n":
                raise Failed("a reader did not start")
        yield told
        told += [json.loads(reader.communicate()[0]) for reader in readers]
    finally:
        for reader in readers:
            reader.kill()
            reader.communicate()
