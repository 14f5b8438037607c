"""Infer the columns of a table from its files: the narrowest types that hold every value, text if there is doubt."""

from collections.abc import Sequence

from bluegreen_etl.model import STDIN, Format, Record, SourceFile
from bluegreen_etl.sources import value_types
from bluegreen_etl.sources.delimited import field_scan
from bluegreen_etl.sources.jsonfiles import element_scan
from bluegreen_etl.sources.peek import Kind, Peek


class InferredColumn(Record, frozen=True, kw_only=True):
    """A column and its inferred PostgreSQL type."""

    name: str
    type: str


def infer(peeks: Sequence[Peek], sources: Sequence[SourceFile] = ()) -> tuple[InferredColumn, ...]:
    """Return the columns of the table that `peeks` belong to, in order of first appearance.

    A sample alone is a guess: the records of `sources` are read to their end, and types are widened until they hold
    every value. Standard input cannot be read twice: its columns are inferred from the sample.

    Raises:
        BadSource: a file cannot be read.
        BadRow: a file is so malformed that the end of a record cannot be found.
    """
    types: dict[str, set[str]] = {}
    for seen in peeks:
        for position, name in enumerate(seen.columns):
            values = {row[position] for row in seen.rows}
            types.setdefault(name, set()).update({seen.types[position]} if seen.types else ())
            types[name].update(_type_of(value, seen.kinds[position]) for value in values if value is not None)
    for source in sources:
        if source.address != (STDIN,) and source.format is not Format.PARQUET:
            delimited = source.format in {Format.CSV, Format.TSV}
            (field_scan if delimited else element_scan).widen(source, types)
    return tuple(InferredColumn(name=name, type=value_types.join(found)) for name, found in types.items())


def _type_of(value: str, kinds: frozenset[Kind]) -> str:
    """Return the narrowest type of a value; `kinds` are those of its whole column."""
    if Kind.NESTED in kinds:
        return value_types.NESTED
    if kinds == {Kind.NUMBER}:
        return value_types.type_of_number(value) or "text"
    if kinds == {Kind.BOOLEAN}:
        return "boolean"
    if kinds == {Kind.STRING}:
        return value_types.type_of_string(value) or "text"
    return value_types.type_of_text(value) if kinds == {Kind.UNKNOWN} else "text"
