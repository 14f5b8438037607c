"""`backup` and `restore`: whole or not at all, verified before use, and live is never written over."""

import io
import re
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql
from psycopg.rows import TupleRow

from bluegreen_etl import config, errors
from bluegreen_etl.commands import backup
from bluegreen_etl.shadow import backup_files, sql_scanner
from bluegreen_etl.shadow.backup_files import Manifest
from tests.acceptance.refusals import refused
from tests.records import NOON
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
CONFIGURED = '[load]\nbackup = "before-promote"\n[backup]\npath = "kept"\nkeep = 2\n'


def test_backup_of_everything_comes_back_to_the_letter(
    bluegreen: Bluegreen, live: Live, connection: Connection
) -> None:
    """Partitions, enums, lone sequences, odd names and values; and it can be rolled back like any other release."""
    connection.execute("""
        CREATE TYPE league.foot AS ENUM ('left', 'right');
        CREATE SEQUENCE league.lone; SELECT setval('league.lone', 41);
        CREATE TABLE league."Odd ""name" (id int, "a, b" text, feet league.foot[], at date) PARTITION BY RANGE (id);
        CREATE TABLE league.low PARTITION OF league."Odd ""name" FOR VALUES FROM (0) TO (10);
        CREATE TABLE league.high PARTITION OF league."Odd ""name" FOR VALUES FROM (10) TO (20);
        INSERT INTO league."Odd ""name" VALUES (1, E'\\\\.', '{left}', 'infinity'), (11, E'a\\tb\\n\\\\N', NULL, NULL);
        CREATE TABLE league.nothing (id int);
        CREATE MATERIALIZED VIEW league.m AS SELECT count(*) FROM league.players;
        GRANT SELECT ON league.teams TO pg_monitor;
    """)
    bluegreen.write("bluegreen.toml", "[tables.nothing]\nallow_empty = true\n")
    before = live.dump()
    made = bluegreen.json("backup", "--to", "backups")
    assert made["release"] is None
    connection.execute("UPDATE league.teams SET name = upper(name)")
    changed = live.dump(sequences=False)
    bluegreen("restore", made["path"], "--promote")
    assert live.dump() == before
    bluegreen("rollback")
    assert live.dump(sequences=False) == changed


def test_kept_release_is_restored_into_an_empty_database(
    bluegreen: Bluegreen, live: Live, connection: Connection
) -> None:
    """A first restore keeps the backup's own privileges, because live has none."""
    connection.execute("GRANT SELECT ON league.teams TO pg_monitor")
    bluegreen.write_league(players="id,team_id,name\n1,1,Ann\n2,1,Bo\n")  # less would count as lost
    bluegreen("load", "data", "--promote")
    made = bluegreen.json("backup", "1", "--to", "backups")
    bluegreen("restore", made["path"])
    assert connection.execute("SELECT name FROM league__r3.teams ORDER BY id").fetchall() == [
        ("old one",),
        ("old two",),
    ]
    before = live.definition()
    connection.execute("DROP SCHEMA league, bluegreen, league__r1, league__r3 CASCADE")
    bluegreen("restore", made["path"], "--promote")
    assert live.definition() == before


@pytest.mark.parametrize("damage", ["changed", "missing", "is not of it"])
def test_backup_that_is_not_what_it_was_is_refused(bluegreen: Bluegreen, live: Live, damage: str) -> None:
    """Before anything is begun."""
    path = Path(bluegreen.json("backup", "--to", str(bluegreen.directory))["path"])
    file = next((path / "dump").glob("*.gz"))
    if damage == "changed":
        file.write_bytes(file.read_bytes()[:-1] + b"x")
    elif damage == "missing":
        file.unlink()
    else:
        (path / "dump" / "stranger").touch()
    said = refused(bluegreen, "restore", str(path), live=live)
    assert damage in said.sentence
    assert bluegreen.json("status")["releases"] == []


def test_what_is_no_backup_of_this_schema_is_refused(bluegreen: Bluegreen, live: Live) -> None:
    """An empty directory, a manifest that is none, another schema's backup, a release that is not there."""
    bluegreen.write("none/manifest.json", "{}")
    assert refused(bluegreen, "restore", "nowhere").sentence.startswith("nowhere is no backup")
    assert refused(bluegreen, "restore", "none").sentence.startswith("none/manifest.json is damaged")
    path = bluegreen.json("backup", "--to", "x")["path"]
    assert refused(bluegreen, "restore", path, "-s", "other").sentence == f"{path} is a backup of league, not of other"
    assert refused(bluegreen, "backup", "9", "--to", "x").sentence == "schema league has no release 9"
    assert refused(bluegreen, "backup", code=2).sentence == "no directory for backups was named"


