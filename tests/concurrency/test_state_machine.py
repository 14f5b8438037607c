"""Any sequence of commands, crashes and manual changes: live is one whole release, and the ledger knows which."""

import threading
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import psycopg
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from psycopg import conninfo, sql

import bluegreen_etl
from bluegreen_etl import Context, config, errors, ledger
from bluegreen_etl.model import Status
from bluegreen_etl.releases import retention
from tests.concurrency import scene
from tests.concurrency.expected import BY_HAND, LIVE, Ending, League, Release, Schema

TABLES = {"teams": "id,gen", "players": "id,team_id,gen", "games": "id,gen"}
ROWS = {"teams": ("1", "2"), "players": ("1,1", "2,2", "3,1"), "games": ("1", "2")}
STAGES = ("structure", "copy", "copied", "finish", "check")
CHECK = "SELECT id FROM games WHERE id > 100"
BY_HAND_DDL = """
    CREATE SCHEMA league;
    CREATE TABLE league.teams (id int PRIMARY KEY, gen int NOT NULL);
    CREATE TABLE league.players (id int PRIMARY KEY, team_id int NOT NULL REFERENCES league.teams, gen int NOT NULL);
    CREATE TABLE league.games (id int, gen int);
    CREATE INDEX ON league.games (id);
"""
FEW = settings(
    max_examples=12, stateful_step_count=15, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
# False comes first, because Hypothesis shrinks to the first value.
SELDOM = st.sampled_from((False, False, False, True))
KEEP = 2


class Killer(scene.Listener):
    """A watcher that ends every session of bluegreen when a stage begins, once.

    Args:
        dsn: of another database of the same server.
        database: whose sessions are ended.
        stage: the first word of the stage.
        for_good: nobody can connect any more, so that nothing is cleaned up: as after kill -9.
    """

    def __init__(self, dsn: str, database: str, stage: str, *, for_good: bool) -> None:
        super().__init__()
        self._dsn = dsn
        self._database = database
        self._stage = stage
        self._for_good = for_good
        self._guard = threading.Lock()
        self.done = False

    def stage(self, name: str, *, total: int = 0) -> None:
        """Terminate the sessions if this is the stage."""
        super().stage(name, total=total)
        self._reached(name.split()[0])

    def copied(self, table: str, size: int) -> None:
        """Learn that something was copied."""
        super().copied(table, size)
        self._reached("copied")

    def revive(self) -> None:
        """Allow connections again."""
        self._allow_connections(allowed=True)

    def _reached(self, stage: str) -> None:
        with self._guard:
            if stage != self._stage or self.done:
                return
            self.done = True
            if self._for_good:
                self._allow_connections(allowed=False)
            with psycopg.connect(self._dsn, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                    "WHERE datname = %s AND application_name LIKE 'bluegreen %%'",
                    (self._database,),
                )

    def _allow_connections(self, *, allowed: bool) -> None:
        statement = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            connection.execute(statement.format(sql.Identifier(self._database), sql.Literal(allowed)))


class Machine(RuleBasedStateMachine):
    """Run commands through the library, and compare with the rules in plain Python."""

    def __init__(self, server: str, directory: Path) -> None:
        super().__init__()
        self.server = server
        self.directory = directory
        self.database = f"test_{uuid4().hex[:12]}"
        self.admin("CREATE DATABASE {}")
        self.dsn = conninfo.make_conninfo(server, dbname=self.database)
        self.connection = psycopg.connect(self.dsn, autocommit=True)
        self.league = League(keep=KEEP)
        self.generation = 0
        self.dropped: set[Schema] = set()  # by hand

    def teardown(self) -> None:
        """Drop the database."""
        self.connection.close()
        self.admin("DROP DATABASE {} WITH (FORCE)")

    @initialize(begun=st.booleans())
    def begin(self, begun: bool) -> None:
        """Start with a schema created by hand, or without one."""
        if begun:
            self.replace_by_hand()

    # ---- rules: commands

    @rule(promote=st.booleans())
    def load(self, promote: bool) -> None:
        """Load a valid release, and promote it at once or leave it ready."""
        schema = self.coming()
        if not promote:
            self.both(lambda: self.league.load(schema), self.load_files)
            return
        self.both(
            lambda: self.league.promote(self.league.load(schema).number, force=False),
            lambda: bluegreen_etl.load_and_promote(self.context(), [str(self.directory / "data")]),
        )

    @precondition(lambda self: self.league.current is not None)
    @rule(ending=st.sampled_from((Ending.BAD_ROW, Ending.CHECK_FAILED)))
    def load_what_is_bad(self, ending: Ending) -> None:
        """Load a file with a bad row, or one that fails a check."""
        schema = self.coming(ending)
        self.both(lambda: self.league.load(schema, ending), self.load_files)

    @rule(stage=st.sampled_from(STAGES), ending=st.sampled_from((Ending.CONNECTION_LOST, Ending.DIED)))
    def load_that_dies(self, stage: str, ending: Ending) -> None:
        """Lose every connection in a stage of a load, with or without a chance to clean up."""
        schema = self.coming()
        killer = self.killer(stage, for_good=ending is Ending.DIED)
        self.both(lambda: self.league.load(schema, ending), lambda: self.load_files(killer))
        killer.revive()

    @rule(force=SELDOM, discard=SELDOM)
    def promote_newest(self, force: bool, discard: bool) -> None:
        """Promote without a release number."""
        self.promote(None, force=force, discard=discard)

    @rule(data=st.data(), force=SELDOM, discard=SELDOM)
    def promote_number(self, data: st.DataObject, force: bool, discard: bool) -> None:
        """Promote a release that can be promoted, or any other."""
        self.promote(data.draw(self.numbers(Status.READY, Status.PREVIOUS)), force=force, discard=discard)

    @rule(data=st.data(), force=SELDOM)
    def promote_that_dies(self, data: st.DataObject, force: bool) -> None:
        """Lose every connection before the swap."""
        number = data.draw(self.numbers(Status.READY, Status.PREVIOUS))
        killer = self.killer("promote", for_good=True)
        self.both(
            lambda: self.league.promote(number, force=force, dies=True),
            lambda: bluegreen_etl.promote(self.context(killer, force=force), number=number),
        )
        killer.revive()

    @rule(force=SELDOM)
    def rollback(self, force: bool) -> None:
        """Roll back."""
        self.both(
            lambda: self.league.rollback(None, force=force), lambda: bluegreen_etl.rollback(self.context(force=force))
        )

    @rule(data=st.data(), force=SELDOM)
    def rollback_to(self, data: st.DataObject, force: bool) -> None:
        """Roll back to a kept release, or try another one."""
        number = data.draw(self.numbers(Status.PREVIOUS))
        self.both(
            lambda: self.league.rollback(number, force=force),
            lambda: bluegreen_etl.rollback(self.context(force=force), number=number),
        )

    @rule(keep=st.integers(0, 3))
    def prune(self, keep: int) -> None:
        """Prune, and keep this many previous releases."""

        wanted, found = self.both(
            lambda: self.league.prune(keep), lambda: bluegreen_etl.prune(self.context(), keep=keep)
        )
        if isinstance(found, retention.Pruned):
            assert (sorted(found.dropped), sorted(found.refused)) == wanted

    # ---- rules: by hand

    @precondition(lambda self: self.league.current is not None)
    @rule()
    def write(self) -> None:
        """Write to live."""
        assert self.league.current
        self.by_hand("UPDATE league.teams SET gen = gen")
        self.league.current.writes += 1

    @rule()
    def replace_by_hand(self) -> None:
        """Drop live, if it exists, and create another schema with its name."""
        if self.league.current:
            self.dropped.add(self.league.current)
        self.league.schemas[LIVE] = self.coming()
        values = [
            f"INSERT INTO league.{table} VALUES ({row},{self.generation})"  # noqa: S608 - values of our own
            for table, rows in ROWS.items()
            for row in rows
        ]
        self.by_hand("DROP SCHEMA IF EXISTS league CASCADE", BY_HAND_DDL, *values)

    @precondition(lambda self: self.league.current is not None and BY_HAND not in self.league.schemas)
    @rule()
    def rename_away(self) -> None:
        """Rename live."""
        self.rename(LIVE, BY_HAND)

    @precondition(lambda self: self.league.current is None and BY_HAND in self.league.schemas)
    @rule()
    def rename_back(self) -> None:
        """Rename it back."""
        self.rename(BY_HAND, LIVE)

    @precondition(lambda self: self.swappable())
    @rule(data=st.data())
    def swap_by_hand(self, data: st.DataObject) -> None:
        """Rename live and a kept release as promote does, without the ledger."""
        assert self.league.live
        incoming = data.draw(st.sampled_from(self.swappable()))
        self.rename(LIVE, self.league.live.own_name)
        self.rename(incoming.own_name, LIVE)

    # ---- what must always hold

    @invariant()
    def schemas_hold_what_they_should(self) -> None:
        """Every schema holds the one generation expected, and no schema is unknown."""
        rows = self.connection.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname ~ '^(league|bluegreen__)' ORDER BY 1"
        )
        dead = {release.own_name for release in self.league.having(Status.LOADING)}
        found = {row[0]: self.content(row[0]) for row in rows if row[0] not in dead}
        assert found == {name: (schema.generation, schema.rows) for name, schema in self.league.schemas.items()}

    @invariant()
    def ledger_agrees(self) -> None:
        """Every release has the status expected, and the OID of its schema."""
        releases = {}
        if ledger.exists(self.connection):
            releases = {release.number: release for release in ledger.releases(self.connection, LIVE)}
        assert {n: r.status for n, r in releases.items()} == {n: r.status for n, r in self.league.releases.items()}
        rows = self.connection.execute("SELECT nspname, oid::bigint FROM pg_namespace").fetchall()
        oids: dict[str, int] = dict(rows)
        for release in self.league.having(Status.READY, Status.PREVIOUS, Status.LIVE):
            if place := self.league.where(release.schema):
                assert releases[release.number].schema_oid == oids[place]

    @invariant()
    def kept_releases_are_where_they_belong(self) -> None:
        """A release has its own schema name, unless it was renamed or dropped by hand."""
        for release in self.league.having(Status.READY, Status.PREVIOUS):
            place = self.league.where(release.schema)
            assert place in {release.own_name, LIVE, BY_HAND} or release.schema in self.dropped
        assert len(self.league.having(Status.LIVE)) <= 1

    @invariant()
    def status_tells_it(self) -> None:
        """`status` knows what is live, whether it was replaced by hand, and which loads are stale; no lock is held."""
        state = bluegreen_etl.status(self.context())
        assert state.live == (self.league.live.number if self.league.live else None)
        assert state.drifted == self.league.drifted
        dead = [release.number for release in state.releases if release.dead]
        assert dead == [release.number for release in self.league.having(Status.LOADING)]
        assert not scene.is_busy(self.connection, "load")

    # ---- how

    def both(self, expected: Callable[[], object], command: Callable[[], object]) -> tuple[object, object]:
        """Run a command, assert that it fails or succeeds as the rules say, and return both results."""
        wanted, found = outcome(expected), outcome(command)
        assert error_of(found) is error_of(wanted), (wanted, found)
        return wanted, found

    def context(self, watcher: scene.Listener | None = None, *, force: bool = False, discard: bool = False) -> Context:
        """Return the context of a command."""
        flags = {
            "schema": LIVE,
            "dsn": self.dsn,
            "load": {"jobs": 1},
            "checks": {"path": str(self.directory / "checks")},
            "promote": {"max_wait": 10, "discard_writes": discard, "allow_drop": True},  # files have no keys
            "retention": {"keep": KEEP},
        }
        return Context(config.resolve(flags, environ={}), watcher or scene.Listener(), force=force)

    def coming(self, ending: Ending = Ending.READY) -> Schema:
        """Write the files of the next generation, and return the schema expected."""
        self.generation += 1
        more = {Ending.BAD_ROW: [f"x,{self.generation}"], Ending.CHECK_FAILED: [f"101,{self.generation}"]}
        for table, header in TABLES.items():
            lines = [header, *(f"{row},{self.generation}" for row in ROWS[table])]
            lines += more.get(ending, []) if table == "games" else []
            (self.directory / "data" / f"{table}.csv").write_text("\n".join(lines) + "\n")
        rows = sum(map(len, ROWS.values())) + (ending is Ending.CHECK_FAILED)
        return Schema(self.generation, rows)

    def load_files(self, watcher: scene.Listener | None = None) -> object:
        """Load the files that were written last."""
        return bluegreen_etl.load(self.context(watcher), [str(self.directory / "data")])

    def promote(self, number: int | None, *, force: bool, discard: bool) -> None:
        """Promote by the rules and by the library."""
        self.both(
            lambda: self.league.promote(number, force=force, discard=discard),
            lambda: bluegreen_etl.promote(self.context(force=force, discard=discard), number=number),
        )

    def killer(self, stage: str, *, for_good: bool) -> Killer:
        """Return a watcher that ends every session of bluegreen in this stage."""
        return Killer(self.server, self.database, stage, for_good=for_good)

    def numbers(self, *statuses: Status) -> st.SearchStrategy[int]:
        """Return release numbers to choose from: those of some statuses, rarely any number."""
        fitting = [release.number for release in self.league.having(*statuses)]
        anything = st.integers(1, len(self.league.releases) + 1)
        return st.one_of(st.sampled_from(fitting), st.sampled_from(fitting), anything) if fitting else anything

    def swappable(self) -> list[Release]:
        """Return the releases that could be exchanged with live by hand."""
        live = self.league.live
        if live is None or self.league.where(live.schema) != LIVE:
            return []
        kept = self.league.having(Status.READY, Status.PREVIOUS, Status.FAILED)
        return [release for release in kept if release.schema and self.league.where(release.schema) == release.own_name]

    def rename(self, old: str, new: str) -> None:
        """Rename a schema by hand."""
        self.league.rename(old, new)
        self.by_hand(f"ALTER SCHEMA {old} RENAME TO {new}")

    def by_hand(self, *statements: str) -> None:
        """Run statements without bluegreen, and flush the server's row counters."""
        for statement in (*statements, "SELECT pg_stat_force_next_flush()"):
            self.connection.execute(statement)

    def content(self, schema: str) -> tuple[int, int]:
        """Return the one generation that all tables of a schema hold, and their number of rows."""
        query = sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT min(gen), max(gen), count(*) FROM {}").format(sql.Identifier(schema, table))
            for table in TABLES
        )
        rows = self.connection.execute(query).fetchall()
        generations = {generation for row in rows for generation in row[:2]}
        assert len(generations) == 1, (schema, rows)
        return generations.pop(), sum(row[2] for row in rows)

    def admin(self, statement: str) -> None:
        """Run a statement on the test's database from another one."""
        with psycopg.connect(self.server, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(sql.Identifier(self.database)))


def outcome(command: Callable[[], object]) -> object:
    """Return what a command returns, or the error that it raises."""
    try:
        return command()
    except errors.BluegreenError as error:
        return error


def error_of(result: object) -> type[errors.BluegreenError] | None:
    """Return the family of an error, which decides about the exit code, None for any other result."""
    kinds = type(result).__mro__ if isinstance(result, errors.BluegreenError) else ()
    return next((kind for kind in kinds if kind.__module__ == errors.Refused.__module__), None)


def test_any_sequence_of_commands_crashes_and_hands_leaves_whole_releases(server: str, tmp_path: Path) -> None:
    """The library does what the rules in plain Python say, and every schema holds one whole generation."""
    (tmp_path / "data").mkdir()
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "games.sql").write_text(CHECK)

    class OnServer(Machine):
        def __init__(self) -> None:
            super().__init__(server, tmp_path)

    run_state_machine_as_test(OnServer, settings=FEW)
