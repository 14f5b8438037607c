"""Nothing is forgotten: the whole database is the same through promotes and rollbacks, and rows of users survive."""

import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo
from psycopg.rows import TupleRow

from bluegreen_etl import catalog, child_process, client_programs, ledger
from bluegreen_etl.commands import promote, rollback
from bluegreen_etl.model import Status
from tests.concurrency import scene
from tests.integration.test_structure import EVERYTHING, write_everything
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
OUTSIDE = (Path(__file__).parents[1] / "data" / "outside.sql").read_text(encoding="utf-8")
FOLLOW = '[promote]\npublications = "follow"\n'
TIMES = 5  # there and back
# What an ordinary role may make, and everything of which follows.
ORDINARY = """
    CREATE SCHEMA app;
    CREATE VIEW app.names AS SELECT id, name FROM league.players;
    CREATE MATERIALIZED VIEW app.sizes AS SELECT team_id, count(*) AS n FROM league.players GROUP BY team_id;
    CREATE UNIQUE INDEX ON app.sizes (team_id);
    CREATE FUNCTION app.count() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM league.players; END;
    CREATE TABLE app.bookings (id int GENERATED ALWAYS AS IDENTITY, player_id int REFERENCES league.players);
    CREATE POLICY known ON app.bookings USING (EXISTS (SELECT FROM league.players p WHERE p.id = player_id));
    CREATE PUBLICATION players FOR TABLE league.players;
    CREATE TABLE league.users (id int PRIMARY KEY, team_id int REFERENCES league.teams);
    INSERT INTO app.bookings (player_id) VALUES (1);
"""