def test_each_promote_makes_a_backup_where_the_settings_say_so(bluegreen: Bluegreen, live: Live) -> None:
    """Of what is live before it; only so many are kept; --no-backup goes without."""
    bluegreen.write("bluegreen.toml", CONFIGURED)
    bluegreen.write_league()
    for _ in range(3):
        bluegreen("load", "data", "--promote")
    kept = sorted(path.name[:9] for path in (bluegreen.directory / "kept").iterdir())
    assert kept == ["league-r2", "league-r3"]
    bluegreen("load", "data", "--promote", "--no-backup")
    assert len(list((bluegreen.directory / "kept").iterdir())) == 2


def test_protected_database_needs_a_confirmation_for_restore(bluegreen: Bluegreen, live: Live) -> None:
    """As for everything that replaces live."""
    path = bluegreen.json("backup", "--to", "x")["path"]
    bluegreen("protect")
    assert "restore of league needs a confirmation" in refused(bluegreen, "restore", path, live=live).sentence


def manifest(age: float, schema: str = "league", database: str = "d", system: str | None = "7") -> tuple[str, Manifest]:
    """Return a backup that is `age` days old."""
    made = NOON - timedelta(days=age)
    own = Manifest(
        schema=schema, dumped=schema, release=1, database=database, system=system, server="18", made_at=made, files=()
    )
    return f"{schema}-{age}", own


@pytest.mark.parametrize(
    ("settings", "dropped"),
    [
        (config.Backup(), []),
        (config.Backup(keep=2), ["league-3", "league-9"]),
        (config.Backup(days=2.5), ["league-3", "league-9"]),
        (config.Backup(days=0.5), ["league-2", "league-3", "league-9"]),
        (config.Backup(keep=3, days=100), ["league-9"]),
    ],
)
def test_retention_is_by_count_and_age_and_spares_the_newest(settings: config.Backup, dropped: list[str]) -> None:
    """Backups of other schemas, databases and servers in the same directory stay, also those of unknown servers."""
    others = [manifest(50, "other"), manifest(51, database="e"), manifest(52, system="8"), manifest(53, system=None)]
    found = [manifest(9), manifest(1), manifest(3), manifest(2), *others]
    assert backup.select_superfluous(found, backup.Source("7", "d", "league"), settings, NOON) == dropped


def test_backup_of_another_database_is_neither_dropped_nor_restored(
    bluegreen: Bluegreen, live: Live, connection: Connection
) -> None:
    """Two environments may share a directory: each keeps its own backups, and `--force` restores the other's."""
    bluegreen.write("bluegreen.toml", '[backup]\npath = "kept"\nkeep = 1\n')
    own = bluegreen.directory / bluegreen.json("backup")["path"]
    text = (own / "manifest.json").read_text()
    database = connection.info.dbname
    (own / "manifest.json").write_text(text.replace(f'"database": "{database}"', '"database": "production"'))
    for _ in range(2):
        bluegreen("backup")
    assert own.is_dir()
    assert len(list(own.parent.iterdir())) == 2
    said = refused(bluegreen, "restore", str(own), live=live)
    assert said.sentence == f"the backup was made of database production, and this is database {database}"
    bluegreen("restore", str(own), "--force")


def test_damaged_manifest_stops_no_other_backup(bluegreen: Bluegreen, live: Live) -> None:
    """The damaged backup is reported and stays; the others are dropped as the settings say; promote goes on."""
    bluegreen.write("bluegreen.toml", CONFIGURED)
    bluegreen.write("kept/zzz/manifest.json", "{")
    bluegreen.write_league()
    for _ in range(3):
        done = bluegreen("load", "data", "--promote")
    assert "not considered for retention: kept/zzz/manifest.json is damaged" in done.stderr.replace(
        f"{bluegreen.directory}/", ""
    )
    kept = sorted(path.name[:9] for path in (bluegreen.directory / "kept").iterdir())
    assert kept == ["league-r2", "league-r3", "zzz"]
    assert live.dump()


ODD = [
    "players (1)",
    'a "(b',
    "line\nbreak (x)",
    '"\n" FROM stdin;\n',
    "it's; -- $$ /*",
    "Łódź 日本",
    "DATA",
    "\\.",
    "tab\tcr\r",
]


