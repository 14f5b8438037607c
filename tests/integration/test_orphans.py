"""Orphans are what the server's own check of the foreign key would refuse, no more and no less."""

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import TupleRow

from tests.support import Bluegreen, needs_extension

Connection = psycopg.Connection[TupleRow]


def rows(connection: Connection, table: str) -> list[TupleRow]:
    """Return the rows of a table, in order."""
    query = sql.SQL("SELECT * FROM {} ORDER BY 1").format(sql.Identifier(*table.split(".")))
    return connection.execute(query).fetchall()


@pytest.fixture
def periods(connection: Connection, bluegreen: Bluegreen) -> Connection:
    """A booking whose period two rows of live cover together."""
    if connection.info.server_version < 180000:
        pytest.skip("keys with PERIOD are new in PostgreSQL 18")
    needs_extension(connection, "btree_gist")
    connection.execute("""
        CREATE EXTENSION btree_gist;
        CREATE SCHEMA league;
        CREATE TABLE league.t (id int, n text, v daterange, PRIMARY KEY (id, v WITHOUT OVERLAPS));
        INSERT INTO league.t VALUES (1, 'a', '[2020-01-01,2021-01-01)'), (1, 'b', '[2021-01-01,2022-01-01)');
        CREATE TABLE public.b (k int PRIMARY KEY, id int, v daterange,
            FOREIGN KEY (id, PERIOD v) REFERENCES league.t (id, PERIOD v));
        INSERT INTO public.b VALUES (1, 1, '[2020-06-01,2021-06-01)');
    """)
    return connection


FIRST = 'id,n,v\n1,a,"[2020-01-01,2021-01-01)"\n'


def test_a_period_may_be_covered_by_several_rows(bluegreen: Bluegreen, periods: Connection) -> None:
    """Such a row is no orphan, and nothing is deleted."""
    bluegreen.write("data/t.csv", FIRST + '1,b,"[2021-01-01,2022-01-01)"\n')
    bluegreen("load", "data")
    bluegreen("promote", "--on-orphans", "delete")
    assert len(rows(periods, "public.b")) == 1


@pytest.mark.parametrize("treatment", ["refuse", "delete", "null"])
def test_a_gap_in_a_period_is_refused_whatever_the_treatment(
    bluegreen: Bluegreen, periods: Connection, treatment: str
) -> None:
    """A row that is covered in part is neither deleted nor set to null."""
    bluegreen.write("data/t.csv", FIRST)
    bluegreen("load", "data")
    done = bluegreen("promote", "--on-orphans", treatment, code=1)
    assert "1 rows of b refer to rows of t" in done.stderr or "1 rows of public.b refer to rows of t" in done.stderr
    assert rows(periods, "public.b")[0][1] == 1


@pytest.mark.parametrize("treatment", ["refuse", "delete"])
def test_keys_are_compared_with_the_operators_of_the_constraint(
    bluegreen: Bluegreen, connection: Connection, treatment: str
) -> None:
    """The type's operators are in no schema of the search path; without them its texts would differ."""
    needs_extension(connection, "citext")
    connection.execute("""
        CREATE SCHEMA ext; CREATE EXTENSION citext SCHEMA ext; CREATE SCHEMA league;
        CREATE TABLE league.t (code ext.citext PRIMARY KEY, n text);
        INSERT INTO league.t VALUES ('abc', 'x');
        CREATE TABLE public.b (k int PRIMARY KEY, code ext.citext REFERENCES league.t);
        INSERT INTO public.b VALUES (1, 'ABC');
    """)
    bluegreen.write("data/t.csv", "code,n\nabc,y\n")
    bluegreen("load", "data")
    bluegreen("promote", "--on-orphans", treatment)
    assert rows(connection, "public.b") == [(1, "ABC")]


def test_rows_of_children_are_no_rows_of_the_child_table(bluegreen: Bluegreen, connection: Connection) -> None:
    """A key does not reach to the tables that inherit from its own: their rows stay, whatever they refer to."""
    connection.execute("""
        CREATE SCHEMA league; CREATE TABLE league.t (id int PRIMARY KEY);
        INSERT INTO league.t VALUES (1), (2);
        CREATE TABLE public.b (k int, id int REFERENCES league.t);
        CREATE TABLE public.c () INHERITS (public.b);
        INSERT INTO public.b VALUES (1, 1), (2, 2);
        INSERT INTO public.c VALUES (3, 99);
    """)
    bluegreen.write("data/t.csv", "id\n1\n")
    bluegreen("load", "data")
    bluegreen("promote", "--on-orphans", "delete")
    assert rows(connection, "public.b") == [(1, 1), (3, 99)]


def test_rows_of_partitions_are_rows_of_the_parent(bluegreen: Bluegreen, connection: Connection) -> None:
    """A partitioned parent has no rows of its own."""
    connection.execute("""
        CREATE SCHEMA league; CREATE TABLE league.t (id int PRIMARY KEY) PARTITION BY RANGE (id);
        CREATE TABLE league.t0 PARTITION OF league.t FOR VALUES FROM (0) TO (10);
        INSERT INTO league.t VALUES (1), (2);
        CREATE TABLE public.b (k int, id int REFERENCES league.t);
        INSERT INTO public.b VALUES (1, 1), (2, 2);
    """)
    bluegreen.write("data/t.csv", "id\n1\n")
    bluegreen("load", "data")
    bluegreen("promote", "--on-orphans", "delete")
    assert rows(connection, "public.b") == [(1, 1)]
