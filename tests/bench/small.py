"""The small job: ten thousand rows in twenty tables, where what counts is everything but the rows."""

# ruff: noqa: S608 - the names in its statements are its own

from collections.abc import Sequence
from typing import Any

from tests.bench import measure, rounds, ways
from tests.bench.measure import Run, Way
from tests.bench.server import Server

NAMES = ("psql", "bluegreen")
TABLES = [f"t{number:02d}" for number in range(1, 21)]


class Scene:
    """Twenty small tables that are live, and their next edition in files."""

    def __init__(self, server: Server, rows: int, jobs: Sequence[int], names: Sequence[str]) -> None:
        self._server = server
        self._files = server.directory / "small"
        self._files.mkdir()
        for name in TABLES:
            lines = [f"{number},{name} {number},{number % 97}.50\n" for number in range(max(rows // len(TABLES), 1))]
            (self._files / f"{name}.csv").write_text("id,name,price\n" + "".join(lines), encoding="utf-8")
        self.ways = [self._psql("small_new")]
        if "bluegreen" in names:
            self.ways += [ways.bluegreen(server, "small", str(self._files), form="csv", jobs=count) for count in jobs]
        measure.run(self._psql("small"), server)

    def prepare(self) -> None:
        """Leave nothing but live."""
        with self._server.connect() as connection:
            connection.execute("DROP SCHEMA IF EXISTS small_new, small__r2, bluegreen CASCADE")
            connection.execute("CHECKPOINT")

    def run(self, way: Way) -> Run:
        """Run one way."""
        return measure.run(way, self._server)

    def digest(self, way: Way) -> object:
        """Return count and sum of hashes of all rows, and the number of indexes."""
        schema = "small__r2" if way.name == "bluegreen" else "small_new"
        union = " UNION ALL ".join(f"SELECT '{name}', t::text AS row FROM {schema}.{name} t" for name in TABLES)
        indexes = f"(SELECT count(*) FROM pg_indexes WHERE schemaname = '{schema}')"
        statement = f"SELECT count(*), sum(hashtextextended(a::text, 0)), {indexes} FROM ({union}) a"
        with self._server.connect() as connection:
            return connection.execute(statement.encode()).fetchone()

    def _psql(self, schema: str) -> Way:
        """Return the careful script: fresh tables, COPY, keys, statistics."""
        lines = [f"CREATE SCHEMA {schema};"]
        for name in TABLES:
            place = f"{schema}.{name}"
            lines += [
                "BEGIN;",
                f"CREATE TABLE {place} (id int, name text NOT NULL, price numeric(9,2));",
                f"\\copy {place} FROM '{self._files}/{name}.csv' (FORMAT csv, HEADER, FREEZE)",
                "COMMIT;",
                f"ALTER TABLE {place} ADD PRIMARY KEY (id);",
                f"ANALYZE {place};",
            ]
        file = self._server.directory / f"{schema}.sql"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return Way("psql", "csv", None, self._server.psql("-f", str(file)))


def measured(server: Server, rows: int, count: int, jobs: Sequence[int], names: Sequence[str]) -> dict[str, Any]:
    """Make the tables, warm the server up by one round that is not counted, play the rounds."""
    scene = Scene(server, rows, jobs, names)
    rounds.play(scene, 1)
    return rounds.document(server, "small", rounds.play(scene, count), rows=rows, tables=len(TABLES))
