"""The table that `scripts/bench load` fills, and its rows in every format, from a seed.

A row is put together from its number and from pools of values whose lengths share no factor, so that rows hardly repeat
and millions of them take seconds. All formats are written in one pass over the rows, a block at a time.
"""

import gzip
import importlib
import importlib.util
import json
import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property, partial
from itertools import cycle, islice
from operator import attrgetter
from pathlib import Path
from typing import IO, Any, NamedTuple

COLUMNS = {
    "id": "int",
    "a": "int",
    "b": "int",
    "name": "text",
    "note": "text",
    "created": "timestamp",
    "amount": "numeric",
    "flag": "boolean",
    "score": "float8",
    "code": "text",
    "city": "text",
    "ref": "int",
}
FORMATS = ("csv", "csv.gz", "csv.zst", "ndjson", "json", "parquet")
BLOCK = 128 * 1024  # rows written at a time, and in a row group of Parquet
WORDS = ("lorem", "ipsum", "dolor", "sit", "amet", "consectetur", "adipiscing", "elit", "sed", "do", "eiusmod")
BEGUN = datetime(2020, 1, 1)  # noqa: DTZ001 - the column has no time zone
_OBJECT = "{" + ", ".join(f'"{name}": %s' for name in COLUMNS) + "}"

Writer = Callable[["Block"], object]


class Pool:
    """Values that the rows take in turn, and their texts in CSV and in JSON."""

    def __init__(self, values: Iterable[object]) -> None:
        self.values = list(values)
        self.csv = [_csv_text(value) for value in self.values]
        self.json = [str(value) if isinstance(value, Decimal) else json.dumps(value) for value in self.values]


class Pools:
    """A pool for each column that does not follow from the row's number; the last three outlast a row group."""

    def __init__(self, rows: int) -> None:
        chance = random.Random(20)

        def pool(size: int, value: Callable[[int], object]) -> Pool:
            return Pool(value(number) for number in range(min(size, rows)))

        self.flag = Pool([False, True])
        self.city = pool(499, lambda number: f"City {number}")
        self.a = pool(4093, lambda _: chance.randrange(1000))
        self.b = pool(8191, lambda _: chance.randrange(10**6))
        self.amount = pool(32749, lambda _: Decimal(chance.randrange(10**6)).scaleb(-2))
        self.score = pool(196613, lambda number: chance.random() if number % 5 else None)
        self.code = pool(262139, lambda _: f"{chance.getrandbits(32):08x}")
        self.note = pool(262147, lambda number: _note(chance, number))


class Form(NamedTuple):
    """How a format wants its values."""

    of_pool: Callable[[Pool], list[Any]]
    number: Callable[[int], Any]
    text: Callable[[str], Any]
    moment: Callable[[datetime], Any]
    null: object


IN_CSV = Form(attrgetter("csv"), str, str, datetime.isoformat, "")
IN_JSON = Form(attrgetter("json"), str, '"{}"'.format, lambda moment: f'"{moment.isoformat()}"', "null")
AS_VALUES = Form(attrgetter("values"), int, str, lambda moment: moment, None)


