"""Sequences of a release: never behind the values that were loaded, nor behind live's, within their bounds."""

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.support import Bluegreen

Connection = psycopg.Connection[TupleRow]


def test_shared_sequence_is_past_all_columns_that_it_feeds(bluegreen: Bluegreen, connection: Connection) -> None:
    """The columns do not own it; an expression around it and a text column say nothing about it."""
    connection.execute("""
        CREATE SCHEMA league;
        CREATE SEQUENCE league."hibernate sequence";
        CREATE SEQUENCE league.down INCREMENT -1;
        CREATE TABLE league.t (id bigint DEFAULT nextval('league."hibernate sequence"') PRIMARY KEY, n text);
        CREATE TABLE league.u (id int DEFAULT nextval('league."hibernate sequence"') PRIMARY KEY,
                               other int DEFAULT 100 * nextval('league."hibernate sequence"'),
                               code text DEFAULT nextval('league."hibernate sequence"'),
                               below int DEFAULT nextval('league.down'));
    """)
    bluegreen.write("data/t.csv", "id,n\n1,a\n2,b\n")
    bluegreen.write("data/u.csv", "id,other,code,below\n30,9000,9000,-7\n")
    bluegreen("load", "data", "--promote")
    inserted = connection.execute("INSERT INTO league.t (n) VALUES ('x') RETURNING id").fetchone()
    assert inserted == (31,)
    assert connection.execute("SELECT nextval('league.down')").fetchone() == (-8,)


@pytest.mark.parametrize("bounds", ["MINVALUE 1 MAXVALUE 10", "MINVALUE 1 MAXVALUE 10 INCREMENT 3"])
def test_sequence_ends_at_its_bounds(bluegreen: Bluegreen, connection: Connection, bounds: str) -> None:
    """Rows with greater values do not make the load fail; the server reports the end of the sequence."""
    connection.execute(
        f"""
        CREATE SCHEMA league; CREATE SEQUENCE league.s {bounds};
        CREATE TABLE league.t (id int DEFAULT nextval('league.s') PRIMARY KEY, n text);
    """.encode()
    )
    bluegreen.write("data/t.csv", "id,n\n11,a\n")
    bluegreen("load", "data", "--promote")
    with pytest.raises(psycopg.errors.SequenceGeneratorLimitExceeded):
        connection.execute("INSERT INTO league.t (n) VALUES ('x')")


def test_rollback_over_a_narrower_sequence_says_so(bluegreen: Bluegreen, connection: Connection) -> None:
    """The rollback is not closed: the sequence is at its end."""
    connection.execute("CREATE SCHEMA league; CREATE TABLE league.t (id smallserial PRIMARY KEY, n text)")
    bluegreen.write("schema.sql", "CREATE TABLE t (id serial PRIMARY KEY, n text)")
    bluegreen.write("bluegreen.toml", '[structure]\nddl = ["schema.sql"]\n')
    bluegreen.write("data/t.csv", "id,n\n1,a\n")
    bluegreen("load", "data", "--promote")
    connection.execute("SELECT setval('league.t_id_seq', 40000)")
    done = bluegreen("rollback", "--discard-writes")
    assert "live has passed the bounds of sequence t_id_seq of release 1" in done.stderr
    assert connection.execute("SELECT last_value, is_called FROM league.t_id_seq").fetchone() == (32767, True)
    bluegreen("rollback", "--to", "2")
