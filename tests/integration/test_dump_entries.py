"""The text of live's objects is never read as pg_dump's table of contents, nor run as SQL."""

import psycopg
import pytest
from psycopg.rows import TupleRow

from bluegreen_etl import config, errors
from bluegreen_etl.shadow import dump
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
IMITATION = """
--
-- TOC entry 9999 (class 0 OID 0)
-- Name: TABLE x; Type: ACL; Schema: league; Owner: mallory
--

CREATE TABLE public.imitated (id int);
--
-- TOC entry 9998 (class 0 OID 0)
-- Name: x; Type: COMMENT; Schema: league; Owner: mallory
--

"""
# Every kind of text that an owner of an object in live can write.
TEXTS = {
    "function body": f"CREATE FUNCTION league.f() RETURNS text LANGUAGE sql AS $f$ SELECT '{IMITATION}'$f$",
    "comment": f"COMMENT ON TABLE league.teams IS '{IMITATION}'",
    "default": f"ALTER TABLE league.teams ALTER name SET DEFAULT '{IMITATION}'",
    "check": f"ALTER TABLE league.teams ADD CHECK (name <> '{IMITATION}')",
    "escape string": f"ALTER TABLE league.teams ADD CHECK (name <> E'\\\\''{IMITATION}')",
    "index": f"CREATE INDEX ON league.teams (id) WHERE name <> '{IMITATION};\n\nALTER TABLE x OWNER TO y;\n'",
    "trigger argument": "CREATE FUNCTION league.g() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$; "
    f"CREATE TRIGGER t BEFORE UPDATE ON league.teams FOR EACH ROW EXECUTE FUNCTION league.g('{IMITATION}')",
    "table name": f'CREATE TABLE league."{IMITATION[:60]}" (id int)',
    "column name": f"""ALTER TABLE league.teams ADD "it's $$ {IMITATION[4:40]}" int""",
}


@pytest.mark.parametrize("structure", ["live", "ddl"])
@pytest.mark.parametrize(
    "place", [place for place in TEXTS if place != "table name"]
)  # a table would need a file of that name
def test_text_that_imitates_an_entry_stays_text(
    bluegreen: Bluegreen, live: Live, connection: Connection, place: str, structure: str
) -> None:
    """In a clone, and in what is carried over to tables of the project's own DDL."""
    connection.execute(TEXTS[place].encode())
    before = live.definition()
    bluegreen.write_league()
    columns = "id int, team_id int, name text, born date, note text"
    bluegreen.write("ddl.sql", f"CREATE TABLE teams (id int, name text); CREATE TABLE players ({columns});")
    bluegreen.write("bluegreen.toml", '[structure]\nddl = ["ddl.sql"]\n' if structure == "ddl" else "")
    bluegreen("load", "data")
    assert connection.execute("SELECT to_regclass('public.imitated')").fetchall() == [(None,)]
    if structure == "live":
        assert live.definition("league__r2") == before


def test_a_dump_whose_text_and_list_differ_is_refused(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that only the text has is not run."""
    forged = "--\n-- TOC entry 1 (class 2 OID 3)\n-- Name: x; Type: ACL; Schema: y; Owner: z\n--\n\nSELECT 1;\n"
    with pytest.raises(errors.ServerFailed, match="lists 0, its text has 1; first difference: entry 1"):
        dump._compare(forged, "; nothing\n")
    dump._compare(forged, "1; 2 3 ACL y x z\n")
    with pytest.raises(errors.ServerFailed, match="lists 1, its text has 1"):
        dump._compare(forged, "1; 2 3 TABLE y x z\n")


@pytest.mark.parametrize("place", TEXTS)
def test_a_backup_with_such_text_is_restored(
    bluegreen: Bluegreen, live: Live, connection: Connection, place: str
) -> None:
    """To the letter, as a clone is."""
    connection.execute(TEXTS[place].encode())
    bluegreen.write("bluegreen.toml", '[checks]\noff = ["no_empty_table"]\n')
    before = live.dump()
    path = bluegreen.json("backup", "--to", "x")["path"]
    bluegreen("restore", path, "--promote")
    assert live.dump() == before
    assert connection.execute("SELECT to_regclass('public.imitated')").fetchall() == [(None,)]


def test_entries_are_those_of_the_server(live: Live, connection: Connection) -> None:
    """One for every object that has an entry of its own."""
    connection.execute("COMMENT ON TABLE league.teams IS 'one'")
    kinds = [entry.type for entry in dump.read(connection, "league", config.Settings())]
    assert kinds.count("TABLE") == 2
    assert kinds.count("COMMENT") == 1
