"""Numbers with their nouns, lists cut short, and control characters escaped."""

import json
import unicodedata

import pytest

from bluegreen_etl.wording import counted, listed, printable, printable_json


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


def test_control_characters_are_escaped_and_nothing_else() -> None:
    """All that Unicode calls a control, and all that turns a line round; tab, newline and letters stay."""
    bidi = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    every = [chr(code) for code in range(0x3000)]
    for character in every:
        unsafe = unicodedata.category(character) == "Cc" or unicodedata.bidirectional(character) in bidi
        marks = character in "\u200e\u200f\u061c"
        assert (printable(character) != character) == ((unsafe or marks) and character not in "\t\n"), hex(
            ord(character)
        )
    assert printable("a\x1b[2J\x9b\u202e\tb\n") == "a\\x1b[2J\\x9b\\u202e\tb\n"
    assert json.loads(printable_json(json.dumps("".join(every), ensure_ascii=False))) == "".join(every)
