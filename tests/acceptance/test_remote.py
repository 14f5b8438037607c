"""Files by URL, from a web server: loaded like others, and without a word of what is secret in the URL."""

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import TupleRow

from tests.acceptance.refusals import refused
from tests.support import PLAYERS, TEAMS, Bluegreen, Live
from tests.web import Page, serving

PAGES: dict[str, Page | bytes] = {"/data/teams.csv": TEAMS.encode(), "/data/players.csv": PLAYERS.encode()}
INDEX = b'<a href="teams.csv">teams.csv</a> <a href="players.csv">players.csv</a>'


def ledger(connection: psycopg.Connection[TupleRow]) -> str:
    """Return all that the ledger holds, as text."""
    tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'bluegreen'").fetchall()
    queries = [sql.SQL("SELECT t::text FROM bluegreen.{} t").format(sql.Identifier(table)) for (table,) in tables]
    return "\n".join(row[0] for query in queries for row in connection.execute(query).fetchall())


def test_urls_are_loaded_like_files(bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]) -> None:
    """Files, and directories and globs where the server lists them."""
    with serving({**PAGES, "/data/": INDEX}) as web:
        for data in (["data/teams.csv", "data/players.csv"], ["data/"], ["data/*.csv"]):
            done = bluegreen.json("load", *(f"{web.url}/{each}" for each in data), "--promote")
            assert {table["table"]: table["rows"] for table in done["loaded"]["tables"]} == {"players": 3, "teams": 2}
    assert connection.execute("SELECT count(*) FROM league.players").fetchone() == (3,)


def test_settings_name_urls(bluegreen: Bluegreen, live: Live) -> None:
    """URLs work next to local files; secrets come from the environment."""
    bluegreen.write("teams.csv", TEAMS)
    with serving({"/export": PLAYERS.encode()}) as web:
        bluegreen.write(
            "bluegreen.toml",
            f'[sources]\npaths = ["teams.csv"]\n'
            f'[tables.players]\nfiles = ["{web.url}/export?key=${{KEY}}"]\nformat = "csv"\n',
        )
        bluegreen("load", KEY="sesame")
        assert "GET /export?key=sesame" in web.requests


def test_secrets_of_a_url_are_shown_nowhere(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """Neither when all goes well nor in an error, not even with --debug, nor in the ledger."""
    bluegreen.write("teams.csv", TEAMS)
    said = []
    broken = b"id,team_id,name\n1,one,Ann\n"
    pages = {**PAGES, "/broken/players.csv": broken, "/cut/players.csv": Page(PLAYERS.encode() * 9, cut=99)}
    with serving(pages) as web:
        url = web.url.replace("//", "//me:sesame@")
        for options in (["--dry-run"], ["--dry-run", "--json"], ["--json"], []):
            done = bluegreen("load", "teams.csv", f"{url}/data/players.csv?key=sesame", *options)
            said.append(done.stdout + done.stderr)
        for place in ("broken", "cut", "none"):
            done = bluegreen("load", "teams.csv", f"{url}/{place}/players.csv?key=sesame", "--debug", code=1)
            assert f"{web.url}/{place}/players.csv" in done.stderr
            said.append(done.stdout + done.stderr)
        done = bluegreen("load", "teams.csv", f"{url}/data/players.csv?key=sesame")
        said.append(done.stdout + done.stderr)
    said.append(bluegreen("history").stdout)
    text = ledger(connection)
    assert f"{web.url}/data/players.csv" in text
    assert "sesame" not in text + "".join(said)


def test_bad_row_is_named_by_its_line(bluegreen: Bluegreen, live: Live) -> None:
    """In the file that the URL stands for."""
    bluegreen.write("teams.csv", TEAMS)
    with serving({"/players.csv": b"id,team_id,name\n1,1,Ann\n2,two,Zo\n"}) as web:
        said = refused(bluegreen, "load", "teams.csv", f"{web.url}/players.csv", live=live)
    assert said.sentence.startswith(f"{web.url}/players.csv, line 3, column team_id: ")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("none.csv", "cannot be read: 404 Not Found"),
        ("closed.csv", "cannot be read: 403 Forbidden"),
        ("cut.csv", "cannot be read to its end: the connection was lost"),
        ("empty.csv", "is empty"),
    ],
)
def test_what_cannot_be_fetched_is_refused(bluegreen: Bluegreen, live: Live, path: str, reason: str) -> None:
    """In one sentence, before anything is written or after."""
    pages: dict[str, Page | bytes] = {
        "/closed.csv": Page(b"", status=403),
        "/cut.csv": Page(b"id,name\n" + b"1,Ajax\n" * 1_000_000, cut=5_000_000),
        "/empty.csv": b"",
    }
    with serving(pages) as web:
        url = f"{web.url}/{path}"
        bluegreen.write("bluegreen.toml", f'[tables.teams]\nfiles = ["{url}"]\n')
        bluegreen.write("players.csv", PLAYERS)
        said = refused(bluegreen, "load", "players.csv", live=live)
    assert said.sentence == f"{url} {reason}"


def test_server_that_is_not_there_is_refused(bluegreen: Bluegreen, live: Live) -> None:
    """The operating system's own words."""
    with serving({}) as web:
        pass
    said = refused(bluegreen, "load", f"{web.url}/teams.csv", live=live)
    assert said.sentence == f"{web.url}/teams.csv cannot be read: Connection refused"


def test_missing_package_is_named(bluegreen: Bluegreen, live: Live) -> None:
    """Each storage has its own; fsspec knows which."""
    said = refused(bluegreen, "load", "s3://bucket/teams.csv", live=live)
    assert said.sentence == "s3://bucket/teams.csv needs a package that is not installed"
    assert said.hint == "Install s3fs to access S3."


def test_redirect_to_another_host_is_reported(bluegreen: Bluegreen, live: Live) -> None:
    """The data come from somebody else than the address says; a redirect within the host is nothing to report."""
    bluegreen.write("players.csv", PLAYERS)
    with serving(PAGES) as other, serving({"/teams.csv": Page(b"", location=f"{other.url}/data/teams.csv")}) as web:
        said = bluegreen("load", "players.csv", f"{web.url}/teams.csv").stderr
        host, there = (each.url.removeprefix("http://") for each in (web, other))
        assert said.count(f"{host} redirects to another host: the data come from {there}\n") == 1
        web.pages |= {"/teams.csv": Page(b"", location="/data/teams.csv"), **dict(other.pages)}
        assert "redirects" not in bluegreen("load", "players.csv", f"{web.url}/teams.csv").stderr


def test_redirect_to_another_scheme_is_refused(bluegreen: Bluegreen, live: Live) -> None:
    """From one that is encrypted to one that is not, everybody on the way could change the data."""
    with serving({"/teams.csv": Page(b"", location="ftp://other.example/teams.csv")}) as web:
        said = refused(bluegreen, "load", f"{web.url}/teams.csv", live=live)
        assert "redirects to ftp://other.example" in said.sentence