class Block:
    """Rows that follow each other, made into text once for all formats that share it."""

    def __init__(self, pools: Pools, begin: int, end: int) -> None:
        self._pools = pools
        self._numbers = range(begin, end)
        self.first = begin == 0

    def columns(self, form: Form) -> list[list[Any]]:
        """Return the rows column by column, in the table's order."""

        def take(pool: Pool) -> list[Any]:
            values = form.of_pool(pool)
            start = self._numbers.start % len(values)
            return list(islice(cycle(values), start, start + len(self._numbers)))

        pools, numbers = self._pools, self._numbers
        return [
            [form.number(number) for number in numbers],
            take(pools.a),
            take(pools.b),
            [form.text(f"name {number}") for number in numbers],
            take(pools.note),
            [form.moment(BEGUN + timedelta(seconds=number)) for number in numbers],
            take(pools.amount),
            take(pools.flag),
            take(pools.score),
            take(pools.code),
            take(pools.city),
            [form.null if number % 3 else form.number(number) for number in numbers],
        ]

    @cached_property
    def csv(self) -> bytes:
        """The rows as lines of CSV, the header before the first of all."""
        lines = map(",".join, zip(*self.columns(IN_CSV), strict=True))
        header = ",".join(COLUMNS) + "\n" if self.first else ""
        return (header + "\n".join(lines) + "\n").encode()

    @cached_property
    def objects(self) -> list[str]:
        """The rows as objects of JSON."""
        return list(map(_OBJECT.__mod__, zip(*self.columns(IN_JSON), strict=True)))

    @property
    def ndjson(self) -> bytes:
        """The rows as lines of NDJSON."""
        return ("\n".join(self.objects) + "\n").encode()

    @property
    def array(self) -> bytes:
        """The rows as a part of an array of JSON, which is still open at its end."""
        return (("[\n" if self.first else ",\n") + ",\n".join(self.objects)).encode()


def write(directory: Path, rows: int, formats: Sequence[str]) -> None:
    """Write the rows as t.csv, t.csv.gz, t.parquet, …: the CSV in any case, as the reference."""
    pools = Pools(rows)
    with ExitStack() as stack:
        writers = [_writer(stack, directory / f"t.{name}", name) for name in dict.fromkeys(["csv", *formats])]
        for begin in range(0, rows, BLOCK):
            block = Block(pools, begin, min(rows, begin + BLOCK))
            for writer in writers:
                writer(block)


def missing(name: str) -> str | None:
    """Return the package that a format cannot be written without, if it is not there."""
    if name == "csv.zst":
        return None if _zstd() else "zstandard"
    return "pyarrow" if name == "parquet" and not importlib.util.find_spec("pyarrow") else None


_OPENERS: dict[str, Callable[[Path], Any]] = {
    "csv.gz": partial(gzip.open, mode="wb", compresslevel=6),
    "csv.zst": lambda path: importlib.import_module(_zstd() or "").open(path, "wb"),
}


def _writer(stack: ExitStack, path: Path, name: str) -> Writer:
    if name == "parquet":
        return _parquet_writer(stack, path)
    file: IO[bytes] = stack.enter_context(_OPENERS.get(name, partial(open, mode="wb"))(path))
    if name == "json":
        stack.callback(lambda: file.write(b"\n]\n"))
    part = {"ndjson": attrgetter("ndjson"), "json": attrgetter("array")}.get(name, attrgetter("csv"))
    return lambda block: file.write(part(block))


def _parquet_writer(stack: ExitStack, path: Path) -> Writer:
    """Return a writer of row groups; by module name, because pyarrow is no dependency and its types are its own."""
    arrow: Any = importlib.import_module("pyarrow")
    types = {
        "int": arrow.int32(),
        "text": arrow.string(),
        "timestamp": arrow.timestamp("us"),
        "numeric": arrow.decimal128(9, 2),
        "boolean": arrow.bool_(),
        "float8": arrow.float64(),
    }
    schema = arrow.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    parquet: Any = importlib.import_module("pyarrow.parquet")
    file = stack.enter_context(parquet.ParquetWriter(path, schema, compression="zstd"))

    def write(block: Block) -> None:
        arrays = [arrow.array(v, field.type) for v, field in zip(block.columns(AS_VALUES), schema, strict=True)]
        file.write_batch(arrow.record_batch(arrays, schema=schema), row_group_size=BLOCK)

    return write


def _zstd() -> str | None:
    """Return the module that writes zstd here: the package's, or Python 3.14's own."""
    return next((name for name in ("zstandard", "compression.zstd") if _importable(name)), None)


def _importable(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is missing
        return False


def _note(chance: random.Random, number: int) -> str:
    words = " ".join(chance.choices(WORDS, k=6))
    return f'{words}, "quoted"\nand a second line' if number % 7 == 0 else words


def _csv_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n') else text
