"""The programs of docs/distributed.md run as written, Spark's where that is installed: it is large, and wants Java."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.support import Bluegreen, Live

PAGE = (Path(__file__).parents[2] / "docs" / "distributed.md").read_text(encoding="utf-8")


def block(heading: str) -> str:
    """Return the first Python block below a heading."""
    found = re.search(rf"^## {heading}$.*?^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


@pytest.mark.parametrize(("heading", "package", "players"), [("Spark", "pyspark", 1000), ("Dask", "distributed", 30)])
def test_program_fills_a_release_from_many_processes(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow], heading: str, package: str, players: int
) -> None:
    """In a process of its own, with workers in others; every row is live once."""
    program = bluegreen.write("program.py", block(heading))
    compile(program.read_text(), heading, "exec")
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: pip install {package}")
    bluegreen.write("exports/teams.csv", "id,name\n1,Ajax\n")
    for number in range(3):
        rows = "".join(f"{number * 10 + row},1,player {row}\n" for row in range(10))
        bluegreen.write(f"exports/players-{number}.csv", f"id,team_id,name\n{rows}")
    environment = {**bluegreen.environment(DATABASE_URL=live.dsn), "SPARK_LOCAL_IP": "127.0.0.1"}
    environment.pop("BLUEGREEN_DSN")
    done = subprocess.run(
        [sys.executable, str(program)],
        cwd=bluegreen.directory,
        env={**environment, "PYSPARK_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    counted = connection.execute("SELECT count(*), count(DISTINCT id) FROM league.players").fetchone()
    assert counted == (players, players)
    parts = connection.execute("SELECT count(*) FROM bluegreen.part WHERE table_name = 'players'").fetchone()
    assert parts == (4 if package == "pyspark" else 3,)