def definition(connection: Connection, dsn: str) -> list[str]:
    """Return a dump of the whole database without data, releases that are not live, and the ledger."""
    program = client_programs.client_program("pg_dump", server_major=connection.info.server_version // 10000)
    arguments = ["--no-password", "--schema-only", "--exclude-schema=bluegreen", "--exclude-schema=league__r*"]
    lines = child_process.output([program, *arguments, "--dbname", dsn], environment={}).splitlines()
    return [line for line in lines if not line.startswith(("\\restrict", "\\unrestrict"))]


def left_behind(connection: Connection) -> list[catalog.Dependent]:
    """Return what outside depends on a release that is not live."""
    kept = [release for release in ledger.releases(connection, "league") if release.status is not Status.LIVE]
    return [found for release in kept for found in catalog.outside_dependents(connection, release.schema_oid or 0)]


def test_the_whole_database_is_the_same_through_ten_cut_overs(
    dsn: str, connection: Connection, bluegreen: Bluegreen
) -> None:
    """One of everything inside and outside: all dumps are equal, and nothing depends on a kept release."""
    connection.execute(EVERYTHING.encode())
    connection.execute(OUTSIDE.encode())
    before = definition(connection, dsn)
    write_everything(bluegreen)
    bluegreen.write("bluegreen.toml", FOLLOW)
    bluegreen("load", "data", "--promote")
    found = [definition(connection, dsn)]
    surroundings = scene.context(dsn, publications="follow")
    for _ in range(TIMES):
        assert left_behind(connection) == []
        rollback.rollback(surroundings)
        assert left_behind(connection) == []
        found.append(definition(connection, dsn))
        promote.promote(surroundings, number=2)
        found.append(definition(connection, dsn))
    for number, now in enumerate(found):
        assert now == before, f"after cut-over {number + 1}"
    for query in ("n FROM app.on_a_view", "max(n) FROM app.sizes", "count(*) FROM app.of_a_view", "app.count_teams()"):
        row = connection.execute(f"SELECT {query}".encode()).fetchone()
        assert row
        assert row[0] > 0, query


def test_bookings_survive_twenty_reloads(dsn: str, connection: Connection, tmp_path: Path, live: Live) -> None:
    """Somebody books players all the while, in a table outside: not a booking is lost, none fails, all keys hold."""
    connection.execute("CREATE TABLE public.bookings (id serial, player_id int NOT NULL REFERENCES league.players)")
    league = Bluegreen(dsn, tmp_path)
    league.write_league(str(tmp_path))
    surroundings = scene.context(dsn, keep=1)
    stop, booked = threading.Event(), 0

    def book() -> None:
        nonlocal booked
        with psycopg.connect(dsn, autocommit=True) as own:
            while not stop.wait(0.002):
                own.execute("INSERT INTO public.bookings (player_id) VALUES (1)")
                booked += 1

    thread = threading.Thread(target=book)
    thread.start()
    try:
        for _ in range(20):
            promote.load_and_promote(surroundings, [str(tmp_path)])
    finally:
        stop.set()
        thread.join(timeout=30)
    live_release = ledger.live_release(connection, "league")
    assert live_release
    assert live_release.number == 21
    row = connection.execute(
        "SELECT count(*), (SELECT bool_and(convalidated) FROM pg_constraint WHERE contype = 'f'), "
        "(SELECT confrelid = 'league.players'::regclass FROM pg_constraint WHERE conrelid = 'bookings'::regclass "
        "AND contype = 'f') FROM public.bookings"
    ).fetchone()
    assert booked > 20
    assert row == (booked, True, True)


@pytest.fixture
def latin(server: str, administrator: Connection) -> Iterator[str]:
    """DSN of a database in LATIN1, which has no equivalent of most characters."""
    administrator.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
    yield conninfo.make_conninfo(server, dbname="latin")
    administrator.execute("DROP DATABASE latin WITH (FORCE)")


def test_a_database_in_latin1_is_promoted(latin: str, bluegreen: Bluegreen) -> None:
    """With views and materialized views outside, whose queries are the longest that the tool sends."""
    with psycopg.connect(latin, autocommit=True) as own:
        own.execute(
            "CREATE SCHEMA league; CREATE TABLE league.t (id int PRIMARY KEY, n text); "
            "CREATE VIEW public.v AS SELECT id, n FROM league.t; "
            "CREATE MATERIALIZED VIEW public.m AS SELECT count(*) FROM league.t"
        )
    league = Bluegreen(latin, bluegreen.directory)
    league.write("data/t.csv", "id,n\n1,Zo\u00eb\n")
    league("load", "data", "--promote")
    league("rollback")
    league("promote", "2")
    with psycopg.connect(latin) as own:
        assert own.execute("SELECT n FROM public.v").fetchall() == [("Zo\u00eb",)]


@pytest.fixture
def loader(connection: Connection, dsn: str) -> Iterator[str]:
    """DSN of a role that is no superuser and owns the league."""
    name = conninfo.conninfo_to_dict(dsn)["dbname"]
    connection.execute(f"CREATE ROLE ordinary LOGIN; GRANT CREATE ON DATABASE {name} TO ordinary")
    own = conninfo.make_conninfo(dsn, user="ordinary")
    with psycopg.connect(own, autocommit=True) as ordinary:
        ordinary.execute(Live.DDL)
        ordinary.execute(ORDINARY.encode())
        ordinary.execute("SELECT pg_stat_force_next_flush()")
    yield own
    connection.execute("DROP PUBLICATION IF EXISTS players; DROP OWNED BY ordinary CASCADE; DROP ROLE ordinary")


def test_a_role_that_is_no_superuser_can_do_it_all(
    loader: str, dsn: str, connection: Connection, bluegreen: Bluegreen
) -> None:
    """All dependents of live are re-pointed there and back, with no more than ownership."""
    own = Bluegreen(loader, bluegreen.directory)
    own.write_league()
    own.write("bluegreen.toml", FOLLOW + '[carry]\ntables = ["users"]\n')
    before = definition(connection, dsn)
    own("load", "data", "--promote")
    assert definition(connection, dsn) == before
    assert left_behind(connection) == []
    own("rollback")
    assert definition(connection, dsn) == before
    assert own.json("prune", "--keep", "0")["dropped"] == [2]
    own("load", "data")
    connection.execute("CREATE PUBLICATION whole FOR TABLES IN SCHEMA league")
    assert "only a superuser can move it to a release" in own("load", "data", "--dry-run", code=1).stderr
    assert "only a superuser can move it to a release" in own("promote", code=1).stderr
    connection.execute("DROP PUBLICATION whole")
