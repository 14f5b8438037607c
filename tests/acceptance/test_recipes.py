"""The Python of docs/recipes.md runs as written. Dagster's is skipped where that is not installed: it is 130 MB."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.support import Live

RECIPES = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")


def recipe(heading: str) -> str:
    """Return the first Python block below a heading."""
    found = re.search(rf"^#+ {heading}$.*?^```python\n(.*?)^```", RECIPES, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


@pytest.mark.parametrize("heading", ["From Python", "Airflow", "Dagster", "Prefect"])
def test_every_recipe_is_python(heading: str) -> None:
    """What is not run for want of its package can at least be read."""
    compile(recipe(heading), heading, "exec")


@pytest.mark.skipif(importlib.util.find_spec("dagster") is None, reason="dagster is not installed: pip install dagster")
@pytest.mark.filterwarnings("ignore")  # its own, and those of what it needs
def test_dagster_materializes_a_schema(
    live: Live,
    connection: psycopg.Connection[TupleRow],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The asset of the recipe, in a process of Dagster's own making."""
    import dagster  # type: ignore[import-not-found, unused-ignore]  # noqa: PLC0415 - not installed everywhere

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", live.dsn)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    space: dict[str, Any] = {}
    exec(compile(recipe("Dagster"), "recipe", "exec"), space)
    assert dagster.materialize([space["league"]]).success
    assert connection.execute("SELECT name FROM league.players").fetchall() == [("Ann",)]
