"""A release has the privileges that live has: default privileges neither add to them nor take from them."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import conninfo, sql
from psycopg.rows import TupleRow

from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]

DDL = """
    CREATE TABLE league.t (id serial PRIMARY KEY, n text);
    CREATE TABLE league.salary (id int PRIMARY KEY, amount int);
    CREATE TYPE league.mood AS ENUM ('sad', 'ok');
    CREATE VIEW league.v AS SELECT id FROM league.salary;
    CREATE FUNCTION league.f(league.mood, int) RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE SEQUENCE league.s;
"""
REVOKED = """
    REVOKE SELECT ON league.salary, league.v FROM {0};
    REVOKE ALL ON FUNCTION league.f FROM {0}, PUBLIC;
    REVOKE ALL ON SEQUENCE league.s, league.t_id_seq FROM {0};
    REVOKE ALL ON TYPE league.mood FROM PUBLIC, {0};
    GRANT UPDATE (amount) ON league.salary TO {0};
"""


@pytest.fixture
def analyst(connection: Connection) -> Iterator[str]:
    """A role to which a default privilege of the superuser grants everything new."""
    name = f"analyst_{connection.info.dbname}"
    role = sql.Identifier(name)
    connection.execute(sql.SQL("CREATE ROLE {}").format(role))
    for what, kind in (("SELECT", "TABLES"), ("EXECUTE", "FUNCTIONS"), ("USAGE", "SEQUENCES"), ("USAGE", "SCHEMAS")):
        connection.execute(sql.SQL(f"ALTER DEFAULT PRIVILEGES GRANT {what} ON {kind} TO {{}}").format(role))
    connection.execute(sql.SQL("ALTER DEFAULT PRIVILEGES REVOKE USAGE ON TYPES FROM PUBLIC").format(role))
    yield name
    connection.execute("DROP SCHEMA IF EXISTS league, league__r1 CASCADE")  # grants of other roles
    connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(role))
    connection.execute(sql.SQL("DROP ROLE {}").format(role))


def privileges(connection: Connection, schema: str = "league") -> list[TupleRow]:
    """Return owner and ACL of everything in a schema, null ACLs as what they stand for."""
    return connection.execute(
        """
        SELECT 'schema', '', nspowner, coalesce(nspacl, acldefault('n', nspowner))::text
        FROM pg_namespace WHERE nspname = %(schema)s
        UNION ALL
        SELECT 'relation', relname, relowner,
               coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner))::text
        FROM pg_class WHERE relnamespace = %(schema)s::regnamespace AND relkind IN ('r', 'v', 'S')
        UNION ALL
        SELECT 'routine', proname, proowner, coalesce(proacl, acldefault('f', proowner))::text
        FROM pg_proc WHERE pronamespace = %(schema)s::regnamespace
        UNION ALL
        SELECT 'type', typname, typowner, coalesce(typacl, acldefault('T', typowner))::text
        FROM pg_type WHERE typnamespace = %(schema)s::regnamespace AND typtype = 'e'
        UNION ALL
        SELECT 'column', attname, 0, attacl::text
        FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = attrelid AND c.relkind = 'r'
        WHERE relnamespace = %(schema)s::regnamespace AND attacl IS NOT NULL
        ORDER BY 1, 2
        """,
        {"schema": schema},
    ).fetchall()


def write(bluegreen: Bluegreen) -> None:
    """Write files for both tables."""
    bluegreen.write("data/salary.csv", "id,amount\n1,5\n")
    bluegreen.write("data/t.csv", "id,n\n1,a\n")


@pytest.mark.parametrize("structure", ["live", "ddl", "run"])
@pytest.mark.parametrize("revoked", [True, False])
def test_default_privileges_do_not_reach_a_release(
    bluegreen: Bluegreen, connection: Connection, analyst: str, structure: str, revoked: bool
) -> None:
    """Grants that live lacks are not added, and a schema that is closed to a role stays closed."""
    role = sql.Identifier(analyst)
    connection.execute("CREATE SCHEMA league")
    connection.execute(DDL.encode())
    connection.execute(sql.SQL("REVOKE ALL ON SCHEMA league FROM {}").format(role))
    if revoked:
        connection.execute(sql.SQL(REVOKED).format(role))
    before = privileges(connection)
    write(bluegreen)
    if structure == "ddl":
        bluegreen.write("schema.sql", DDL)
        bluegreen.write("bluegreen.toml", '[structure]\nddl = ["schema.sql"]\n')
    if structure == "run":
        rows = "INSERT INTO salary VALUES (1, 5); INSERT INTO t VALUES (1, 'a')"
        again = "DROP VIEW v; CREATE VIEW v AS SELECT id FROM salary"
        bluegreen("run", "--", "psql", "-c", rows, "-c", again)
    else:
        bluegreen("load", "data")
    assert privileges(connection, "league__r2") == before
    bluegreen("promote")
    assert privileges(connection) == before
    bluegreen("rollback")
    assert privileges(connection) == before


def test_types_of_a_ddl_release_have_the_owners_of_live(
    bluegreen: Bluegreen, connection: Connection, role: str
) -> None:
    """An enum and a table that the DDL creates belong to whom they belong to on live."""
    connection.execute("CREATE SCHEMA league")
    connection.execute(DDL.encode())
    for kind in ("TYPE league.mood", "TABLE league.salary"):
        connection.execute(sql.SQL(f"ALTER {kind} OWNER TO {{}}").format(sql.Identifier(role)))
    before = privileges(connection)
    write(bluegreen)
    bluegreen.write("schema.sql", DDL)
    bluegreen.write("bluegreen.toml", '[structure]\nddl = ["schema.sql"]\n')
    bluegreen("load", "data", "--promote")
    assert privileges(connection) == before


@pytest.fixture
def app(connection: Connection, role: str) -> Iterator[str]:
    """A role that live grants privileges to, which it has granted to others."""
    name = f"app_{connection.info.dbname}"
    connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
    connection.execute(sql.SQL("CREATE SCHEMA league AUTHORIZATION {}").format(sql.Identifier(role)))
    yield name
    connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(name)))
    connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def regrant(connection: Connection, role: str, app: str, analyst: str) -> None:
    """Create a table of the loader on which `app` has granted SELECT to `analyst`."""
    places = {"loader": sql.Identifier(role), "app": sql.Identifier(app), "analyst": sql.Identifier(analyst)}
    connection.execute(
        sql.SQL("""
            SET ROLE {loader};
            CREATE TABLE league.teams (id int);
            GRANT USAGE ON SCHEMA league TO {app};
            GRANT SELECT ON league.teams TO {app} WITH GRANT OPTION;
            SET ROLE {app};
            GRANT SELECT ON league.teams TO {analyst};
            RESET ROLE
        """).format(**places)
    )


@pytest.mark.parametrize("member", [True, False])
def test_grant_of_another_role_is_kept_or_made_by_the_owner(
    bluegreen: Bluegreen, connection: Connection, dsn: str, role: str, app: str, analyst: str, member: bool
) -> None:
    """A plain role grants as the grantor if it is a member of it; otherwise the owner grants, and the load says so."""
    regrant(connection, role, app, analyst)
    if member:
        connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(app), sql.Identifier(role)))
    before = privileges(connection)
    bluegreen.write("data/teams.csv", "id\n1\n")
    own = Bluegreen(conninfo.make_conninfo(dsn, user=role), bluegreen.directory)
    done = own("load", "data", "--promote")
    said = "granted by the owner, because this role cannot act as the grantor on live: privileges of table"
    assert (said in done.stderr) is not member
    after = privileges(connection)
    assert (after == before) is member
    assert str(after).replace(f"{analyst}=r/{role}", f"{analyst}=r/{app}") == str(before)


def test_default_privileges_of_another_role_are_refused_before_the_load(
    bluegreen: Bluegreen, connection: Connection, dsn: str, role: str, app: str
) -> None:
    """The loader could not set them on the release; the hint grants what it lacks."""
    connection.execute(sql.SQL("GRANT CREATE ON SCHEMA league TO {}").format(sql.Identifier(app)))
    connection.execute(
        sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} IN SCHEMA league GRANT SELECT ON TABLES TO PUBLIC").format(
            sql.Identifier(app)
        )
    )
    with psycopg.connect(dsn, user=role, autocommit=True) as owner:
        owner.execute("CREATE TABLE league.teams (id int)")
    bluegreen.write("data/teams.csv", "id\n1\n")
    own = Bluegreen(conninfo.make_conninfo(dsn, user=role), bluegreen.directory)
    done = own("load", "data", "--dry-run", code=1)
    assert f"role {role} may not set the default privileges of {app} in schema league" in done.stderr
    statement = f"GRANT {app} TO {role};"
    assert statement in done.stderr
    connection.execute(statement.encode())
    before = Live(dsn).definition()
    own("load", "data", "--promote")
    assert Live(dsn).definition() == before
