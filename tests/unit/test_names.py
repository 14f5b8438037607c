"""Names of schemas and identifiers."""

import tomllib

import pytest

from bluegreen_etl import errors, names


@pytest.mark.parametrize(
    ("live", "number", "shadow"),
    [("league", 42, "league__r42"), ("Łódź", 1, "Łódź__r1"), ("a b", 7, "a b__r7"), ("x" * 59, 1, "x" * 59 + "__r1")],
)
def test_a_release_lies_under_a_name_of_its_own(live: str, number: int, shadow: str) -> None:
    """The shadow's name is the live name with the release's number, whatever letters it holds."""
    assert names.shadow_schema(live, number) == shadow


@pytest.mark.parametrize(("live", "number"), [("x" * 60, 1), ("x" * 59, 10), ("ł" * 30, 1)])
def test_a_name_that_postgresql_would_cut_is_refused(live: str, number: int) -> None:
    """63 bytes, not letters, are the limit; the hint says how much room there is."""
    with pytest.raises(errors.UsageError) as caught:
        names.shadow_schema(live, number)
    assert caught.value.hint == f"Choose a schema name of at most {63 - len(f'__r{number}')} bytes."


@pytest.mark.parametrize(
    "name", ["", "a\0b", "pg_catalog", "pg_league", "information_schema", "bluegreen", "x" * 60, "ł" * 30]
)
def test_a_reserved_or_impossible_live_schema_is_refused(name: str) -> None:
    """Neither PostgreSQL's own schemas nor the ledger can be replaced."""
    with pytest.raises(errors.UsageError):
        names.check_live_schema(name)


@pytest.mark.parametrize("name", ["league", "public", "x" * 59, "My League", "Łódź", "pgleague"])
def test_any_other_live_schema_is_accepted(name: str) -> None:
    """Quoting is no reason to refuse a name."""
    names.check_live_schema(name)


@pytest.mark.parametrize(
    ("parts", "shown"),
    [
        (("league",), "league"),
        (("league", "teams"), "league.teams"),
        (("League",), '"League"'),
        (("a b", "c"), '"a b".c'),
        (('say "hi"',), '"say ""hi"""'),
        (("1st",), '"1st"'),
        (("łódź",), '"łódź"'),
    ],
)
def test_an_identifier_is_quoted_only_where_it_must_be(parts: tuple[str, ...], shown: str) -> None:
    """Messages show names as a person would write them in SQL."""
    assert names.quoted(*parts) == shown


@pytest.mark.parametrize("name", ["name", "a-b_1", "park.key", "two words", 'say "hi"', "back\\slash", "łódź", ""])
def test_a_toml_key_reads_back_as_the_name(name: str) -> None:
    """A hint that shows a line for bluegreen.toml can be pasted."""
    assert tomllib.loads(f"{names.toml_key(name)} = 1") == {name: 1}
