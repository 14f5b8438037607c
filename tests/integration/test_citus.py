"""The queries that Citus gets, against stubs of its functions; and Citus itself, if there is a cluster.

The stubs (tests/data/citus.sql) record their calls: they show our SQL, not Citus. The tests that show
Citus need its coordinator in BLUEGREEN_TEST_CITUS_DSN: they cannot create a database there, so they work in
a schema of a name of their own in the one that is named, as a role that may create it.
"""

import contextlib
import os
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import conninfo, sql
from psycopg.rows import TupleRow

from bluegreen_etl import catalog, citus, config, db, errors, ledger, model, parallel
from bluegreen_etl.commands import load as load_command
from bluegreen_etl.commands import promote, prune, rollback, status
from bluegreen_etl.commands import run as run_command
from bluegreen_etl.releases.context import Context
from bluegreen_etl.shadow import copy, copy_parallelism
from bluegreen_etl.shadow.dealer import Opened
from bluegreen_etl.sources.discovery import discover
from bluegreen_etl.sources.readers import open_reader
from bluegreen_etl.workers import Workers
from tests.concurrency import scene
from tests.records import release
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
STANDINS = (Path(__file__).parents[1] / "data" / "citus.sql").read_text(encoding="utf-8")


@pytest.fixture
def standins(connection: Connection, live: Live) -> Live:
    """A live schema in a database that looks as if Citus were there."""
    connection.execute(STANDINS.encode())
    return live


def calls(connection: Connection) -> list[str]:
    """Return what was asked of Citus, in order."""
    return [row[0] for row in connection.execute("SELECT what FROM standin.call ORDER BY id")]


def surroundings(
    dsn: str, schema: str = "league", listener: scene.Listener | None = None, **settings: object
) -> Context:
    """Return what a command works with; `settings` are sections of bluegreen.toml."""
    resolved = config.resolve({"schema": schema, "dsn": dsn, **settings}, environ={})
    return Context(resolved, listener or scene.Listener())


def test_tables_of_a_release_are_spread_as_those_of_live(
    bluegreen: Bluegreen, standins: Live, connection: Connection
) -> None:
    """Reference tables first, hash ones in live's own co-location group; no row counts as frozen, keys come after."""
    before = standins.definition()
    connection.execute("SELECT create_reference_table('league.teams')")
    connection.execute("SELECT create_distributed_table('league.players', 'team_id')")
    connection.execute("CREATE TABLE league.notes (id int)")
    connection.execute("CREATE TABLE league.colours (id int)")
    connection.execute("SELECT citus_add_local_table_to_metadata('league.colours')")
    connection.execute("DELETE FROM standin.call")
    bluegreen.write_league()
    bluegreen.write("data/notes.csv", "id\n1\n")
    bluegreen.write("data/colours.csv", "id\n1\n")
    released = bluegreen.json("load", "data", "--promote")
    assert calls(connection) == [
        "league__r2.teams reference",
        'league__r2.players hash team_id like "league"."players"',
        "league__r2.colours local",
    ]
    assert {table["frozen"] for table in released["loaded"]["tables"]} == {False}
    assert "ok    citus: Citus 13.2-1; 2 of 2 nodes answer; readers connect" in bluegreen("doctor").stdout
    connection.execute("DROP TABLE league.notes, league.colours")
    assert standins.definition() == before
    rollback.rollback(surroundings(standins.dsn))
    scene.assert_whole(connection)
    added = connection.execute("INSERT INTO league__r2.players (team_id, name) VALUES (1, 'x') RETURNING id").fetchone()
    assert added == (4,)


def test_table_is_not_carried_out_of_a_schema_that_lies_on_one_node(
    bluegreen: Bluegreen, standins: Live, connection: Connection
) -> None:
    """Citus would copy it to the coordinator while nobody may read it."""
    connection.execute("CREATE TABLE league.notes (id int)")
    connection.execute("SELECT citus_schema_distribute('league')")
    bluegreen.write_league()
    with pytest.raises(errors.NotReplaceable, match=r"table notes cannot be carried: league is distributed as a whole"):
        load_command.load(surroundings(standins.dsn, carry={"tables": ["notes"]}), [str(bluegreen.directory / "data")])


