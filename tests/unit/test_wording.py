"""Numbers with their nouns, and lists cut short."""

import pytest

from bluegreen_etl.wording import counted, listed


@pytest.mark.parametrize(
    ("number", "noun", "expected"),
    [
        (0, "row", "0 rows"),
        (1, "row", "1 row"),
        (2, "offending row", "2 offending rows"),
        (1, "index", "1 index"),
        (3, "index", "3 indexes"),
        (2, "try", "2 tries"),
        (2, "key", "2 keys"),
        (2, "match", "2 matches"),
    ],
)
def test_noun_agrees_with_its_number(number: int, noun: str, expected: str) -> None:
    """One is singular, everything else is plural."""
    assert counted(number, noun) == expected


def test_long_list_ends_with_the_number_of_the_rest() -> None:
    """A list that fits is shown whole."""
    assert listed(["a", "b"], 2) == "a, b"
    assert listed(["a", "b", "c", "d"], 2) == "a, b and 2 more"
    assert listed([], 2) == ""
