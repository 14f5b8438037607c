"""The console blocks of README and docs, run as a reader would run them, give what is written there."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bluegreen_etl import embedded

pytestmark = pytest.mark.usefixtures("server")  # its start makes the system user that every later one finds
ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
_BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


def normalized(text: str) -> list[str]:
    """Return the lines with every number, ruler and run of blanks made alike."""
    in_any_database = re.sub(r"of database .* on (?!the embedded).*, named by .*", "of a database", text)
    without_numbers = re.sub(r"\d+(\.\d+)?", "0", in_any_database)
    return [re.sub(r"[ -]+", " ", line).strip() for line in without_numbers.splitlines()]


def blocks(page: Path) -> list[str]:
    """Return a page's console blocks."""
    return _BLOCK.findall(page.read_text(encoding="utf-8"))


def run_as_written(page: Path, directory: Path, **environment: str) -> None:
    """Run each command of each block, in order, in one directory; only numbers in the output may differ."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "BLUEGREEN", "DATABASE_URL"))}
    environment = {**kept, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **environment}
    for block in blocks(page):
        commands = [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
        environment |= dict(re.findall(r"^\$ export (\w+)=(\S+)$", block, re.MULTILINE))
        script = "exec 2>&1\n" + "\n".join(f"echo '$ '\n{command}" for command in commands)
        done = subprocess.run(
            ["bash", "-c", script], cwd=directory, env=environment, capture_output=True, text=True, check=False
        )
        expected = "\n".join("$ " if line.startswith("$ ") else line for line in block.splitlines()) + "\n"
        assert normalized(done.stdout) == normalized(expected)


def test_the_readme_runs_as_written() -> None:
    """On the embedded server, as it says."""
    assert len(blocks(README)) == 5
    with tempfile.TemporaryDirectory(prefix="bluegreen-readme-") as directory:
        data = Path(directory) / "server"
        try:
            run_as_written(README, Path(directory), BLUEGREEN_EMBEDDED_DIR=str(data))
        finally:
            embedded.stop(data)


@pytest.mark.parametrize("name", [page.name for page in sorted(ROOT.glob("docs/*.md")) if blocks(page)])
def test_the_docs_run_as_written(name: str, dsn: str, tmp_path: Path) -> None:
    """Each page in a directory and a database of its own."""
    run_as_written(ROOT / "docs" / name, tmp_path, BLUEGREEN_DSN=dsn)
