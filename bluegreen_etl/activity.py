"""Sessions of the server, from pg_stat_activity."""

from collections.abc import Mapping

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
