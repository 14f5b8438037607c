"""Thirty checks of one table: as declared, which one scan answers, and as files, each a query of its own."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bluegreen_etl import config
from bluegreen_etl.checks import declared
from tests.bench import data, measure, rounds, ways
from tests.bench.measure import Run, Way
from tests.bench.server import Server

NAMES = ("files", "declared")
DECLARED = """
[tables.t.checks]
row_count = { min = 1 }
[tables.t.checks.expressions]
small = "a < 1000"
cents = "amount = round(amount, 2)"
chance = "score < 1"
code = "length(code) = 8"
third = "ref = id"
[tables.t.checks.columns]
id = { not_null = true, in_range = { min = 0 } }
a = { not_null = true, in_range = { min = 0 } }
b = { not_null = true, in_range = { min = 0 } }
name = { not_null = true, matches = '^name \\d+$' }
note = { not_null = true, matches = '^[a-z]' }
created = { not_null = true, in_range = { min = "2020-01-01" }, freshness = "100 years" }
amount = { not_null = true, in_range = { min = 0 } }
flag = { not_null = true, accepted_values = [true, false] }
score = { in_range = { min = 0 } }
code = { not_null = true, matches = '^[0-9a-f]{8}$' }
city = { not_null = true, matches = '^City \\d+$' }
ref = { not_null = { severity = "warn" }, in_range = { min = 0 } }
"""


class Scene:
    """A release of one table, and the same checks of it in two ways."""

    def __init__(self, server: Server, rows: int, jobs: Sequence[int], names: Sequence[str]) -> None:
        self._server = server
        self._place = server.directory / "checks"
        self._place.mkdir()
        data.write(self._place, rows, [])
        self._write("declared.toml", DECLARED)
        settings = config.resolve({}, file=str(self._place / "declared.toml"), environ={}).settings
        found = declared.from_settings(settings.tables)
        for check in found:
            header = f"-- severity: {check.severity}\n"
            self._write(f"{check.name}.sql", header + check.query.as_string())
        self.count = len(found)
        self.ways = [self._way(name, count) for count in jobs for name in NAMES if name in (*names, "files")]
        measure.run(ways.bluegreen(server, "checks", str(self._place / "t.csv"), form="csv", jobs=2), server)

    def prepare(self) -> None:
        """Leave nothing that the server has still to write."""
        with self._server.connect() as connection:
            connection.execute("CHECKPOINT")

    def run(self, way: Way) -> Run:
        """Run one way."""
        return measure.run(way, self._server)

    def digest(self, way: Way) -> object:
        """Return what the checks have found, by their names: those of the last run are the newest."""
        statement = "SELECT name, status, failures FROM bluegreen.check_result ORDER BY id DESC LIMIT %s"
        with self._server.connect() as connection:
            return sorted(connection.execute(statement, (self.count,)).fetchall())

    def _way(self, name: str, jobs: int) -> Way:
        file = f"{name}-{jobs}.toml"
        text = DECLARED if name == "declared" else f"[checks]\npath = '{self._place}'\n"
        self._write(file, f"[load]\njobs = {jobs}\n{text}")
        place = str(self._place / file)
        command = (sys.executable, "-m", "bluegreen_etl", "check", "1", "--schema", "checks", "--config", place)
        return Way(name, "csv", jobs, command, (("BLUEGREEN_DSN", self._server.dsn),))

    def _write(self, name: str, text: str) -> None:
        Path(self._place / name).write_text(text, encoding="utf-8")


def measured(server: Server, rows: int, count: int, jobs: Sequence[int], names: Sequence[str]) -> dict[str, Any]:
    """Load the table once, warm the server up by one round that is not counted, play the rounds."""
    scene = Scene(server, rows, jobs, names)
    rounds.play(scene, 1)
    return rounds.document(server, "checks", rounds.play(scene, count), rows=rows, checks=scene.count)
