"""Look at live before and after a load: whether code of the user has written to it, and how much.

Programs, transforms, DDL and Python code run with the role's own rights, so they can do to live what they like.
"""

import time
from collections.abc import Iterable

import psycopg
from psycopg import sql

from bluegreen_etl import db, errors, model, queries
from bluegreen_etl.cutover import preflight
from bluegreen_etl.model import Release
from bluegreen_etl.wording import listed

_MOST_LISTED = 10
# The statistics of a session that has just ended may arrive a moment later.
_LOOKS, _PAUSE = 3, 0.1  # seconds


class TableState(model.Record, frozen=True, kw_only=True):
    """A table's counters of written rows, and the file that holds its rows."""

    oid: int
    name: str
    inserted: int
    updated: int
    deleted: int
    file: int | None

    def since(self, before: "TableState") -> list[str]:
        """Return what has happened to the table since an earlier look."""
        counts = {
            "inserted": self.inserted - before.inserted,
            "updated": self.updated - before.updated,
            "deleted": self.deleted - before.deleted,
        }
        found = [f"{count} {what}" for what, count in counts.items() if count > 0]
        return [*found, "truncated or rewritten"] if self.file != before.file else found


class LiveWatch:
    """Live as it was when the load began.

    Args:
        user_code: code of the user runs during the load.
        carried: tables that users write to all the time.
    """

    def __init__(self, connection: db.Connection, release: Release, *, user_code: bool, carried: Iterable[str]) -> None:
        self.user_code = user_code
        self._release = release
        self._carried = tuple(carried)
        self._before = self._tables(connection)
        self._begun = queries.value(connection, str, queries.get("cutover.next_transaction"), {})

    def changes(self, connection: db.Connection) -> str:
        """Return what has happened to live since the load began, in words; empty if nothing has."""
        found = self._look(connection)
        for _ in range(_LOOKS - 1 if self.user_code else 0):
            if not found:
                time.sleep(_PAUSE)
                found = self._look(connection)
        return listed(found, _MOST_LISTED)

    def _look(self, connection: db.Connection) -> list[str]:
        now = self._tables(connection)
        found = [
            f"{table.name} ({', '.join(done)})"
            for oid, table in now.items()
            if oid in self._before and (done := table.since(self._before[oid]))
            if self._took_effect(connection, table, self._before[oid])
        ]
        found += [f"{table.name} (dropped)" for oid, table in self._before.items() if oid not in now]
        return [*found, *self._changed_definitions(connection)]

    def _took_effect(self, connection: db.Connection, table: TableState, before: TableState) -> bool:
        """Return whether the writes have changed the rows: the counters hold those of aborted transactions too."""
        if table.file != before.file:
            return True
        place = sql.Identifier(self._release.live_schema, table.name)
        query = queries.get("cutover.rows_of_later_transactions", table=place)
        try:
            [(written, spared)] = connection.execute(query, {"begun": self._begun}).fetchall()
        except psycopg.Error:
            return True
        return bool(written) or table.deleted - before.deleted > spared

    def _changed_definitions(self, connection: db.Connection) -> list[str]:
        if not self.user_code or self._release.base_oid is None:
            return []
        try:
            return preflight.find_changes(connection, self._release, carried=self._carried)
        except errors.LockNotObtained as error:
            return [f"unknown definition: {error.message}"]

    def _tables(self, connection: db.Connection) -> dict[int, TableState]:
        values = {"oid": self._release.base_oid, "carried": list(self._carried)}
        return {table.oid: table for table in queries.records(connection, TableState, "cutover.table_states", values)}
