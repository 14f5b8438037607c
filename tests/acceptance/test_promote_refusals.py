"""Promote and rollback where they must refuse: wrong release, changed live, something that would be lost."""

import re

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.acceptance.refusals import refused
from tests.support import TEAMS, Bluegreen, Live, needs_extension


def load(bluegreen: Bluegreen, count: int = 1) -> None:
    """Load the small league so many times: releases 2, 3, … next to the adopted release 1."""
    bluegreen.write_league()
    for _ in range(count):
        bluegreen("load", "data")


def statuses(bluegreen: Bluegreen) -> dict[int, str]:
    """Return the status of each release."""
    return {release["number"]: release["status"] for release in bluegreen.json("status")["releases"]}


# ---- which release


def test_command_on_a_schema_without_releases_is_refused(bluegreen: Bluegreen, live: Live) -> None:
    """Nothing was ever loaded: most likely a wrong schema or database."""
    before = live.dump()
    for command in ("promote", "rollback", "prune", "diff"):
        assert refused(bluegreen, command).sentence.endswith(" has no release of schema league")
    assert live.dump() == before


def test_promote_refuses_where_nothing_is_ready(bluegreen: Bluegreen, live: Live) -> None:
    """Also right after a promote: the newest ready release is live already."""
    load(bluegreen)
    bluegreen("promote")
    said = refused(bluegreen, "promote", live=live)
    assert said.sentence == "no release of league is ready to be promoted"


def test_promote_refuses_unknown_failed_live_and_pruned_releases(bluegreen: Bluegreen, live: Live) -> None:
    """Each with its status, and a failed one with its reason."""
    bluegreen.write_league(teams="id,name\n1,Ajax\n1,Ajax\n")
    bluegreen("load", "data", code=1)
    said = refused(bluegreen, "promote", "99", live=live)
    assert said.sentence == "schema league has no release 99"
    said = refused(bluegreen, "promote", "2", live=live)
    assert said.sentence.startswith(
        "release 2 of league is failed and cannot be promoted: duplicate key in table teams"
    )
    said = refused(bluegreen, "promote", "1", live=live)
    assert said.sentence == "release 1 of league is live and cannot be promoted"
    bluegreen("prune")
    said = refused(bluegreen, "promote", "2", live=live)
    assert said.sentence.startswith("release 2 of league is pruned and cannot be promoted")


def test_rollback_refuses_before_the_first_promote(bluegreen: Bluegreen, live: Live) -> None:
    """A ready release is not something to go back to."""
    load(bluegreen)
    said = refused(bluegreen, "rollback", live=live)
    assert said.sentence == "release 1 of league cannot be rolled back: it replaced no release"
    said = refused(bluegreen, "rollback", "--to", "2", live=live)
    assert said.sentence == "release 2 of league is ready and cannot be rolled back to"


def test_second_rollback_refuses_and_names_what_is_kept(bluegreen: Bluegreen, live: Live) -> None:
    """It must not swing back to the release that was just taken out."""
    load(bluegreen)
    bluegreen("promote")
    bluegreen("rollback")
    said = refused(bluegreen, "rollback", live=live)
    assert said.sentence == "release 1 of league cannot be rolled back: it replaced no release"
    assert "Name a kept release with `--to`: 2." in said.hint
    bluegreen("rollback", "--to", "2")
    assert bluegreen.json("status")["live"] == 2


def test_rollback_to_a_pruned_release_is_refused(bluegreen: Bluegreen, live: Live) -> None:
    """What was dropped cannot come back, by number or by default."""
    load(bluegreen)
    bluegreen("promote")
    bluegreen("prune", "--keep", "0")
    said = refused(bluegreen, "rollback", "--to", "1", live=live)
    assert said.sentence == "release 1 of league is pruned and cannot be rolled back to"
    said = refused(bluegreen, "rollback", live=live)
    assert said.sentence == "release 2 of league cannot be rolled back: release 1 is pruned"


# ---- live is not what it was


def test_release_loaded_before_another_went_live_conflicts(bluegreen: Bluegreen, live: Live) -> None:
    """Two loads saw the same live; after the first promote the second would silently undo it."""
    load(bluegreen, 2)
    bluegreen("promote", "2")
    said = refused(bluegreen, "promote", "3", code=5, live=live)
    assert said.sentence == "release 2 is live, which is not what the load of release 3 saw"
    assert "--force" in said.hint
    bluegreen("promote", "3", "--force")
    assert bluegreen.json("status")["live"] == 3


def test_newer_promote_drops_the_older_release_that_was_ready(bluegreen: Bluegreen, live: Live) -> None:
    """Release 2 is superseded once release 3 is live, and says so."""
    load(bluegreen, 2)
    bluegreen("promote", "3")
    assert statuses(bluegreen) == {1: "previous", 2: "pruned", 3: "live"}
    said = refused(bluegreen, "promote", "2", live=live)
    assert said.sentence == "release 2 of league is pruned and cannot be promoted"


