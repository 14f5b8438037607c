"""Sessions of the server, from pg_stat_activity and pg_locks."""

import time
from collections.abc import Iterable, Mapping

from psycopg import sql

from bluegreen_etl import db, model, queries


def query(name: str, /, **places: sql.Composable) -> sql.Composed:
    """Return a block that selects `{session}` from pg_stat_activity AS a, with that place filled.

    The columns are the fields of model.Session.
    """
    return queries.get(name, session=queries.get("session.columns_of_session"), **places)


def sessions(
    connection: db.Connection, name: str, values: Mapping[str, object] | None = None, /, **places: sql.Composable
) -> list[model.Session]:
    """Return the sessions that a block selects."""
    return queries.records(connection, model.Session, query(name, **places), values)


class LastingHolders:
    """Looks for transactions that hold a lock on some relations and will not end soon: reports, dumps, idle sessions.

    A session that queues behind them gains nothing, and everybody behind it waits. The workers of a parallel pg_dump
    take their locks NOWAIT, so they even fail while an exclusive lock waits.

    Args:
        relations: OIDs.
        patience: seconds; a transaction that is older counts.
    """

    def __init__(self, relations: Iterable[int], patience: float) -> None:
        self._relations = list(relations)
        self._patience = patience
        self._seen: dict[str, float] = {}

    def found(self, connection: db.Connection) -> bool:
        """Return whether there is one.

        The age of another role's transaction may be hidden, so one that is still there after the patience counts too.
        """
        rows = connection.execute(queries.get("session.lock_transactions"), {"relations": self._relations}).fetchall()
        now = time.monotonic()
        self._seen = {transaction: self._seen.get(transaction, now) for transaction, _, _ in rows}
        return any(
            lasting or max(age or 0.0, now - self._seen[transaction]) >= self._patience
            for transaction, age, lasting in rows
        )
