"""The progress of a load: sent to its watcher, and written into the ledger for other processes."""

import threading
import time
from collections import Counter
from collections.abc import Iterable

from bluegreen_etl import db, load_stats, model
from bluegreen_etl.shadow import copy

_WRITE_EVERY = 1.0  # seconds


class Stages:
    """The stages of a load, one after the other: reported and recorded when they begin, and timed.

    The connection is the load's own. It is idle while other threads begin a stage.
    """

    def __init__(self, watcher: model.Watcher, connection: db.Connection, release: model.Release) -> None:
        self.seconds: dict[str, float] = {}
        self._watcher = watcher
        self._connection = connection
        self._release = release
        self._name: str | None = None
        self._begun = 0.0

    def begin(self, name: str, *, total: int = 0) -> None:
        """End the previous stage, and begin the next; `total` is how many bytes it will read, 0 if unknown."""
        self.end()
        self._watcher.stage(name, total=total)
        self._name, self._begun = name, time.monotonic()
        load_stats.record_stage(self._connection, self._release, name, None)

    def end(self) -> None:
        """End the last stage."""
        if self._name is not None:
            seconds = self.seconds[self._name] = time.monotonic() - self._begun
            load_stats.record_stage(self._connection, self._release, self._name, seconds)
            self._name = None


class ReadProgress:
    """Counts how many bytes of the files of each table have been read."""

    def __init__(
        self, watcher: model.Watcher, connection: db.Connection, release: model.Release, work: Iterable[copy.Work]
    ) -> None:
        self._watcher = watcher
        self._connection = connection
        self._release = release
        self._done: Counter[str] = Counter()
        self._written = time.monotonic()
        self._guard = threading.Lock()
        load_stats.record_reading(connection, release, {item.table.name: item.size for item in work})

    def record_copied(self, table: str, size: int) -> None:
        """Add `size` bytes that were read; may be called from any thread."""
        self._watcher.copied(table, size)
        with self._guard:
            self._done[table] += size
            if time.monotonic() - self._written >= _WRITE_EVERY:
                self._write()

    def end(self) -> None:
        """Record the last bytes."""
        with self._guard:
            self._write()

    def _write(self) -> None:
        load_stats.update_reading(self._connection, self._release, self._done)
        self._written = time.monotonic()
