"""JSON and NDJSON through COPY give exactly what the server's own json_populate_record gives."""

import json
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.rows import TupleRow

from bluegreen_etl import catalog, errors
from bluegreen_etl.sources.discovery import discover
from bluegreen_etl.sources.readers import open_reader

Connection = psycopg.Connection[TupleRow]

COLUMNS = {
    "id": "integer",
    "big": "bigint",
    "n": "numeric",
    "price": "numeric(30,2)",
    "f": "double precision",
    "b": "boolean",
    "t": "text",
    "a name, not plain": "character varying(40)",
    "c": "character(5)",
    "d": "date",
    "ts": "timestamp without time zone",
    "tz": "timestamp with time zone",
    "u": "uuid",
    "mood": "mood",
    "j": "json",
    "jb": "jsonb",
    "ia": "integer[]",
    "ta": "text[]",
    "na": "numeric[]",
    "ja": "json[]",
    "jba": "jsonb[]",
    "boxes": "box[]",
    "place": "place",
    "places": "place[]",
    "home": "home",
}
TYPES = """
    CREATE TYPE mood AS ENUM ('happy', 'so, "so"');
    CREATE TYPE place AS (x integer, "a name, not plain" text, tags text[], j json, mood mood);
    CREATE DOMAIN somewhere AS place;
    CREATE TYPE home AS (at somewhere, visited place[], n numeric);
"""

# ---- JSON as text, so that everything that means the same can be written in every way


def _escaped(letter: str) -> str:
    units = letter.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02X}" for i in range(0, len(units), 2))


LETTERS = st.one_of(
    st.sampled_from('"\\/\b\f\n\r\t\x1f\x7f,{}[]:;.nrtbfu \u2028é€😀'),
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
)


@st.composite
def strings(draw: st.DrawFn, letters: st.SearchStrategy[str] = LETTERS) -> str:
    """A JSON string, its letters escaped at will."""
    written = []
    for letter in draw(st.lists(letters, max_size=8)):
        short = json.dumps(letter, ensure_ascii=False)[1:-1]
        slash = ["\\/"] if letter == "/" else []
        written.append(draw(st.sampled_from([short, _escaped(letter), *slash])))
    return '"' + "".join(written) + '"'


def quoted(*texts: str) -> st.SearchStrategy[str]:
    """One of the texts as a JSON string, or null."""
    return st.sampled_from([json.dumps(text) for text in texts] + ["null"])


INTEGERS = st.one_of(
    st.integers(-(1 << 31), (1 << 31) - 1).map(str), st.sampled_from(['"7"', "null", "-0", '"\\u0031"'])
)
NUMBERS = st.one_of(
    st.from_regex(r"-?(0|[1-9][0-9]{0,24})(\.[0-9]{1,24})?([eE][+-]?[0-9]{1,2})?", fullmatch=True),
    st.sampled_from(["null", "1e400", "-0.0", "1.10", '"1.10"', "12345678901234567890.12345678901234567890"]),
)
BLANKS = st.sampled_from(["", " ", "  ", "\t"])


@st.composite
def arrays(draw: st.DrawFn, items: st.SearchStrategy[str]) -> str:
    """A JSON array of one or two dimensions, the inner ones of equal length."""
    blank = draw(BLANKS)
    if draw(st.booleans()):
        return "[" + f"{blank},".join(draw(st.lists(items, max_size=3))) + blank + "]"
    width = draw(st.integers(0, 2))
    rows = draw(
        st.lists(st.lists(items.filter(lambda item: item != "null"), min_size=width, max_size=width), max_size=3)
    )
    return "[" + ",".join(blank + "[" + ",".join(row) + "]" for row in rows) + "]"


@st.composite
def objects(draw: st.DrawFn, items: st.SearchStrategy[str]) -> str:
    """A JSON object, whose keys may repeat."""
    blank = draw(BLANKS)
    members = draw(st.lists(st.tuples(strings(), items), max_size=3))
    return "{" + ",".join(f"{blank}{key}{blank}:{value}{blank}" for key, value in members) + "}"


@st.composite
def composites(draw: st.DrawFn, fields: dict[str, st.SearchStrategy[str]]) -> str:
    """A JSON object of some fields of a type, and seldom of another key."""
    names = draw(st.lists(st.sampled_from([*fields, "stranger"]), max_size=len(fields)))
    members = [f"{json.dumps(name)}:{draw(fields.get(name, st.just('1')))}" for name in names]
    return draw(st.sampled_from(["null", "{" + ",".join(members) + "}"]))


SCALARS = st.one_of(strings(), NUMBERS, st.sampled_from(["true", "false", "null"]))
ANYTHING = st.recursive(SCALARS, lambda items: st.one_of(arrays(items), objects(items)), max_leaves=6)

