"""The role that the tests of this ring work as: no superuser, with what docs/privileges.md says that it needs."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg import conninfo, sql
from psycopg.rows import TupleRow

from tests import servers


@pytest.fixture
def dsn(database: str) -> Iterator[str]:
    """DSN of a role of the test's own."""
    with servers.plain_role(database) as own:
        yield own


@pytest.fixture
def may_create_databases(dsn: str, superuser: psycopg.Connection[TupleRow]) -> None:
    """Give the test's role what `run --isolate database` needs."""
    name = sql.Identifier(str(conninfo.conninfo_to_dict(dsn)["user"]))
    superuser.execute(sql.SQL("ALTER ROLE {} CREATEDB").format(name))


@pytest.fixture
def role(superuser: psycopg.Connection[TupleRow]) -> Iterator[str]:
    """Another role, which may log in and nothing else."""
    name = f"role_{uuid4().hex[:12]}"
    superuser.execute(sql.SQL("CREATE ROLE {0} LOGIN PASSWORD {1}").format(sql.Identifier(name), sql.Literal(name)))
    yield name
    superuser.execute(sql.SQL("DROP OWNED BY {0} CASCADE; DROP ROLE {0}").format(sql.Identifier(name)))
