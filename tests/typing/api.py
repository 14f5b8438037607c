"""The library as a caller sees it: not run, but checked by mypy --strict with the rest of the tests."""

from pathlib import Path

import bluegreen_etl
from bluegreen_etl import config, errors


class Quiet:
    """The least that a watcher needs."""

    def say(self, text: str) -> None:
        """Take a message."""

    def stage(self, name: str, *, total: int = 0) -> None:
        """Learn that a stage begins."""

    def copied(self, table: str, size: int) -> None:
        """Learn that bytes were read."""

    def confirm(self, question: str, answer: str) -> bool:
        """Nobody is there to answer."""
        return False


def nightly(dsn: str) -> int:
    """Load and promote; return how many rows are live now."""
    resolved: config.Resolved = config.resolve({"schema": "league", "dsn": dsn})
    context = bluegreen_etl.Context(resolved, Quiet(), force=True)
    try:
        released = bluegreen_etl.load_and_promote(context, ["data/"])
    except errors.LockNotObtained:
        bluegreen_etl.promote(context)
        raise
    bluegreen_etl.rollback(context, number=1)
    bluegreen_etl.prune(context, keep=2)
    return sum(table.rows for table in released.loaded.tables)


def from_python(dsn: str, rows: list[dict[str, object]], wanted: Path) -> int | None:
    """Fill a release from rows, a file and SQL; return the release that was live before."""
    with bluegreen_etl.release(dsn, schema="league", settings={"checks": {"path": "checks"}}) as release:
        copied: int = release.copy("teams", rows)
        copied += release.copy("players", wanted) + release.copy("players", [(1, "Ann")])
        release.connection.execute("UPDATE players SET name = trim(name)")
        opened: bluegreen_etl.OpenRelease = release
    return opened.promoted.cutover.from_number if opened.promoted and opened.promoted.cutover else None