PLACES = st.one_of(
    composites(
        {
            "x": INTEGERS,
            "a name, not plain": ANYTHING,
            "tags": arrays(SCALARS),
            "j": ANYTHING,
            "mood": quoted("happy", 'so, "so"'),
        }
    ),
    st.sampled_from(['"(1,\\"a, b\\",{},,happy)"', '"(,,,,)"']),
)
VALUES: dict[str, st.SearchStrategy[str]] = {
    "id": INTEGERS,
    "big": st.one_of(st.integers(-(1 << 63), (1 << 63) - 1).map(str), st.just("null")),
    "n": NUMBERS,
    "price": st.sampled_from(["1.005", "1", '"3"', "null", "12345678901234567890.125", "1e5"]),
    "f": st.one_of(st.floats(allow_nan=False, allow_infinity=False).map(json.dumps), quoted("NaN", "-Infinity")),
    "b": st.sampled_from(["true", "false", "null", '"t"', '"no"', "1", "0"]),
    "t": ANYTHING,
    "a name, not plain": strings(),
    "c": st.sampled_from(['"a"', '"abcde"', '""', "null", "12", "true"]),
    "d": quoted("2024-02-29", "infinity", "0044-03-15 BC"),
    "ts": quoted("2024-02-29T12:00:00.123456", "2024-02-29 24:00", "-infinity"),
    "tz": quoted("2024-02-29T12:00:00Z", "2024-02-29 12:00:00.5+05:30"),
    "u": quoted("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "{a0eebc999c0b4ef8bb6d6bb9bd380a11}"),
    "mood": quoted("happy", 'so, "so"'),
    "j": ANYTHING,
    "jb": ANYTHING,
    "ia": st.one_of(arrays(INTEGERS), st.sampled_from(["null", '"{1,NULL}"', "[[],[]]", "[[]]", '"[0:1]={1,2}"'])),
    "ta": st.one_of(arrays(SCALARS), arrays(ANYTHING), st.sampled_from(["null", '"{a,\\"b c\\",NULL}"', '["NULL"]'])),
    "na": arrays(NUMBERS),
    "ja": arrays(ANYTHING),
    "jba": arrays(ANYTHING),
    "boxes": arrays(st.just('"(1,2),(0,0)"')),
    "place": PLACES,
    "places": arrays(PLACES),
    "home": composites({"at": PLACES, "visited": arrays(PLACES), "n": NUMBERS}),
}


@st.composite
def records(draw: st.DrawFn) -> str:
    """An object of some columns, in any order; a key may repeat, and may be written with escapes."""
    names = draw(st.lists(st.sampled_from(list(COLUMNS)), max_size=8))
    blank = draw(BLANKS)
    members = []
    for name in names:
        key = draw(st.sampled_from([json.dumps(name), '"' + "".join(map(_escaped, name)) + '"']))
        members.append(f"{key}{blank}:{blank}{draw(VALUES[name])}")
    return "{" + f"{blank},".join(members) + blank + "}"


# ---- the two ways


@pytest.fixture
def table(connection: Connection) -> Connection:
    """A table with a column of each type that JSON is put into."""
    connection.execute(TYPES)
    columns = [sql.SQL("{} ").format(sql.Identifier(name)) + sql.SQL(kind) for name, kind in COLUMNS.items()]
    connection.execute(sql.SQL("CREATE TABLE hostile ({})").format(sql.SQL(", ").join(columns)))
    connection.execute("SET TimeZone = 'Asia/Kolkata'")
    return connection


def by_server(connection: Connection, texts: Sequence[str]) -> list[str] | None:
    """What json_populate_record makes of each record; None when it refuses one."""
    try:
        return [
            row[0]
            for text in texts
            for row in connection.execute(
                "SELECT whole::text FROM json_populate_record(NULL::hostile, %s::json) whole", [text]
            )
        ]
    except psycopg.DataError:
        return None


def by_copy(connection: Connection, path: Path, block_size: int | None) -> list[str] | None:
    """What COPY makes of the file; None when the reader or the server refuses it."""
    connection.execute("TRUNCATE hostile")
    [columns] = [found.columns for found in catalog.tables(connection, _oid(connection)) if found.name == "hostile"]
    try:
        [source] = discover([str(path)], tables={})
        reader = open_reader(source, columns, block_size=block_size)
        options = reader.copy_options
        statement = sql.SQL(
            "COPY hostile ({}) FROM STDIN (FORMAT csv, DELIMITER {}, QUOTE {}, ESCAPE {}, NULL {}, ENCODING {})"
        ).format(
            sql.SQL(", ").join(map(sql.Identifier, reader.columns)),
            *map(sql.Literal, (options.delimiter, options.quote, options.escape, options.null, options.encoding)),
        )
        with connection.cursor().copy(statement) as copy:
            for block in reader.blocks():
                copy.write(block.data)
    except (errors.BadRow, psycopg.DataError):
        return None
    return [row[0] for row in connection.execute("SELECT whole::text FROM hostile whole ORDER BY ctid")]


def _oid(connection: Connection) -> int:
    row = connection.execute("SELECT 'public'::regnamespace::oid::bigint").fetchone()
    assert row
    return int(row[0])


def written(directory: Path, texts: Sequence[str], *, lines: bool) -> Path:
    """Write the records as NDJSON or as one array."""
    path = directory / ("hostile.ndjson" if lines else "hostile.json")
    text = "\n".join(texts) if lines else "[" + ",\n ".join(texts) + "]\n"
    path.write_bytes(text.encode())
    return path


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(records(), min_size=1, max_size=4), lines=st.booleans(), block_size=st.sampled_from([None, 1, 100])
)
def test_copied_json_is_what_the_server_makes_of_it(
    table: Connection, tmp_path: Path, texts: list[str], lines: bool, block_size: int | None
) -> None:
    """Whatever the values and however they are written, both ways give the same rows, or both refuse."""
    path = written(tmp_path, texts, lines=lines)
    assert by_copy(table, path, block_size) == by_server(table, texts)


