"""The README's console blocks, run as a reader would run them, give what it says."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bluegreen_etl import embedded

pytestmark = pytest.mark.usefixtures("server")  # its start makes the system user that every later one finds
README = Path(__file__).parents[2] / "README.md"
_BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


def normalized(text: str) -> list[str]:
    """Return the lines with every number, ruler and run of blanks made alike."""
    without_numbers = re.sub(r"\d+(\.\d+)?", "0", text)
    return [re.sub(r"[ -]+", " ", line).strip() for line in without_numbers.splitlines()]


def test_console_blocks_run_as_written() -> None:
    """Each command of each block, in order, on the embedded server; output equal but for its numbers."""
    blocks = _BLOCK.findall(README.read_text(encoding="utf-8"))
    assert len(blocks) == 4
    with tempfile.TemporaryDirectory(prefix="bluegreen-readme-") as directory:
        data = Path(directory) / "server"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "BLUEGREEN", "DATABASE_URL"))}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {**kept, "PATH": path, "BLUEGREEN_EMBEDDED_DIR": str(data)}
        try:
            for block in blocks:
                commands = [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
                environment |= {"BLUEGREEN_SCHEMA": "league"} if "BLUEGREEN_SCHEMA" in block else {}
                script = "exec 2>&1\n" + "\n".join(f"echo '$ '\n{command}" for command in commands)
                done = subprocess.run(
                    ["bash", "-c", script], cwd=directory, env=environment, capture_output=True, text=True, check=False
                )
                expected = "\n".join("$ " if line.startswith("$ ") else line for line in block.splitlines())
                assert normalized(done.stdout) == normalized(expected)
        finally:
            embedded.stop(data)