def test_what_belongs_to_a_shard_on_the_coordinator_is_not_outside(standins: Live, connection: Connection) -> None:
    """Citus hides it in pg_class; a default of it that calls a function of live has no schema, then."""
    connection.execute("CREATE FUNCTION league.one() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    connection.execute("CREATE TABLE public.shard (id int DEFAULT league.one())")
    oid = catalog.schema_oid(connection, "league") or 0
    assert [found.identity for found in catalog.outside_dependents(connection, oid)] == ["for public.shard.id"]
    # Hidden as Citus hides it: by a condition on pg_class, for which no other way is open here.
    connection.execute("SET allow_system_table_mods = on")
    with connection.transaction(force_rollback=True):
        connection.execute("DELETE FROM pg_class WHERE oid = 'public.shard'::regclass")
        assert catalog.outside_dependents(connection, oid) == []


def test_schema_that_lies_on_one_node_stays_so(bluegreen: Bluegreen, standins: Live, connection: Connection) -> None:
    """As a whole, whatever the settings say; on a first load it is they who say."""
    connection.execute("SELECT citus_schema_distribute('league')")
    connection.execute("DELETE FROM standin.call")
    bluegreen.write_league()
    data = [str(bluegreen.directory / "data")]
    load_command.load(surroundings(standins.dsn, distribute={"reference": ["teams"]}), data)
    load_command.load(surroundings(standins.dsn, "other", distribute={"schema": True}), data)
    bluegreen("run", "--", "true", code=3)  # which fills nothing
    assert calls(connection) == ["schema league__r2", "schema other__r1", "schema league__r3"]


def test_first_load_is_spread_as_the_settings_say(bluegreen: Bluegreen, standins: Live, connection: Connection) -> None:
    """A name that the release does not have is a mistake, found before COPY."""
    bluegreen.write_league()
    data = [str(bluegreen.directory / "data")]
    wanted = {"reference": ["teams"], "hash": {"players": "team_id"}, "shards": 4}
    load_command.load(surroundings(standins.dsn, "other", distribute=wanted), data)
    assert calls(connection) == ["other__r1.teams reference", "other__r1.players hash team_id like default 4"]
    with pytest.raises(
        errors.BadConfiguration, match=r"\[distribute\] names players.tem_id, which the release does not"
    ):
        load_command.load(surroundings(standins.dsn, "other", distribute={"hash": {"players": "tem_id"}}), data)


def test_node_that_misses_the_commit_is_waited_for(
    bluegreen: Bluegreen, standins: Live, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The warning is reported and the node is asked; if it does not recover, exit code 6, and no command begins."""
    bluegreen.write_league()
    data = [str(bluegreen.directory / "data")]
    listener = scene.Listener()
    context = scene.context(standins.dsn, listener=listener)
    monkeypatch.setattr(ledger, "_refuse_foreign_code", lambda _connection: None)  # the stand-in is a trigger on it
    monkeypatch.setattr(citus, "_PASSING", 0.1)
    monkeypatch.setattr(citus, "_LOOK_EVERY", 0.05)
    monkeypatch.setattr(citus, "RECOVERY_WAIT", 1.0)
    load_command.load(context, data)
    connection.execute(
        "CREATE FUNCTION standin.miss() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        """UPDATE standin.node SET stale = '["league", "league__r2"]' WHERE nodeid = 2; """
        "RAISE WARNING 'failed to commit transaction on postgres@worker:5432'; RETURN NULL; END $$"
    )
    connection.execute(
        "CREATE CONSTRAINT TRIGGER miss AFTER INSERT ON bluegreen.cutover DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION standin.miss()"
    )
    assert promote.promote(context).cutover
    assert "the server warns: failed to commit transaction on postgres@worker:5432" in listener.said
    missed = "node 2 has schema league__r2, which the coordinator lacks: a node has missed a commit"
    assert f"waiting for Citus to recover a node: {missed}" in listener.said
    assert status.status(context).doubts == ()

    connection.execute("UPDATE standin.node SET recoverable = false")
    connection.execute(
        "CREATE OR REPLACE FUNCTION standin.miss() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        """UPDATE standin.node SET stale = '["league", "league__r1"]' WHERE nodeid = 2; RETURN NULL; END $$"""
    )
    with pytest.raises(errors.OutcomeUnknown, match="the swap is committed, but not on every node: node 2 has"):
        rollback.rollback(context)
    assert scene.statuses(connection) == {1: "live", 2: "previous"}
    [doubt] = status.status(context).doubts
    assert doubt == missed.replace("r2", "r1")
    assert "node 2 has schema league__r1" in bluegreen("status").stdout
    for refused in (
        lambda: promote.promote(context, number=2),
        lambda: rollback.rollback(context, number=2),
        lambda: prune.prune(context, keep=0),
        lambda: load_command.load(context, data),
    ):
        with pytest.raises(errors.NodeInDoubt, match="node 2 has schema"):
            refused()
    connection.execute("UPDATE standin.node SET stale = NULL, failure = E'could not\nconnect' WHERE nodeid = 2")
    with pytest.raises(errors.NodeInDoubt, match="node 2 does not answer: could not connect"):
        prune.prune(context, keep=0)
    connection.execute("UPDATE standin.node SET failure = NULL")
    connection.execute("DROP TRIGGER miss ON bluegreen.cutover")
    promote.promote(context, number=2)
    scene.assert_whole(connection)


def test_message_of_a_node_is_shown_if_it_may_be_no_lock(
    bluegreen: Bluegreen, standins: Live, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is retried like a lock timeout, because nothing distinguishes them."""
    monkeypatch.setattr(ledger, "_refuse_foreign_code", lambda _connection: None)  # the stand-in is a trigger on it
    bluegreen.write_league()
    load_command.load(surroundings(standins.dsn), [str(bluegreen.directory / "data")])
    connection.execute(
        "CREATE FUNCTION standin.refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'cannot modify it because it is a shard' USING ERRCODE = 'XX000'; END $$"
    )
    connection.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON bluegreen.cutover FOR EACH ROW EXECUTE FUNCTION standin.refuse()"
    )
    with pytest.raises(errors.LockNotObtained, match="on another node: cannot modify it because it is a shard"):
        promote.promote(surroundings(standins.dsn, promote={"max_wait": 0.5}))
    scene.assert_whole(connection)


def test_what_is_made_is_not_distributed_by_a_setting(standins: Live) -> None:
    """The usual setting where schemas are distributed would distribute the ledger, and each schema of a release."""
    setting = "citus.enable_schema_based_sharding"
    dsn = conninfo.make_conninfo(standins.dsn, options=f"-c {setting}=on")
    query = f"SELECT current_setting('{setting}'), current_setting('citus.absent', true)"
    with db.Server(dsn, origin="the test").connect("test") as own:
        assert own.execute(query.encode()).fetchone() == ("off", None)


def test_old_citus_and_old_ways_are_refused(standins: Live, connection: Connection) -> None:
    """What nobody has tried is not begun."""
    connection.execute("INSERT INTO pg_dist_partition VALUES ('league.teams', 'a', 'id', 3, 'c', false)")
    with pytest.raises(errors.Refused, match="table teams is distributed by append or range"):
        citus.placements(connection, connection.execute("SELECT 'league'::regnamespace::oid::bigint").fetchone()[0])  # type: ignore[index]
    connection.execute(
        "SET allow_system_table_mods = on; UPDATE pg_extension SET extversion = '11.3-1' WHERE extname = 'citus'"
    )
    with pytest.raises(errors.Refused, match=r"Citus 11\.3-1 is too old"):
        status.status(scene.context(standins.dsn))


# ---- how many streams a table gets


@pytest.mark.parametrize(("rates", "chosen"), [((1, 2, 3), 3), ((1, 2, 2), 2), ((2, 1, 3), 1)], ids=["3", "2", "1"])
def test_as_many_streams_copy_into_a_table_as_are_of_use(
    dsn: str, connection: Connection, tmp_path: Path, rates: tuple[float, ...], chosen: int
) -> None:
    """They join one by one while all together become faster, by a clock of the test's own; each row is there once."""
    moment = 0.0
    active: list[int] = []

    def clock() -> float:
        nonlocal moment
        moment += 0.1 / rates[joining.width.wanted - 1]
        return moment

    def progress(_table: str, _size: int) -> None:
        """Let no stream take a block before the wanted stream has joined: a small file would be over by then."""
        scene.wait_until(lambda: joining.width.settled or joining.active >= joining.width.wanted)
        if joining.active > joining.width.wanted:  # it commits meanwhile
            time.sleep(0.005)
        if joining.width.settled:
            active.append(joining.active)

    count = 2000
    connection.execute("CREATE SCHEMA league__r7 CREATE TABLE t (id int)")
    (tmp_path / "t.csv").write_text("id\n" + "".join(f"{number}\n" for number in range(count)))
    [source] = discover([str(tmp_path / "t.csv")], tables={})
    columns = (model.Column(name="id", type="integer"),)
    opened = Opened(source=source, reader=open_reader(source, columns, block_size=20))
    work = copy.Work(table=model.Table(name="t", columns=columns), files=(opened,))
    joining = copy_parallelism.Streams(3, measured=True, clock=clock)
    with contextlib.closing(Workers(1)) as workers:
        load = copy.Load(copy.Target(release(7), workers, progress), work, joining)
        parallel.run(db.Server(dsn, origin="the test"), "test", load.tasks, jobs=3, settings={})
    assert (joining.chosen, statistics.mode(active)) == (chosen, chosen)
    assert load.result().rows == count
    found = connection.execute("SELECT id FROM league__r7.t ORDER BY id").fetchall()
    assert [row[0] for row in found] == list(range(count))


# ---- Citus itself


@pytest.fixture(params=["stubs", "citus"])
def cluster(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """The DSN of a coordinator, and a live schema that is this test's own.

    With the stubs, this tests the test itself, which otherwise only a Citus cluster would run.
    """
    schema = f"test_{uuid4().hex[:8]}"
    if request.param == "stubs":
        dsn = request.getfixturevalue("dsn")
        with psycopg.connect(dsn, autocommit=True) as own:
            own.execute(STANDINS.encode())
        yield dsn, schema
        return
    named = os.environ.get("BLUEGREEN_TEST_CITUS_DSN")
    if named is None:
        pytest.skip("no Citus: BLUEGREEN_TEST_CITUS_DSN does not name a coordinator")
    yield named, schema
    with psycopg.connect(named, autocommit=True) as own:
        rows = own.execute("SELECT nspname FROM pg_namespace WHERE starts_with(nspname, %s)", (schema,)).fetchall()
        for (name,) in rows:
            own.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))


