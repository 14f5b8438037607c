"""Fixtures for several files of this ring."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import TupleRow

Connection = psycopg.Connection[TupleRow]


@pytest.fixture
def role(connection: Connection) -> Iterator[str]:
    """A role that is no superuser and cannot see other roles' sessions; it connects without a password."""
    name = f"loader_{connection.info.dbname}"
    connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
    connection.execute(
        sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(
            sql.Identifier(connection.info.dbname), sql.Identifier(name)
        )
    )
    yield name
    connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(name)))
    connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