@pytest.mark.parametrize("lines", [True, False])
@pytest.mark.parametrize(
    "text",
    [
        '{"n": 12345678901234567890.12345678901234567890, "t": 1.10}',
        '{"n": 1e400, "t": 1e400}',
        '{"big": 9223372036854775807, "n": 123456789012345678901234567890}',
        '{"id": 1, "id": 2, "t": 3, "t": "last"}',
        '{"j": null, "jb": null, "ta": null, "t": null}',
        '{"j": {"b": 1.10,  "a": [1, 2], "b": "\\u0041"}, "jb": {"b": 1.10, "b": 2}}',
        '{"j": "a \\u0022string\\u0022 \\/", "jb": "12"}',
        '{"t": {"a":  [1.10, "\\u0041\\n"]}}',
        '{"t": [[1, 2], {"a": "]"}]}',
        '{"t": "\\"quoted\\", back\\\\slash\\\\n, line\\nend, \\ud83d\\ude00 \\u00e9"}',
        '{"t": "\\\\."}',
        '{"t": "null"}',
        '{"t": ""}',
        '{"t": ",[{"}',
        '{"ta": ["a", null, "null", "NULL", "", "{}", "a\\"b\\\\c", 1.10, true, {"x": 1}, [2]]}',
        '{"ta": [["a"], ["\\""]], "ia": [[1, 2], [3, 4]]}',
        '{"ta": [], "ia": [[]], "na": [[[]]]}',
        '{"ta": [null, [1, 2]]}',
        '{"ja": [{"a": 1.10}, "text", null, 1.10], "jba": [[1], ["x"]]}',
        '{"boxes": ["(1,2),(0,0)", null]}',
        '{"place": {"x": 7, "a name, not plain": "(\\"a\\", \\\\)", "tags": ["a,b", null], "j": {"a": 1.10}, "?": 1}}',
        '{"place": {}, "places": [{"x": 1}, null, {"a name, not plain": ""}], "home": {"n": 1.10}}',
        '{"place": "(1,two,\\"{3}\\",,happy)", "home": {"at": "(1,,,,)", "visited": [{"tags": ["x"]}]}}',
        '{"b": "yes", "f": 1e-7, "c": "a"}',
        "{}",
    ],
)
def test_known_hard_cases_are_exact(table: Connection, tmp_path: Path, text: str, lines: bool) -> None:
    """The cases on which other loaders round, lose or change a value."""
    expected = by_server(table, [text])
    assert expected is not None
    assert by_copy(table, written(tmp_path, [text], lines=lines), None) == expected


@pytest.mark.parametrize(
    "text",
    [
        '{"t": "\\u0000"}',
        '{"j": {"a": ["\\u0000"]}}',
        '{"t": "\\ud800"}',
        '{"j": {"a": "\\udc00"}}',
        '{"id": 1.0}',
        '{"id": 2147483648}',
        '{"ia": 1}',
        '{"ia": {}}',
        '{"ia": [1, [2]]}',
        '{"ia": [[1], [2, 3]]}',
        '{"ia": [[1], null]}',
        '{"id": [1]}',
        '{"f": 1e400}',
        '{"place": [1]}',
        '{"place": 1}',
        '{"places": {"x": 1}}',
        '{"place": {"x": "one"}}',
        '{"home": {"at": {"mood": "cross"}}}',
    ],
)
def test_what_the_server_refuses_is_refused(table: Connection, tmp_path: Path, text: str) -> None:
    """No value that json_populate_record refuses is loaded as something else."""
    assert by_server(table, [text]) is None
    assert by_copy(table, written(tmp_path, [text], lines=True), None) is None
