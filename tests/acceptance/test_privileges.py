"""No superuser is needed; missing privileges are reported before any work, with the statements that grant them."""

import psycopg
from psycopg import conninfo, sql
from psycopg.rows import TupleRow

from tests.acceptance.refusals import refused
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]


def as_role(bluegreen: Bluegreen, role: str) -> Bluegreen:
    """Return the executable as another role runs it."""
    return Bluegreen(conninfo.make_conninfo(bluegreen.dsn, user=role, password=role), bluegreen.directory)


def lacking(bluegreen: Bluegreen, *, code: int) -> list[str]:
    """Return the statements by which doctor fixes what would make a command fail."""
    findings = bluegreen.json("doctor", code=code)["findings"]
    assert all(item["topic"] in {"privileges", "ledger"} for item in findings if item["grade"] == "fail")
    return [item["hint"] for item in findings if item["grade"] == "fail"]


def test_doctor_shows_the_statements_that_grant_all_that_is_missing(
    bluegreen: Bluegreen, live: Live, database: str, superuser: Connection, role: str
) -> None:
    """Live and its dependents belong to a role, another one and a superuser; policies hide rows."""
    owner = str(conninfo.conninfo_to_dict(bluegreen.dsn)["user"])
    bluegreen.write_league()
    bluegreen("load", "data")
    superuser.execute("""
        CREATE SCHEMA app;
        CREATE TYPE league.foot AS ENUM ('left', 'right');
        ALTER TABLE league.players ADD feet league.foot, FORCE ROW LEVEL SECURITY, ENABLE ROW LEVEL SECURITY;
        CREATE VIEW app.names AS SELECT name FROM league.teams;
        CREATE TABLE app.favourites (team_id int REFERENCES league.teams);
        CREATE FUNCTION app.count() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM league.teams; END;
    """)
    superuser.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(f"{role}_other")))
    try:
        for what in ("TABLE league.players", "VIEW app.names"):
            superuser.execute(sql.SQL(f"ALTER {what} OWNER TO {{}}").format(sql.Identifier(f"{role}_other")))
        stranger = as_role(bluegreen, role)
        statements = lacking(stranger, code=1)
        for statement in (
            f"GRANT CREATE ON DATABASE {superuser.info.dbname} TO {role};",
            f"GRANT {owner} TO {role};",
            f"GRANT {role}_other TO {role};",
            f"ALTER TYPE league.foot OWNER TO {role};",
            f"GRANT CREATE ON SCHEMA league TO {role}_other;",
            f"ALTER ROLE {role} BYPASSRLS;",
            f"GRANT USAGE, CREATE ON SCHEMA app TO {role};",
        ):
            assert statement in statements
        for statement in dict.fromkeys(statements):
            superuser.execute(statement.encode())
        assert lacking(stranger, code=0) == []
        whole = Live(database)
        before = whole.dump(sequences=False)
        stranger("load", "data", "--promote")
        assert superuser.execute("SELECT count(*), app.count() FROM league.players").fetchone() == (3, 2)
        stranger("rollback")
        assert whole.dump(sequences=False) == before
        stranger("prune", "--keep", "0")
    finally:
        superuser.execute(sql.SQL("DROP OWNED BY {0} CASCADE; DROP ROLE {0}").format(sql.Identifier(f"{role}_other")))


def test_role_that_lacks_something_is_refused_with_the_statements(
    bluegreen: Bluegreen, live: Live, superuser: Connection, role: str
) -> None:
    """Before anything is written: only an owner may rename a schema, and lock its tables."""
    bluegreen.write_league()
    stranger = as_role(bluegreen, role)
    owner, database = conninfo.conninfo_to_dict(bluegreen.dsn)["user"], superuser.info.dbname
    said = refused(stranger, "load", "data", live=live)
    assert said.sentence == f"role {role} may not create schemas in database {database}, and 1 more"
    assert said.hint.startswith(f"GRANT CREATE ON DATABASE {database} TO {role}; GRANT {owner} TO {role};")
    superuser.execute(f"GRANT CREATE ON DATABASE {database} TO {role}".encode())
    said = refused(stranger, "load", "data", live=live)
    assert said.sentence == (
        f"role {role} lacks the rights of {owner}, the owner of schema league, table league.players, "
        "table league.teams and 1 more"
    )
    assert superuser.execute("SELECT to_regnamespace('bluegreen')").fetchone() == (None,)


def test_role_that_does_not_own_live_cannot_promote(
    bluegreen: Bluegreen, live: Live, superuser: Connection, role: str
) -> None:
    """Somebody else's release is not everybody's to promote; the ledger may not even be read."""
    bluegreen.write_league()
    bluegreen("load", "data")
    stranger = as_role(bluegreen, role)
    owner = conninfo.conninfo_to_dict(bluegreen.dsn)["user"]
    said = refused(stranger, "promote", live=live)
    assert said.sentence == f"role {role} may not read the ledger, the schema bluegreen, which belongs to role {owner}"
    assert said.hint.startswith(f"GRANT {owner} TO {role};")
    # DELETE is needed too.
    granted = "GRANT pg_read_all_data TO {0}; GRANT INSERT, UPDATE ON ALL TABLES IN SCHEMA bluegreen TO {0}"
    superuser.execute(sql.SQL(granted).format(sql.Identifier(role)))
    said = refused(stranger, "promote", live=live)
    assert said.sentence == f"role {role} may not write the ledger, the schema bluegreen, which belongs to role {owner}"
    # The owner could add triggers, which would run as this role.
    superuser.execute(sql.SQL("GRANT pg_write_all_data TO {}").format(sql.Identifier(role)))
    said = refused(stranger, "promote", live=live)
    assert said.sentence.startswith(
        f"the ledger may run code of another role as {role}: SCHEMA bluegreen of role {owner}"
    )
    assert said.hint == f"GRANT {owner} TO {role};"


def test_ledger_of_a_superuser_is_given_away_not_its_rights(
    bluegreen: Bluegreen, live: Live, database: str, superuser: Connection, role: str
) -> None:
    """The role that ran the first command owns the ledger."""
    Bluegreen(database, bluegreen.directory)("protect")
    [statement] = [hint for hint in lacking(as_role(bluegreen, role), code=1) if "bluegreen" in hint]
    assert statement.startswith(f"ALTER SCHEMA bluegreen OWNER TO {role}; ALTER TABLE bluegreen.")
    superuser.execute(statement.encode())
    assert bluegreen.json("status", "--dsn", as_role(bluegreen, role).dsn)["protected"] is True


def test_release_is_not_dropped_without_a_second_connection(
    bluegreen: Bluegreen, live: Live, superuser: Connection
) -> None:
    """Without CONNECT for the second connection the release stays, and the reason is reported."""
    before = live.dump(sequences=False)
    bluegreen.write_league()
    bluegreen("load", "data", "--promote")
    role = sql.Identifier(str(conninfo.conninfo_to_dict(bluegreen.dsn)["user"]))
    # One is the fixture's.
    superuser.execute(sql.SQL("ALTER ROLE {} CONNECTION LIMIT 2").format(role))
    pruned = bluegreen.json("prune", "--keep", "0")
    superuser.execute(sql.SQL("ALTER ROLE {} CONNECTION LIMIT -1").format(role))
    assert pruned["dropped"] == []
    assert "too many connections for role" in pruned["refused"]["1"]
    bluegreen("rollback")
    assert live.dump(sequences=False) == before