class Joining(threading.Thread):
    """Reads both tables in one statement until it is stopped, through the coordinator."""

    def __init__(self, dsn: str, schema: str) -> None:
        super().__init__(daemon=True)
        self._dsn = dsn
        self._query = sql.SQL("SELECT DISTINCT t.name, p.name FROM {} AS p JOIN {} AS t ON t.id = p.team_id").format(
            sql.Identifier(schema, "players"), sql.Identifier(schema, "teams")
        )
        self.stopping = threading.Event()
        self.seen: set[tuple[str, str]] = set()
        self.failures: list[str] = []

    def run(self) -> None:
        """Read."""
        with psycopg.connect(self._dsn, autocommit=True) as own:
            while not self.stopping.wait(0.002):
                try:
                    self.seen.update(own.execute(self._query).fetchall())
                except psycopg.Error as error:
                    self.failures.append(str(error))


DDL = """
    CREATE TABLE teams (id int PRIMARY KEY, name text);
    CREATE TABLE players (id int, team_id int REFERENCES teams, name text, PRIMARY KEY (id, team_id));
"""
PLACED = """
    SELECT c.relname, p.partmethod, p.repmodel, p.colocationid,
           (SELECT count(*) FROM pg_dist_shard AS s WHERE s.logicalrelid = p.logicalrelid)
    FROM pg_dist_partition AS p JOIN pg_class AS c ON c.oid = p.logicalrelid
    WHERE c.relnamespace = quote_ident(%s)::regnamespace ORDER BY 1
"""