def test_live_replaced_by_hand_conflicts(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """Somebody restored a dump over live between load and promote: their work is not thrown away."""
    load(bluegreen)
    connection.execute(
        "DROP SCHEMA league CASCADE; CREATE SCHEMA league; CREATE TABLE league.restored AS SELECT 1 AS x"
    )
    said = refused(bluegreen, "promote", code=5, live=live)
    assert said.sentence == "schema league is not the one that the ledger says is live: it was replaced by hand"
    assert bluegreen.json("status")["drifted"] is True
    refused(bluegreen, "rollback", live=live)
    refused(bluegreen, "promote", "--force", "--dry-run", code=5, live=live)
    before = live.dump()
    assert statuses(bluegreen) == {1: "live", 2: "ready"}
    assert "lacks what live has: table restored" in refused(bluegreen, "promote", "--force", live=live).sentence
    bluegreen("promote", "--force", "--allow-drop")
    bluegreen("rollback")
    assert live.dump() == before


def test_live_dropped_by_hand_conflicts(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """A live schema that is gone is no reason to guess; with --force the release takes its place."""
    load(bluegreen)
    connection.execute("DROP SCHEMA league CASCADE")
    assert refused(bluegreen, "promote", code=5).sentence.startswith("schema league is not the one")
    bluegreen("promote", "--force")
    assert connection.execute("SELECT count(*) FROM league.teams").fetchone() == (2,)


def test_release_whose_schema_was_dropped_by_hand_is_refused(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """A shadow that is gone must not become live; prune clears it from the ledger."""
    load(bluegreen)
    connection.execute("DROP SCHEMA league__r2 CASCADE")
    said = refused(bluegreen, "promote", code=5, live=live)
    assert "the release's schema is not where the ledger says" in said.sentence


# ---- what would be lost or is in the way


def test_outside_object_that_cannot_follow_is_named(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """A column elsewhere whose type is live's would keep that of the old release."""
    connection.execute("CREATE TYPE league.mood AS ENUM ('fine')")
    load(bluegreen)
    connection.execute("CREATE SCHEMA app; CREATE TABLE app.tickets (mood league.mood)")
    before = live.dump("app")
    said = refused(bluegreen, "promote", live=live)
    assert "app.tickets" in said.sentence
    assert live.dump("app") == before


def test_outside_view_that_the_release_cannot_serve_is_refused(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """A view elsewhere reads a column that the new release lacks: refused by name, live and view unchanged."""
    connection.execute("CREATE SCHEMA app; CREATE VIEW app.names AS SELECT id, name FROM league.teams")
    bluegreen.write("data/teams.csv", "id,title\n1,Ajax\n")
    bluegreen("load", "data", "--structure", "files")
    before = live.dump("app")
    said = refused(bluegreen, "promote", "--allow-drop", live=live)
    # Before 18 the server writes teams.name into the view.
    assert re.match(
        'a dependent of league cannot be re-created: column ("name"|teams.name) does not exist, '
        "in CREATE OR REPLACE VIEW app.names AS ",
        said.sentence,
    )
    assert live.dump("app") == before


def test_outside_foreign_key_that_the_release_cannot_serve_is_refused(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """A favourite team that the new release lacks, or no teams at all: refused by name."""
    connection.execute("CREATE SCHEMA app; CREATE TABLE app.favourites (team int REFERENCES league.teams)")
    connection.execute("INSERT INTO app.favourites VALUES (1), (2)")
    bluegreen.write_league(teams="id,name\n1,Ajax\n", players="id,team_id,name\n1,1,Ann\n")
    bluegreen("load", "data")
    said = refused(bluegreen, "promote", live=live)
    assert said.sentence == (
        "1 rows of app.favourites refer to rows of teams that the release does not have "
        "(foreign key favourites_team_fkey)"
    )
    bluegreen.write("other/cups.csv", "id\n1\n")
    bluegreen("load", "other", "--structure", "files")
    said = refused(bluegreen, "promote", live=live)
    assert said.sentence == (
        "the release does not have teams (id), which foreign key favourites_team_fkey of app.favourites refers to"
    )


def test_extension_in_the_live_schema_is_refused(
    bluegreen: Bluegreen, live: Live, superuser: psycopg.Connection[TupleRow]
) -> None:
    """It would leave with the old release and be dropped with it; known before anything is written."""
    needs_extension(superuser, "citext")
    superuser.execute("CREATE EXTENSION citext SCHEMA league")
    bluegreen.write_league()
    said = refused(bluegreen, "load", "data", live=live)
    assert said.sentence == "extension citext is installed in schema league, and the new release would not have it"
    assert said.hint == "Move it: `ALTER EXTENSION citext SET SCHEMA public;`"
    superuser.execute("ALTER EXTENSION citext SET SCHEMA public")
    bluegreen("load", "data")
    superuser.execute("ALTER EXTENSION citext SET SCHEMA league")
    said = refused(bluegreen, "promote", live=live)
    assert said.sentence == "extension citext is installed in schema league, and the new release would not have it"


@pytest.mark.parametrize("number", [1, 2])
def test_foreign_schema_under_a_name_that_a_release_needs_is_refused(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow], number: int
) -> None:
    """It is somebody's, so it is neither dropped nor taken."""
    connection.execute(f"CREATE SCHEMA league__r{number}; CREATE TABLE league__r{number}.mine ()".encode())
    bluegreen.write_league()
    said = refused(bluegreen, "load", "data", live=live)
    assert said.sentence == f"schema league__r{number} already exists, and bluegreen did not create it"
    connection.execute(f"SELECT FROM league__r{number}.mine".encode())


def test_load_that_leaves_a_table_out_does_not_lose_it(bluegreen: Bluegreen, live: Live) -> None:
    """A table of live that the release lacks is named before its data are out of sight."""
    bluegreen.write("data/teams.csv", TEAMS)
    bluegreen("load", "data", "--structure", "files")
    differences = bluegreen.json("diff")["differences"]
    assert [(d["table"], d["what"], d["release"]) for d in differences if d["what"] == "table"] == [
        ("players", "table", None)
    ]
