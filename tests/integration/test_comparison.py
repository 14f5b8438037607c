"""A release equals live, or each difference is named: by the load, and by diff."""

import psycopg
import pytest
from psycopg.rows import TupleRow

from bluegreen_etl import ledger
from bluegreen_etl.cutover import comparison
from tests.integration.test_definition import CHANGES, ONE_OF_EVERYTHING, parts
from tests.support import Bluegreen

Connection = psycopg.Connection[TupleRow]
# What a clone refuses, or gives to no release.
NOT_CLONED = """
    DROP CAST (league.place AS league.mood); DROP TRANSFORM FOR league.mood LANGUAGE sql;
    DROP FOREIGN TABLE league.abroad; DROP TABLE league.child;
"""
WORN = """
    ALTER TABLE league.t ADD gone int; ALTER TABLE league.t DROP gone; ALTER TABLE league.t ADD late text;
    COMMENT ON COLUMN league.t.late IS 'the last';
    CREATE INDEX late ON league.t (late); CREATE STATISTICS league.lately ON k, late FROM league.t;
    ALTER TABLE league.u ADD number serial, ADD part int; COMMENT ON COLUMN league.u.part IS 'a part';
    ALTER TABLE league.t SET (fillfactor = 50), CLUSTER ON t_pkey, REPLICA IDENTITY FULL, ENABLE ROW LEVEL SECURITY;
    ALTER TABLE league.t ALTER n SET STATISTICS 7, ALTER n SET (n_distinct = 5), DISABLE TRIGGER stamp;
    ALTER TABLE league.u ALTER big SET STORAGE EXTERNAL, SET (toast.autovacuum_enabled = off);
    GRANT SELECT, INSERT ON league.t TO pg_monitor; GRANT UPDATE (k) ON league.t TO PUBLIC;
    REVOKE ALL ON FUNCTION league.twice(int, int) FROM PUBLIC;
    ALTER DEFAULT PRIVILEGES GRANT UPDATE ON TABLES TO pg_monitor;
    CREATE FUNCTION league.fixed() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = league
        AS 'SELECT count(*) FROM t';
"""


@pytest.fixture
def everything(bluegreen: Bluegreen, connection: Connection) -> Connection:
    """One of everything, altered as a schema is over the years."""
    connection.execute((ONE_OF_EVERYTHING + NOT_CLONED + WORN).encode())
    bluegreen.write("bluegreen.toml", '[checks]\noff = ["no_empty_table"]\n')
    return connection


def test_clone_of_everything_equals_live(bluegreen: Bluegreen, everything: Connection) -> None:
    """Nothing differs, in the whole catalogs, whatever was dropped or altered before."""
    bluegreen("open")
    everything.execute("SELECT pg_stat_force_next_flush()")
    finished = bluegreen("finish", "2").stderr
    assert "differs from live" not in finished
    assert bluegreen.json("diff")["differences"] == []
    bluegreen("promote")
    assert bluegreen.json("diff")["differences"] == []


def test_every_kind_of_difference_is_named(bluegreen: Bluegreen, everything: Connection) -> None:
    """Each kind of change, made on live once the release is ready: some part differs."""
    bluegreen("open")
    bluegreen("finish", "2")
    unnoticed, version, before = [], everything.info.server_version // 10000, parts(everything)
    release = ledger.find(everything, "league", 2)
    assert release.base_oid
    for line in CHANGES:
        change, _, since = line.partition(" -- ")
        if since and version < int(since):
            continue
        with everything.transaction(force_rollback=True):
            try:
                with everything.transaction():
                    everything.execute(change.encode())
            except psycopg.Error:  # the change is to something that is not cloned
                continue
            changed = parts(everything) != before  # unless live has worn that way already
            if changed and not comparison.differences(everything, release, release.base_oid):
                unnoticed.append(change)
    assert unnoticed == []


ATTRIBUTES = """
    CREATE SCHEMA league;
    CREATE SEQUENCE league.numbers INCREMENT 5;
    CREATE UNLOGGED TABLE league.unlogged (id int);
    CREATE TABLE league.t (id int NOT NULL, n text DEFAULT 'x', k int GENERATED ALWAYS AS (id * 2) STORED);
    COMMENT ON TABLE league.t IS 'rows'; ALTER TABLE league.t ALTER n SET STATISTICS 50;
    ALTER TABLE league.t REPLICA IDENTITY FULL;
    CREATE FUNCTION league.f() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = '' AS 'SELECT 1';
"""
DDL = """
    CREATE SEQUENCE numbers;
    CREATE TABLE unlogged (id int);
    CREATE TABLE t (id int, n text, k int);
    CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';
"""


def test_attributes_that_ddl_loses_are_named(bluegreen: Bluegreen, connection: Connection) -> None:
    """Both have the objects, and the release has them in a weaker form."""
    connection.execute(ATTRIBUTES.encode())
    bluegreen.write("schema.sql", DDL)
    bluegreen.write("bluegreen.toml", '[structure]\nddl = ["schema.sql"]\n[checks]\noff = ["no_empty_table"]\n')
    bluegreen.write("data/t.csv", "id\n1\n")
    bluegreen.write("data/unlogged.csv", "id\n1\n")
    loaded = bluegreen("load", "data").stderr
    named = ["columns of t", "default of t", "routine f", "sequence numbers", "table unlogged"]
    assert "release 2 differs from live, see `bluegreen diff 2`: " in loaded
    assert [name for name in named if name not in loaded] == []
    found = {(item["table"], item["what"]) for item in bluegreen.json("diff")["differences"]}
    assert found >= {("t", "columns"), ("f", "routine"), ("numbers", "sequence"), ("unlogged", "table")}
    shown = bluegreen("diff").stdout
    assert "differs" in shown