@pytest.mark.parametrize("whole", [False, True], ids=["tables", "schema"])
def test_cluster_keeps_its_distribution_and_its_readers(cluster: tuple[str, str], tmp_path: Path, whole: bool) -> None:
    """The same kinds, groups and shards in each release, the same schemas on all nodes; no reader sees a mixture."""
    dsn, schema = cluster
    bluegreen = Bluegreen(dsn, tmp_path)
    by_table = {"reference": ["teams"], "hash": {"players": "team_id"}, "shards": 4}
    distribute = {"schema": True} if whole else by_table
    ddl = {"ddl": [str(bluegreen.write("schema.sql", DDL))]}
    context = surroundings(dsn, schema)
    first = surroundings(dsn, schema, structure=ddl, distribute=distribute)
    with psycopg.connect(dsn, autocommit=True) as own:
        placed = []
        for name, loading in (("one", first), ("two", context)):
            players = f"id,team_id,name\n1,1,{name}\n2,2,{name}\n"
            bluegreen.write_league(teams=f"id,name\n1,{name}\n2,{name}\n", players=players)
            promote.load_and_promote(loading, [str(tmp_path / "data")])
            placed.append(own.execute(PLACED, (schema,)).fetchall())
        # A schema that lies on one node is a group of its own.
        columns = 3 if whole else 5
        assert [row[:columns] for row in placed[0]] == [row[:columns] for row in placed[1]]
        reader = Joining(dsn, schema)
        reader.start()
        for _ in range(4):
            rollback.rollback(context)
            promote.promote(context, number=2)
        reader.stopping.set()
        reader.join(20)
        assert reader.failures == []
        assert reader.seen <= {("one", "one"), ("two", "two")}
        assert citus.doubts(own, schema) == []
        assert own.execute(PLACED, (schema,)).fetchall() == placed[1]
    assert prune.prune(context, keep=0).dropped == (1,)


