"""SQL in files: every block is used, every name that is used exists, and blocks are cut where they should be."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg import sql

import bluegreen_etl
from bluegreen_etl import queries

PACKAGE = Path(bluegreen_etl.__path__[0])
SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
# Modules that run blocks, with the arguments before the block's name: a connection and a type, at most.
_CALLS = r"(?:queries|activity|look)\.(?:get|value|column|records|query|sessions|row)"
USED = set(re.findall(rf'{_CALLS}\(\s*(?:[\w.\[\],\s]*,\s*)?"([\w]+\.[\w]+)"', SOURCE))
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
    """Each block migrates the ledger from one version to the next."""
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


def test_parameters_are_written_as_psycopg_requires() -> None:
    """A percent sign that is no parameter would be taken for one."""
    for block in BLOCKS.values():
        assert "%" not in re.sub(r"%\(\w+\)s|%%", "", block)


def test_an_unknown_block_or_a_place_left_empty_is_an_error() -> None:
    """A mistake of ours shows at once, in the first test that comes by."""
    with pytest.raises(KeyError):
        queries.get("catalog.no_such_block")
    with pytest.raises(KeyError):
        queries.get("cutover.count_orphans")


# ---- SQL in Python

_QUERY = re.compile(r"\s*(SELECT|WITH|INSERT INTO|UPDATE|DELETE FROM|DECLARE)\b")
_COMMAND = re.compile(
    r"\s*(ALTER|ANALYZE|BEGIN|CLUSTER|COMMENT ON|COMMIT|COPY|CREATE|DO|DROP|EXPLAIN|GRANT|LOCK|REFRESH|RESET|REVOKE|"
    r"ROLLBACK|SET|SHOW|TRUNCATE|VACUUM)\b"
)
# How many queries a module may hold itself, and why. Everything else is in sql/.
QUERIES_IN_PYTHON = {
    "checks/builtin.py": (2, "the text of a check, as users write them in files"),
    "checks/declared.py": (5, "checks put together from columns and rules of bluegreen.toml"),
    "checks/failure_tables.py": (1, "around a user's query"),
    "checks/runner.py": (4, "around a user's query"),
    "citus.py": (4, "calls of Citus that distribute a table"),
    "cli/demo.py": (1, "shown to the reader"),
    "commands/diff.py": (1, "counts one table"),
    "commands/doctor.py": (2, "hints, and a question for a pooler"),
    "commands/restore.py": (1, "calls setval with values of a backup"),
    "cutover/pgbouncer_pause.py": (1, "asks for the time"),
    "cutover/steps.py": (2, "asks for the time within the swap"),
    "db.py": (5, "asks a server that may not be PostgreSQL what it is"),
    "releases/lost_columns.py": (1, "looks for values in the columns that a file lacks"),
    "releases/plan.py": (1, "reads a setting"),
    "report/diff.py": (1, "a message"),
    "shadow/sql_scripts.py": (1, "sets a variable for a user's script"),
    "shadow/structure.py": (1, "sets the search path of a user's DDL"),
    "shadow/transform.py": (2, "sets the search path of a user's SQL, and counts a table"),
}
HINTS = {"commands/doctor.py", "server_support.py"}
COMMANDS_IN_PYTHON = 115  # of one line, about a name that is computed: fewer is better


def literals() -> Iterator[tuple[str, str]]:
    """Yield every string literal of the package that is no docstring, with its module."""
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found = list(ast.walk(tree))
        left_out = {id(node.value) for node in found if isinstance(node, ast.Expr)}
        # What follows in an f-string is no beginning.
        left_out |= {id(part) for node in found if isinstance(node, ast.JoinedStr) for part in node.values[1:]}
        for node in found:
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in left_out:
                yield path.relative_to(PACKAGE).as_posix(), node.value


def test_queries_are_in_sql_files() -> None:
    """A query in a Python literal is an exception with a reason, and no reason outlives its query."""
    found = Counter(module for module, text in literals() if _QUERY.match(text))
    allowed = {module: most for module, (most, _reason) in QUERIES_IN_PYTHON.items()}
    assert {module: count for module, count in found.items() if count > allowed.get(module, 0)} == {}


def test_commands_in_python_do_not_grow() -> None:
    """One-line commands about computed names may stay in Python; longer SQL belongs in sql/."""
    found = [text for _module, text in literals() if _COMMAND.match(text)]
    assert len(found) <= COMMANDS_IN_PYTHON


@pytest.mark.parametrize("path", sorted(SQL.rglob("*.sql")), ids=lambda path: path.stem)
def test_sql_that_is_sent_is_ascii(path: Path) -> None:
    """Comments are sent too, and a database in LATIN1 has no equivalent of an ellipsis."""
    assert path.read_text(encoding="utf-8").isascii()


def test_sql_in_python_is_ascii() -> None:
    """The same for what is put together in Python; doctor's hints begin with commands, and are not sent."""
    statements = {
        text for module, text in literals() if _QUERY.match(text) or _COMMAND.match(text) if module not in HINTS
    }
    assert [text for text in statements if not text.isascii()] == []
