"""SQL in files: every block is used, every name that is used exists, and blocks are cut where they should be."""

import re
from pathlib import Path

import pytest
from psycopg import sql

import bluegreen_etl
from bluegreen_etl import queries

SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in Path(bluegreen_etl.__path__[0]).rglob("*.py"))
USED = set(re.findall(r'(?:queries\.get|_value|look\.row|look\.column)\(\s*(?:connection,\s*)?"([\w.]+)"', SOURCE))
SQL = Path(__file__).parents[2] / "sql"
FILES = sorted(file.stem for file in SQL.glob("*.sql") if file.stem != "ledger")
BLOCKS = {f"{file}.{name}": block for file in FILES for name, block in queries.blocks(file).items()}


def test_every_block_is_used_and_every_use_has_its_block() -> None:
    """Nothing stays behind in the SQL files, and no command fails for a misspelt name."""
    assert set(BLOCKS) == USED


def test_no_name_is_given_twice() -> None:
    """The second block would replace the first in silence."""
    for file in (*FILES, "ledger"):
        text = (SQL / f"{file}.sql").read_text(encoding="utf-8")
        assert len(re.findall(r"^-- name: ", text, re.MULTILINE)) == len(queries.blocks(file))


def test_the_ledger_is_versions_from_one_on() -> None:
    """Each block brings the ledger from one version to the next."""
    names = list(queries.blocks("ledger"))
    assert names == [f"version_{number}" for number in range(1, len(names) + 1)]


@pytest.mark.parametrize("name", BLOCKS)
def test_every_block_is_filled_by_its_places(name: str) -> None:
    """No brace is left over that is not a place, and no place is without a name."""
    block = BLOCKS[name]
    places = set(re.findall(r"(?<!{){(\w+)}", block))
    filled = queries.get(name, **{place: sql.SQL("filled") for place in places}).as_string()
    assert "{filled" not in filled
    assert filled.count("filled") >= len(places)
    assert not block.endswith(";") or "\n" in block  # one statement needs no end


def test_parameters_are_written_as_psycopg_wants_them() -> None:
    """A percent sign that is no parameter would be taken for one."""
    for block in BLOCKS.values():
        assert "%" not in re.sub(r"%\(\w+\)s|%%", "", block)


def test_an_unknown_block_or_a_place_left_empty_is_an_error() -> None:
    """A mistake of ours shows at once, in the first test that comes by."""
    with pytest.raises(KeyError):
        queries.get("catalog.no_such_block")
    with pytest.raises(KeyError):
        queries.get("cutover.count_orphans")
