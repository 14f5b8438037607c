"""What is made of Citus' answers, and what it is asked to do: decided without a server."""

import msgspec
import pytest

from bluegreen_etl import citus, config, errors, model, queries
from bluegreen_etl.citus import Kind, Node, Placement
from bluegreen_etl.cutover import steps
from tests.records import release
from tests.unit.test_plan import PLAN, attempt


def asked(
    live: dict[str, Placement],
    wanted: config.Distribute,
    *tables: str,
    whole: bool = False,
    keys: tuple[tuple[str, str], ...] = (),
) -> list[str]:
    """Return the statements for a release's tables, without what all have."""
    own = [model.Table(name=name, columns=()) for name in tables]
    found = citus.statements(release(2), own, live, live, wanted, whole=whole, keys=keys)
    return [each.as_string().removeprefix("SELECT pg_catalog.") for each in found]


def test_live_decides_and_the_settings_where_it_is_silent() -> None:
    """Reference tables come first; a table of live that the coordinator has alone stays so."""
    live = {
        "a b": Placement(table="a b", kind=Kind.HASH, column="id"),
        "alone": Placement(table="alone", kind=Kind.SINGLE),
        "zones": Placement(table="zones", kind=Kind.REFERENCE),
    }
    wanted = config.Distribute(reference=("a b", "new"), hash={"newer": "x"}, shards=8)
    assert asked(live, wanted, "a b", "alone", "new", "newer", "plain", "zones") == [
        'create_reference_table(\'"league__r2"."new"\'::regclass)',
        'create_reference_table(\'"league__r2"."zones"\'::regclass)',
        'create_distributed_table(\'"league__r2"."a b"\'::regclass, \'id\', colocate_with => \'"league"."a b"\')',
        "create_distributed_table('\"league__r2\".\"newer\"'::regclass, 'x', shard_count => 8)",
        'create_distributed_table(\'"league__r2"."alone"\'::regclass, NULL, colocate_with => \'"league"."alone"\')',
    ]
    assert asked({}, wanted, "plain", whole=True) == ["citus_schema_distribute('\"league__r2\"'::regnamespace)"]


def test_tables_come_after_those_that_their_keys_lead_to() -> None:
    """As a program finds them, with all keys: Citus refuses them in any other order, and in a circle altogether."""
    wanted = config.Distribute(reference=("teams",), hash={"goals": "id", "matches": "id", "players": "id"})
    tables = ("goals", "matches", "players", "teams")
    keys = (("goals", "players"), ("players", "teams"), ("players", "strangers"))
    named = [each.split('"."')[1].split('"')[0] for each in asked({}, wanted, *tables, keys=keys)]
    assert named == ["teams", "matches", "players", "goals"]
    with pytest.raises(errors.Refused, match="tables goals, players refer to each other"):
        asked({}, wanted, *tables, keys=(*keys, ("players", "goals")))


@pytest.mark.parametrize(
    ("answer", "sentences"),
    [
        ((3, True, '["league", "league__r1"]'), []),
        ((3, True, "[]"), []),
        (
            (3, True, '["league", "league__r2"]'),
            ["node 3 has schema league__r2, which the coordinator lacks: a node has missed a commit"],
        ),
        ((3, False, "connection\n  refused"), ["node 3 does not answer: connection refused"]),
        ((3, False, None), ["node 3 does not answer: no answer"]),
    ],
)
def test_node_is_in_doubt_that_has_what_the_coordinator_lacks(
    answer: tuple[int, bool, str | None], sentences: list[str]
) -> None:
    """Or that does not answer; what it lacks may be the coordinator's alone."""
    node = citus.parsed(*answer)
    assert isinstance(node, Node)
    assert citus.differences({"league", "league__r1"}, [node]) == sentences


def test_several_nodes_get_statement_by_statement() -> None:
    """Each SET goes along to them; all tables are locked in one statement, which as a whole waits for so long.

    No node may commit before the coordinator's own commit is on disk.
    """
    plan = msgspec.structs.replace(PLAN, distributed=True)
    sent = [step.statement.as_string() for step in steps.steps(plan, attempt(plan, timeout=0.25))]
    assert len([text for text in sent if text.startswith("LOCK TABLE")]) == 1
    place = next(number for number, text in enumerate(sent) if text.startswith("LOCK TABLE"))
    assert sent[:7] == [
        queries.get("citus.send_settings").as_string(),
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
        queries.get("session.flush").as_string(),
        "SET LOCAL search_path = ''",
        "SET LOCAL lock_timeout = '250ms'",
        "SET LOCAL statement_timeout = '5s'",
        "SET LOCAL citus.multi_shard_modify_mode = 'sequential'",
    ]
    assert "SET LOCAL statement_timeout = '250ms'" in sent[:place]
    assert sent[place + 1] == "SET LOCAL statement_timeout = '5s'"
    assert sent[-2] == "COMMIT"
    assert not any("lock_one_by_one" in text or (";\n" in text.strip("; \n") and "DO " not in text) for text in sent)
    [*_, nowait] = [
        text
        for text in (step.statement.as_string() for step in steps.steps(plan, attempt(plan)))
        if "LOCK TABLE" in text
    ]
    assert nowait.endswith(" IN ACCESS EXCLUSIVE MODE NOWAIT")
