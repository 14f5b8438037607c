"""All outside dependents of a schema are found, and nothing else."""

from pathlib import Path

import psycopg
import pytest
from psycopg.rows import TupleRow

from bluegreen_etl import catalog
from tests.support import Live

Connection = psycopg.Connection[TupleRow]
EVERYTHING = (Path(__file__).parents[1] / "data" / "everything.sql").read_text(encoding="utf-8")
INSIDE = """
    CREATE SCHEMA app;
    CREATE FUNCTION league.twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
    CREATE FUNCTION league.noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE TYPE league.mood AS ENUM ('fine');
    CREATE DOMAIN league.positive AS int CHECK (VALUE > 0);
    CREATE SEQUENCE league.numbers;
    CREATE TABLE app.t (id int, mood text);
"""


def dependents(connection: Connection, schema: str = "league") -> list[tuple[str, str, str]]:
    """Return the dependents of a schema: type, identity, and the identity of the object they depend on."""
    oid = catalog.schema_oid(connection, schema)
    assert oid
    return [(found.type, found.identity, found.on_identity) for found in catalog.outside_dependents(connection, oid)]


@pytest.mark.parametrize(
    ("ddl", "found"),
    [
        (
            "CREATE VIEW app.v AS SELECT name FROM league.teams",
            ("view", "app.v", "league.teams"),
        ),
        (
            "CREATE MATERIALIZED VIEW app.m AS SELECT name FROM league.squads",
            ("materialized view", "app.m", "league.squads"),
        ),
        (
            "ALTER TABLE app.t ADD CONSTRAINT k FOREIGN KEY (id) REFERENCES league.teams",
            ("table constraint", "k on app.t", "league.teams"),
        ),
        (
            "CREATE FUNCTION app.f() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM league.teams; END",
            ("function", "app.f()", "league.teams"),
        ),
        (
            "CREATE TRIGGER g AFTER INSERT ON app.t FOR EACH ROW EXECUTE FUNCTION league.noop()",
            ("trigger", "g on app.t", "league.noop()"),
        ),
        (
            "ALTER TABLE app.t ALTER id SET DEFAULT nextval('league.numbers')",
            ("default value", "for app.t.id", "league.numbers"),
        ),
        (
            "ALTER TABLE app.t ALTER id SET DEFAULT league.twice(1)",
            ("default value", "for app.t.id", "league.twice(integer)"),
        ),
        (
            "CREATE TABLE app.u (mood league.mood)",
            ("table", "app.u", "league.mood"),
        ),
        (
            "CREATE TABLE app.u (number league.positive)",
            ("table", "app.u", "league.positive"),
        ),
        (
            "CREATE DOMAIN app.d AS league.mood",
            ("type", "app.d", "league.mood"),
        ),
        (
            "CREATE FUNCTION app.f(league.teams) RETURNS int LANGUAGE sql AS 'SELECT 1'",
            ("function", "app.f(league.teams)", "league.teams"),
        ),
        (
            "ALTER TABLE app.t ADD CHECK (league.twice(id) > 0)",
            ("table constraint", "t_id_check on app.t", "league.twice(integer)"),
        ),
        (
            "CREATE INDEX i ON app.t (league.twice(id))",
            ("index", "app.i", "league.twice(integer)"),
        ),
        (
            "CREATE POLICY p ON app.t USING (EXISTS (SELECT FROM league.teams))",
            ("policy", "p on app.t", "league.teams"),
        ),
        (
            "CREATE RULE r AS ON INSERT TO app.t DO ALSO DELETE FROM league.teams",
            ("rule", "r on app.t", "league.teams"),
        ),
        (
            "CREATE TABLE app.child () INHERITS (league.teams)",
            ("table", "app.child", "league.teams"),
        ),
        (
            "CREATE PUBLICATION p FOR TABLE league.teams",
            ("publication relation", "league.teams in publication p", "league.teams"),
        ),
        (
            "CREATE PUBLICATION p FOR TABLES IN SCHEMA league",
            ("publication namespace", "league in publication p", "league"),
        ),
    ],
)
def test_dependents_of_the_schema_are_found(
    connection: Connection, live: Live, ddl: str, found: tuple[str, str, str]
) -> None:
    """Each dependent is reported with its type and the object that it depends on."""
    connection.execute(INSIDE)
    assert dependents(connection) == []
    connection.execute(ddl.encode())
    shortened = {(kind, name, on.split(".name")[0].split(".id")[0]) for kind, name, on in dependents(connection)}
    assert found in shortened
    assert {name for _, name, _ in shortened} == {found[1]}


def test_a_schema_of_its_own_has_no_outside(connection: Connection) -> None:
    """One of every kind of object, all of them inside: nothing is reported."""
    connection.execute(EVERYTHING.encode())
    assert dependents(connection) == []


def test_what_the_schema_itself_needs_is_not_outside(connection: Connection, live: Live) -> None:
    """A view inside that reads another schema goes with the release; it depends, and nothing depends on it."""
    connection.execute("CREATE SCHEMA app")
    connection.execute("CREATE TABLE app.t (id int)")
    connection.execute("CREATE VIEW league.of_app AS SELECT * FROM app.t")
    assert dependents(connection) == []
    assert [(kind, name) for kind, name, _ in dependents(connection, "app")] == [("view", "league.of_app")]


def test_relations_come_in_the_order_of_locking(connection: Connection) -> None:
    """Views before tables, each by name, partitions and foreign tables included."""
    connection.execute(EVERYTHING.encode())
    oid = catalog.schema_oid(connection, "league") or 0
    assert [(relation.kind, relation.name) for relation in catalog.relations(connection, oid)] == [
        ("v", "counted"),
        ("m", "largest"),
        ("v", "named"),
        ("m", "sizes"),
        ("v", "squads"),
        ("f", "abroad"),
        ("p", "goals"),
        ("r", "goals_old"),
        ("r", "goals_other"),
        ("r", "matches"),
        ("r", "players"),
        ("r", "teams"),
        ("r", "veterans"),
    ]


def test_tables_know_what_a_file_must_bring(connection: Connection) -> None:
    """Types as a release names them; identity and serial columns have a default, generated ones take no value."""
    connection.execute(EVERYTHING.encode())
    tables = {table.name: table for table in catalog.tables(connection, catalog.schema_oid(connection, "league") or 0)}
    assert list(tables) == ["goals", "matches", "players", "teams", "veterans"]
    assert [name for name, table in tables.items() if table.partitioned] == ["goals"]
    players = [(c.name, c.type, c.not_null, c.has_default, c.generated) for c in tables["players"].columns]
    assert players == [
        ("id", "integer", True, True, False),
        ("ticket", "integer", True, True, False),
        ("team_id", "integer", False, False, False),
        ("name", "text", True, False, False),
        ("shirt", "positive", False, False, False),
        ("mood", "mood", False, True, False),
        ("place", "place", False, False, False),
        ("during", "daterange", False, False, False),
        ("twice", "integer", False, True, True),
    ]


def test_sequences_know_their_column_and_direction(connection: Connection) -> None:
    """Serial and identity alike; one that a default alone uses feeds no column."""
    connection.execute(EVERYTHING.encode())
    found = catalog.sequences(connection, catalog.schema_oid(connection, "league") or 0)
    assert [(s.name, s.table, s.column, s.ascending) for s in found] == [
        ("countdown", None, None, False),
        ("players_id_seq", "players", "id", True),
        ("players_ticket_seq", "players", "ticket", True),
    ]
