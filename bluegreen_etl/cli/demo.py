"""The demo: real commands, each printed before its output, on a temporary PostgreSQL in ./.demo."""

import importlib.resources
import shutil
import sys
from pathlib import Path

import click

from bluegreen_etl import child_process, client_programs, embedded

DIRECTORY = Path(".demo")
SQL_LIVE = (
    "SELECT (SELECT count(*) FROM league.player_stats) AS stats, "
    "(SELECT count(*) FROM league.matches WHERE played) AS played, (SELECT max(id) FROM league.players) AS last_player"
)


def play(*, keep: bool) -> int:
    """Run the demo on an empty server; return 0 if every command ended with the expected code.

    Args:
        keep: keep directory and server for inspection.
    """
    work, data = _fresh_directory()
    script = _Script(work, embedded.start(data))
    try:
        return script.play()
    finally:
        if not keep:
            embedded.stop(data)


class _Script:
    """The commands in order, and the number of unexpected exit codes."""

    def __init__(self, directory: Path, dsn: str) -> None:
        self._directory = directory
        self._dsn = dsn
        self._surprises = 0

    def play(self) -> int:
        """Run all commands; return 1 if a command ended with an unexpected code."""
        self._first_edition()
        self._second_edition()
        self._rollback()
        self._refusals()
        self._title(
            "The end. " + ("A command ended with an unexpected code." if self._surprises else "All as expected.")
        )
        return 1 if self._surprises else 0

    def _first_edition(self) -> None:
        self._title("1. The first edition: load, check and promote in one step")
        self._run("load data/edition-1 --promote")
        self._show_live()

    def _second_edition(self) -> None:
        self._title("2. The second edition: load and check; readers still see the first")
        self._run("load data/edition-2")
        self._show_live()
        self._run("diff")
        self._title("3. The second edition goes live, at once for every reader")
        self._run("promote")
        self._show_live()
        self._run("status")

    def _rollback(self) -> None:
        self._title("4. Roll back, just as fast")
        self._run("rollback")
        self._show_live()
        self._run("history")

    def _refusals(self) -> None:
        self._title("5. An edition with a bad row is refused")
        self._edit("broken", "players.csv", "1998-03-14", "1998-13-45")
        self._run("load data/broken --promote", expected=1)
        self._title("6. An edition that fails a check is refused")
        self._edit("doubtful", "matches.ndjson", '"home_goals": 7', '"home_goals": 1')
        self._run("load data/doubtful --promote", expected=3)
        self._title("7. Live is still the first edition")
        self._show_live()
        self._run("status")

    def _title(self, text: str) -> None:
        click.secho(f"\n{text}\n", bold=True)

    def _run(self, arguments: str, *, expected: int = 0) -> None:
        click.secho(f"$ bluegreen {arguments}", fg="green")
        command = [sys.executable, "-m", "bluegreen_etl", *arguments.split()]
        self._check(
            child_process.visible(command, directory=self._directory, environment={"DATABASE_URL": self._dsn}), expected
        )

    def _show_live(self) -> None:
        click.secho(f'$ psql -c "{SQL_LIVE}"', fg="green")
        psql = client_programs.client_program("psql", server_major=0)
        self._check(
            child_process.visible([psql, self._dsn, "-c", SQL_LIVE], directory=self._directory, environment={}), 0
        )

    def _edit(self, name: str, file: str, old: str, new: str) -> None:
        """Copy the second edition and replace one value."""
        shutil.copytree(self._directory / "data/edition-2", self._directory / "data" / name)
        path = self._directory / "data" / name / file
        path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8", newline="")
        click.echo(f"(data/{name} is edition-2 with {old} replaced by {new} in {file})\n")

    def _check(self, code: int, expected: int) -> None:
        if code != expected:
            click.secho(f"(exit code {code}; expected {expected})", fg="red")
            self._surprises += 1
        elif code:
            click.echo(f"(exit code {code})")
        click.echo()


def _fresh_directory() -> tuple[Path, Path]:
    """Create the directories for the demo's files and for its server; return both."""
    data = DIRECTORY / "postgresql"
    embedded.stop(data)
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    with importlib.resources.as_file(importlib.resources.files("bluegreen_etl.sql") / "demo") as files:
        shutil.copytree(files, DIRECTORY)
    return DIRECTORY, data.resolve()
