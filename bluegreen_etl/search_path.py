"""The search path of a session: empty for the tool's own statements, the role's own for what users have written.

With any other path, a function or operator that a stranger has put into one of its schemas could run as this role.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg.pq import TransactionStatus

from bluegreen_etl import db, queries


@contextmanager
def user_path(connection: db.Connection) -> Iterator[None]:
    """Run the body in a transaction with the role's own search path: it calls what users have written."""
    with connection.transaction():
        connection.execute(queries.get("session.enter_user_path"))
        yield
        connection.execute(queries.get("session.leave_user_path"))


def put_first(connection: db.Connection, schema: str) -> None:
    """Put a schema in front of the path that user_path sets, for the rest of the transaction."""
    connection.execute(queries.get("session.put_first"), {"schema": schema})


def hand_over(connection: db.Connection, search_path: str) -> None:
    """Give a session to the caller, with this search path."""
    db.apply_settings(connection, {"search_path": search_path})
    connection.execute(queries.get("session.unpin"))


@contextmanager
def pinned(connection: db.Connection) -> Iterator[db.Connection]:
    """Run the body with an empty search path on a session of the caller, and set the caller's path back after it."""
    connection.execute(db.PIN_PATH)
    try:
        yield connection
    finally:
        # The end of a failed transaction sets the path back.
        if connection.info.transaction_status in {TransactionStatus.IDLE, TransactionStatus.INTRANS}:
            connection.execute(queries.get("session.unpin"))
