"""Which column types are proposed for which values."""

import pytest

from bluegreen_etl.sources.inference import InferredColumn, infer
from bluegreen_etl.sources.peek import Kind, Peek


def peeked(*values: str | None, kind: Kind = Kind.UNKNOWN, name: str = "x") -> Peek:
    return Peek(columns=(name,), rows=tuple((value,) for value in values), kinds=(frozenset({kind}),))


def type_of(*values: str | None, kind: Kind = Kind.UNKNOWN) -> str:
    [column] = infer([peeked(*values, kind=kind)])
    return column.type


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "-2", "0", None], "integer"),
        (["2147483647", "-2147483648"], "integer"),
        (["1", "2147483648"], "bigint"),
        (["-9223372036854775808"], "bigint"),
        (["9223372036854775808"], "numeric"),
        (["1", "9" * 5000], "numeric"),
        (["1.10", "2"], "numeric"),
        ([".5", "-0.5"], "numeric"),
        (["1e-07"], "double precision"),
        (["E51"], "text"),
        (["1", "0.25", "1E+5"], "double precision"),
        (["1e5", "0.123456789012345678"], "numeric"),
        (["1e5", "9007199254740993"], "numeric"),
        (["1e400"], "numeric"),
        (["1e-400"], "numeric"),
        (["0e-400"], "double precision"),
        (["1e5", "0.12345678901234567"], "numeric"),
        (["1e5", "0.30000000000000004"], "double precision"),
        (["01234", "12345"], "text"),
        (["+49301234"], "text"),
        (["1,5"], "text"),
        ([" 1"], "text"),
        (["١"], "text"),
        (["NaN"], "text"),
        (["true", "False", "TRUE"], "boolean"),
        (["t", "f"], "boolean"),
        (["T", "F"], "text"),
        (["0", "1"], "integer"),
        (["yes", "no"], "text"),
        (["2024-02-29"], "date"),
        (["2024-02-30"], "text"),
        (["20240229"], "integer"),
        (["2024-W01-1"], "text"),
        (["2024-02-29 12:30", "2024-02-29T12:30:01.5"], "timestamp"),
        (["2024-02-29", "2024-02-29T12:30:01"], "timestamp"),
        (["2024-02-29T12:30:01Z", "2024-02-29 12:30:01+05:30"], "timestamp with time zone"),
        (["2024-02-29T12:30:01", "2024-02-29T12:30:01Z"], "text"),
        (["2024-02-29T12:30:01.123456789"], "text"),
        (["2024-02-29T1230"], "text"),
        (["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"], "uuid"),
        (["{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", "a0eebc999c0b4ef8bb6d6bb9bd380a11"], "text"),
        (['{"a": 1}', "[]"], "jsonb"),
        (["{a}"], "text"),
        (["1", "true"], "text"),
        (["1", "x"], "text"),
        (["", "1"], "text"),
        ([None, None], "text"),
        ([], "text"),
    ],
)
def test_narrowest_type_that_holds_all_values(values: list[str | None], expected: str) -> None:
    """From text, as CSV has it, without losing what the text says."""
    assert type_of(*values) == expected


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (Kind.STRING, "123", "text"),
        (Kind.STRING, "true", "text"),
        (Kind.STRING, "{}", "text"),
        (Kind.STRING, "2024-02-29", "date"),
        (Kind.STRING, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "uuid"),
        (Kind.NUMBER, "123", "integer"),
        (Kind.NUMBER, "1.10", "numeric"),
        (Kind.BOOLEAN, "true", "boolean"),
        (Kind.NESTED, "[1]", "jsonb"),
    ],
)
def test_json_says_itself_what_a_value_is(kind: Kind, value: str, expected: str) -> None:
    """A string stays text, whatever it looks like, except what JSON can only write as a string."""
    assert type_of(value, kind=kind) == expected


def test_kinds_that_do_not_go_together_are_text() -> None:
    """Numbers and strings in one column."""
    mixed = Peek(columns=("x",), rows=(("1",), ("2",)), kinds=(frozenset({Kind.NUMBER, Kind.STRING}),))
    assert infer([mixed]) == (InferredColumn(name="x", type="text"),)


def test_columns_of_all_files_are_joined() -> None:
    """In order of first appearance, each with a type for the values of all files."""
    first = Peek(columns=("a", "b"), rows=(("1", "x"),), kinds=(frozenset({Kind.UNKNOWN}),) * 2)
    second = Peek(columns=("c", "a"), rows=(("true", "5000000000"),), kinds=(frozenset({Kind.UNKNOWN}),) * 2)
    assert infer([first, second]) == (
        InferredColumn(name="a", type="bigint"),
        InferredColumn(name="b", type="text"),
        InferredColumn(name="c", type="boolean"),
    )
