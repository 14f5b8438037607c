"""Control characters of data reach no terminal, no file for people, and not the texts of the ledger."""

import json
import re
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.support import TEAMS, Bluegreen, Live

# Sets a window's title, clears the screen, is red; C1's CSI; deletes; turns the rest of the line round.
EVIL = "\x1b]0;OWNED\x07\x1b[2J\x1b[31m\x9b2J\x7f\u202e2"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.mark.parametrize("form", ["text", "json"])
def test_value_of_a_file_is_escaped_in_messages_and_in_the_ledger(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow], form: str
) -> None:
    """The value of the bad row is in the error, and in what `status` and `history` show later."""
    bluegreen.write_league(teams=f"id,name\n{EVIL},Ajax\n")
    said = bluegreen("load", "data", "--log-format", form, code=1).stderr
    shown = [said, *(bluegreen(command).stdout for command in ("status", "history", "report"))]
    assert [CONTROL.findall(text) for text in shown] == [[], [], [], []]
    assert "1b]0;OWNED" in said
    texts = connection.execute("SELECT failure FROM bluegreen.release UNION ALL SELECT detail FROM bluegreen.event")
    assert CONTROL.findall(" ".join(text for (text,) in texts if text)) == []


def test_names_and_offending_rows_are_escaped_in_tables_and_pages(bluegreen: Bluegreen, live: Live) -> None:
    """A check's name, and a value that it finds, in a table, JUnit XML and HTML."""
    bluegreen.write_league(teams=TEAMS + f'3,"{EVIL}"\n')
    bluegreen.write("checks/a\x9bname.sql", "SELECT name FROM teams WHERE id = 3")
    done = bluegreen("load", "data", "--checks", "checks", "--junit", "checks.xml", code=3)
    bluegreen("report", "--html", "page.html")
    texts = [
        done.stdout,
        done.stderr,
        *(Path(bluegreen.directory, name).read_text() for name in ("checks.xml", "page.html")),
    ]
    assert [CONTROL.findall(text) for text in texts] == [[], [], [], []]
    assert all("\\x9b" in text for text in (texts[0], *texts[2:]))


def test_json_keeps_the_value(bluegreen: Bluegreen, live: Live) -> None:
    """An escape of JSON's own stands for each of them, so that a program reads what the file holds."""
    bluegreen.write_league(teams=TEAMS + f'3,"{EVIL}"\n')
    bluegreen.write("checks/a.sql", "SELECT name FROM teams WHERE id = 3")
    written = bluegreen("load", "data", "--checks", "checks", "--json", code=3).stdout
    assert CONTROL.findall(written) == []
    assert json.loads(written)["checks"][-1]["sample"] == [[EVIL]]


def test_script_for_psql_keeps_names(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """Into a pipe, `promote --dry-run` writes names as they are: an escaped one would name another object."""
    connection.execute('CREATE VIEW public."seen\x9b" AS SELECT id FROM league.teams')
    bluegreen.write_league()
    bluegreen("load", "data")
    assert 'seen\x9b"' in bluegreen("promote", "--dry-run").stdout