def test_any_name_survives_backup_and_restore(bluegreen: Bluegreen, live: Live, connection: Connection) -> None:
    """Tables, columns and sequences; also tables without a column that COPY could name."""
    for number, name in enumerate(ODD):
        place, other = sql.Identifier("league", name), sql.Identifier(ODD[number - 1])
        connection.execute(sql.SQL("CREATE TABLE {} ({} int, {} text)").format(place, sql.Identifier(name), other))
        connection.execute(sql.SQL("INSERT INTO {} VALUES (1, E'\\\\.'), (2, NULL)").format(place))
        sequence = sql.Identifier("league", f"{name} seq, 7, true);")
        connection.execute(sql.SQL("CREATE SEQUENCE {}").format(sequence))
        connection.execute(sql.SQL("SELECT setval({}, {})").format(sql.Literal(sequence.as_string()), 40 + number))
    connection.execute("CREATE TABLE league.bare (); INSERT INTO league.bare SELECT FROM generate_series(1, 3)")
    connection.execute(
        "CREATE TABLE league.made (a int GENERATED ALWAYS AS (1) STORED); INSERT INTO league.made VALUES (DEFAULT)"
    )
    before = live.dump()
    path = bluegreen.json("backup", "--to", "backups")["path"]
    bluegreen("restore", path, "--promote")
    assert live.dump() == before


def test_schema_may_be_called_as_pg_restore_calls_rows(bluegreen: Bluegreen, connection: Connection) -> None:
    """`TABLE DATA` in a table of contents is a table of schema DATA, or the rows of a table."""
    connection.execute('CREATE SCHEMA "DATA"; CREATE TABLE "DATA".t AS SELECT 1 AS id')
    path = bluegreen.json("backup", "--to", "backups", "--schema", "DATA")["path"]
    bluegreen("restore", path, "--promote", "--schema", "DATA")
    assert connection.execute('SELECT id FROM "DATA".t').fetchall() == [(1,)]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12), unique=True))
def test_a_copy_statement_is_read_whatever_its_names(given_names: list[str]) -> None:
    """As pg_dump writes it, with rows after it that look like its end."""
    names_in_sql = [sql.Identifier(name).as_string() for name in ["league", "t", *given_names]]
    columns = f"({', '.join(names_in_sql[2:])}) " if given_names else " "
    text = f"-- it's\nSET client_encoding = 'UTF8';\nCOPY {names_in_sql[0]}.{names_in_sql[1]} {columns}FROM stdin;\n"
    rows = b'a" FROM stdin;\nCOPY x (y) FROM stdin;\n'
    output = io.BytesIO(text.encode() + rows)
    head = backup_files._skip_head(output)
    assert output.read() == rows
    statement = backup_files._COPY.search(head.decode())
    assert statement is not None
    found = backup_files._IDENTIFIER.findall(statement["columns"] or "")
    assert [sql_scanner.unquote(name) for name in found] == given_names


def test_backup_that_cannot_be_read_back_is_not_made(
    bluegreen: Bluegreen, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is left."""
    monkeypatch.setattr(backup_files, "_COPY", re.compile("never"))
    settings = config.Settings()
    manifest = Manifest(schema="league", dumped="league", release=1, database="d", server="18", made_at=NOON, files=())
    with (
        psycopg.connect(live.dsn, autocommit=True) as connection,
        pytest.raises(errors.BadBackup, match=r"the backup cannot be read back: .* has an entry without rows"),
    ):
        backup_files.write(connection, bluegreen.directory / "b" / "one", manifest, settings, jobs=2)
    assert list((bluegreen.directory / "b").iterdir()) == []


def test_verify_restores_into_a_scratch_database(
    bluegreen: Bluegreen, live: Live, connection: Connection, superuser: Connection
) -> None:
    """Nothing of it is left, older backups are kept if it fails, and what is missing is said."""
    user = sql.Identifier(connection.info.user)
    superuser.execute(sql.SQL("ALTER ROLE {} NOCREATEDB").format(user))
    assert "may not create databases" in bluegreen("backup", "--to", "b", "--verify", code=1).stderr
    superuser.execute(sql.SQL("ALTER ROLE {} CREATEDB").format(user))
    superuser.execute("CREATE TABLE public.countries (code int PRIMARY KEY); INSERT INTO public.countries VALUES (1)")
    superuser.execute("GRANT REFERENCES, SELECT ON public.countries TO PUBLIC")
    connection.execute("ALTER TABLE league.teams ADD code int DEFAULT 1 REFERENCES public.countries")
    bluegreen("backup", "--to", "b", "--verify")
    connection.execute("CREATE TYPE public.outside AS ENUM ('a'); ALTER TABLE league.teams ADD kind public.outside")
    done = bluegreen("backup", "--to", "b", "--verify", code=1)
    assert 'cannot be restored: the server failed: type "public.outside" does not exist' in done.stderr
    databases = superuser.execute("SELECT datname FROM pg_database WHERE datname LIKE 'bluegreen\\_\\_%'").fetchall()
    assert databases == []
