"""The Python of docs/recipes.md runs as written; Dagster's runs if Dagster is installed for the tests."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests import servers
from tests.support import Live

RECIPES = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
# What the tests' own environment has comes first.
MATERIALIZE = """
import sys
sys.path.append(sys.argv[1])
import dagster
space = {}
exec(compile(sys.argv[2], "recipe", "exec"), space)
assert dagster.materialize([space["league"]]).success
"""


def recipe(heading: str) -> str:
    """Return the first Python block below a heading."""
    found = re.search(rf"^#+ {heading}$.*?^```python\n(.*?)^```", RECIPES, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


@pytest.mark.parametrize("heading", ["From Python", "Airflow", "Dagster", "Prefect"])
def test_every_recipe_is_python(heading: str) -> None:
    """What is not run for want of its package can at least be read."""
    compile(recipe(heading), heading, "exec")


@pytest.fixture(scope="session")
def dagster() -> Path:
    """Directory of Dagster and all that it needs, 85 MB, fetched once; skips where it cannot be."""
    cache = Path(sys.prefix) / "dagster"
    with servers.alone():
        if not cache.exists():
            new = cache.with_suffix(".new")
            shutil.rmtree(new, ignore_errors=True)
            options = ("--quiet", "--no-compile", "--only-binary=:all:", f"--target={new}")
            command = [sys.executable, "-m", "pip", "install", *options, "dagster>=1.9,<2"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"no Dagster: {done.stderr.strip().splitlines()[-1]}")
            new.rename(cache)  # at once, so that an interrupted session leaves no half of it
    return cache


def test_dagster_materializes_a_schema(
    live: Live, connection: psycopg.Connection[TupleRow], dagster: Path, tmp_path: Path
) -> None:
    """The asset of the recipe, as Dagster runs it."""
    environment = {**os.environ, "DATABASE_URL": live.dsn, "DAGSTER_HOME": str(tmp_path)}
    command = [sys.executable, "-c", MATERIALIZE, str(dagster), recipe("Dagster")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert connection.execute("SELECT name FROM league.players").fetchall() == [("Ann",)]