KEYED = """
    CREATE TABLE teams (id int PRIMARY KEY);
    CREATE TABLE players (id int PRIMARY KEY, team_id int REFERENCES teams);
    CREATE TABLE goals (id int, player_id int REFERENCES players, PRIMARY KEY (id, player_id));
"""
PROGRAM = """
import psycopg
with psycopg.connect() as own:
    own.execute("INSERT INTO teams VALUES (1)")
    own.execute("INSERT INTO players VALUES (1, 1)")
    own.execute("INSERT INTO goals VALUES (1, 1)")
"""


def test_cluster_spreads_tables_in_the_order_of_their_keys_for_a_program(
    cluster: tuple[str, str], tmp_path: Path
) -> None:
    """It has all keys and indexes from the beginning; by name, goals would come before the players they refer to."""
    dsn, schema = cluster
    (tmp_path / "schema.sql").write_text(KEYED)
    wanted = {"reference": ["teams"], "hash": {"goals": "player_id", "players": "id"}}
    context = surroundings(dsn, schema, structure={"ddl": [str(tmp_path / "schema.sql")]}, distribute=wanted)
    for _ in range(2):
        run_command.run_and_promote(context, [sys.executable, "-c", PROGRAM])
    with psycopg.connect(dsn, autocommit=True) as own:
        assert [row[:3] for row in own.execute(PLACED, (schema,))] == [
            ("goals", "h", "s"),
            ("players", "h", "s"),
            ("teams", "n", "t"),
        ]
        assert own.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, "goals"))).fetchall() == [(1, 1)]


def test_cluster_refuses_a_row_without_what_it_must_have(cluster: tuple[str, str], tmp_path: Path) -> None:
    """The error is a bad row of the file; Citus does not report which one."""
    dsn, schema = cluster
    (tmp_path / "schema.sql").write_text("CREATE TABLE events (id int PRIMARY KEY, text text NOT NULL)")
    (tmp_path / "events.csv").write_text("id,text\n1,x\n2,\n")
    wanted = {"hash": {"events": "id"}}
    context = surroundings(dsn, schema, structure={"ddl": [str(tmp_path / "schema.sql")]}, distribute=wanted)
    with pytest.raises(errors.BadRow, match=r'events\.csv.*null value in column "text"'):
        load_command.load(context, [str(tmp_path / "events.csv")])


def test_cluster_gets_each_row_once_however_many_streams_bring_them(
    cluster: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A distributed table copied by several streams: the load reports how many connections helped."""
    monkeypatch.setattr(copy, "DEAL_BYTES", 1)
    monkeypatch.setattr(copy_parallelism, "WARM_UP", 0.01)
    monkeypatch.setattr(copy_parallelism, "WINDOW", 0.02)
    monkeypatch.setattr(copy_parallelism, "BLOCKS", 1)
    dsn, schema = cluster
    count = 100_000
    (tmp_path / "events.csv").write_text("id,text\n" + "".join(f"{n},{'x' * 40}\n" for n in range(count)))
    ddl = tmp_path / "schema.sql"
    ddl.write_text("CREATE TABLE events (id int PRIMARY KEY, text text)")
    listener = scene.Listener()
    context = surroundings(
        dsn, schema, listener, structure={"ddl": [str(ddl)]}, distribute={"hash": {"events": "id"}}, load={"jobs": 2}
    )
    promote.load_and_promote(context, [str(tmp_path / "events.csv")])
    [told] = [line for line in listener.said if line.startswith("table events was copied by")]
    assert told in {f"table events was copied by {number} of at most 2" for number in ("1 stream", "2 streams")}
    with psycopg.connect(dsn, autocommit=True) as own:
        query = sql.SQL("SELECT count(*), count(DISTINCT id), max(id) FROM {}").format(sql.Identifier(schema, "events"))
        assert own.execute(query).fetchone() == (count, count, count - 1)
