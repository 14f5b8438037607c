"""A recorded `pg_dump --schema-only --verbose` (18.6) cut into its entries."""

from pathlib import Path

from bluegreen_etl.shadow import dump
from bluegreen_etl.shadow.dump import Entry

TEXT = (Path(__file__).parents[1] / "data" / "dump.sql").read_text(encoding="utf-8")
BEFORE_COPY = [
    ("SCHEMA", "league"),
    ("FUNCTION", "never()"),
    ("TABLE", 'a "name"; Type: x'),
    ("TABLE", "aaa"),
    ("TABLE", "goals"),
    ("TABLE", "matches"),
    ("VIEW", "squads"),
    ("TABLE", "teams"),
    ("COMMENT", "TABLE teams"),
]
AFTER_COPY = [
    ("CONSTRAINT", "teams teams_pkey"),
    ("COMMENT", "CONSTRAINT teams_pkey ON teams"),
    ("MATERIALIZED VIEW", "sizes"),
    ("COMMENT", "MATERIALIZED VIEW sizes"),
    ("CHECK CONSTRAINT", "matches late_check"),
    ("CONSTRAINT", "matches matches_pkey"),
    ("INDEX", "teams_name"),
    ("COMMENT", "INDEX teams_name"),
    ("RULE", "squads _RETURN"),
    ("TRIGGER", "teams never"),
    ("FK CONSTRAINT", "matches matches_home_fkey"),
    ("POLICY", "teams everybody"),
    ("ROW SECURITY", "teams"),
    ("ACL", 'TABLE "a ""name""; Type: x"'),
    ("ACL", "TABLE teams"),
    ("DEFAULT ACL", "DEFAULT PRIVILEGES FOR TABLES"),
]


def entry(kind: str, name: str) -> Entry:
    """Return one entry of the recorded dump."""
    [found] = [item for item in dump.parse(TEXT) if (item.type, item.name) == (kind, name)]
    return found


def test_every_entry_is_found_in_order() -> None:
    """Names that look like something else included."""
    assert [(item.type, item.name) for item in dump.parse(TEXT)] == BEFORE_COPY + AFTER_COPY


def test_entries_are_made_before_or_after_the_data() -> None:
    """Also the materialized view that groups by a primary key, and the comments on what comes after the data."""
    found = dump.parse(TEXT)
    assert [(item.type, item.name) for item in found if not item.after_copy] == BEFORE_COPY
    assert [(item.type, item.name) for item in found if item.after_copy] == AFTER_COPY


def test_an_entry_is_its_sql_and_no_more() -> None:
    """Neither the next entry's header, nor what pg_dump writes around them all, for psql above all."""
    assert entry("SCHEMA", "league").sql == "CREATE SCHEMA league;\n\n\nALTER SCHEMA league OWNER TO postgres;\n"
    assert entry("ACL", "TABLE teams").sql == "GRANT SELECT ON TABLE league.teams TO PUBLIC;\n"
    last = entry("DEFAULT ACL", "DEFAULT PRIVILEGES FOR TABLES").sql
    assert last == "ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA league GRANT SELECT ON TABLES TO PUBLIC;\n"
    assert "\\restrict" in TEXT
    assert [item for item in dump.parse(TEXT) if "restrict" in item.sql] == []


def test_each_relation_keeps_its_tablespace() -> None:
    """pg_dump sets it between two entries, and only when it changes; run alone, each entry needs its own."""
    heads = {
        item.name: item.sql.split("'")[0].splitlines()[0]
        for item in dump.parse(TEXT)
        if item.sql.startswith("SET default_tablespace")
    }
    assert heads["aaa"] == "SET default_tablespace = fast;"
    assert heads["teams_name"] == "SET default_tablespace = fast;"
    assert {name for name, head in heads.items() if head == "SET default_tablespace = "} == {
        'a "name"; Type: x',
        "goals",
        "matches",
        "teams",
        "teams teams_pkey",
        "matches matches_pkey",
        "sizes",
    }


def test_a_setting_inside_an_entry_stays_there() -> None:
    """A function's body and a comment may hold the very lines that pg_dump writes between entries."""
    assert "BEGIN\nSET default_tablespace = inside;\nRETURN NULL;" in entry("FUNCTION", "never()").sql
    assert entry("COMMENT", "TABLE teams").sql == (
        "COMMENT ON TABLE league.teams IS 'SET default_tablespace = elsewhere;\nSET default_tablespace = nowhere;\n';\n"
    )


def test_a_statement_that_follows_a_key_is_one_of_its_own() -> None:
    """So are the settings before it; what is one statement, with whatever text in it, stays one."""
    defaults = ["SET default_tablespace = '';\n", "SET default_table_access_method = heap;\n"]
    index = "CREATE UNIQUE INDEX teams_key ON league.teams USING btree (id);\n"
    further = "ALTER TABLE ONLY league.teams REPLICA IDENTITY USING INDEX teams_key;\n"
    sql = f"{''.join(defaults)}{index}\n{further}"
    entry = dump.Entry(type="INDEX", name="teams_key", sql=sql, after_copy=True)
    assert entry.statements == [*defaults, index.rstrip(), further]
    body = "CREATE FUNCTION league.f() RETURNS void LANGUAGE sql AS $$\n;\n\nALTER TABLE x OWNER TO y;\n$$;\n"
    assert dump.Entry(type="FUNCTION", name="f()", sql=body, after_copy=True).statements == [body]


def test_an_empty_dump_has_no_entries() -> None:
    """A schema `public` as initdb makes it has none."""
    assert dump.parse(TEXT[: TEXT.index("--\n-- TOC entry")]) == []
