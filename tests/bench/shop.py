"""The three tables of `scripts/bench job`: their SQL, step by step, and their files from a seed."""

import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

BEGUN = datetime(2020, 1, 1)  # noqa: DTZ001 - the column has no time zone
STATES = ("new", "paid", "sent", "returned")
BLOCK = 100_000

TABLES = {
    "customers": "id int NOT NULL, name text NOT NULL, email text NOT NULL, city text, joined date NOT NULL",
    "orders": (
        "id int NOT NULL, customer_id int NOT NULL, placed timestamp NOT NULL, state text NOT NULL, "
        "total numeric(9,2) NOT NULL, note text"
    ),
    "items": (
        "id int NOT NULL, order_id int NOT NULL, product int NOT NULL, quantity int NOT NULL, "
        "price numeric(9,2) NOT NULL, sku text NOT NULL"
    ),
}
KEYS = (
    "ALTER TABLE {0}.customers ADD PRIMARY KEY (id)",
    "ALTER TABLE {0}.orders ADD PRIMARY KEY (id)",
    "ALTER TABLE {0}.items ADD PRIMARY KEY (id)",
)
INDEXES = (
    "CREATE INDEX orders_customer ON {0}.orders (customer_id)",
    "CREATE INDEX orders_placed ON {0}.orders (placed)",
    "CREATE INDEX items_order ON {0}.items (order_id)",
    "CREATE INDEX items_sku ON {0}.items (sku)",
)
FOREIGN_KEYS = (
    "ALTER TABLE {0}.orders ADD FOREIGN KEY (customer_id) REFERENCES {0}.customers",
    "ALTER TABLE {0}.items ADD FOREIGN KEY (order_id) REFERENCES {0}.orders",
)
# Each is a SELECT of offending rows, as bluegreen has it.
CHECKS = {
    "email_has_an_at": "SELECT id FROM customers WHERE email NOT LIKE '%@%'",
    "state_is_known": "SELECT id FROM orders WHERE state NOT IN ('new', 'paid', 'sent', 'returned')",
    "order_after_joining": (
        "SELECT o.id FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.placed < c.joined"
    ),
    "quantity_is_positive": "SELECT id FROM items WHERE quantity <= 0",
    "price_within_total": "SELECT i.id FROM items i JOIN orders o ON o.id = i.order_id WHERE i.price > o.total + 10000",
}


def small(rows: int) -> int:
    """Return the number of customers where the other two tables have so many rows."""
    return max(rows // 6, 1)


def write(directory: Path, rows: int) -> None:
    """Write one CSV file for each table, and one SQL file for each check below `checks/`."""
    chance = random.Random(20)
    cities = [f"City {number}" for number in range(499)]
    notes = [" ".join(chance.choices(("lorem", "ipsum", "dolor", "sit", "amet"), k=6)) for _ in range(8191)]
    cents = [f"{chance.randrange(10**6) / 100:.2f}" for _ in range(32749)]
    customers = small(rows)

    def customer(n: int) -> str:
        return f"{n},name {n},name{n}@example.org,{cities[n % 499]},2019-{n % 12 + 1:02d}-01\n"

    def order(n: int) -> str:
        placed = (BEGUN + timedelta(seconds=n * 7)).isoformat()
        return f"{n},{n * 7919 % customers},{placed},{STATES[n % 4]},{cents[n % 32749]},{notes[n % 8191]}\n"

    def item(n: int) -> str:
        return f"{n},{n * 104729 % rows},{n * 31 % 9973},{n % 9 + 1},{cents[n * 3 % 32749]},{n * 65537 % 9999991:08x}\n"

    for name, count, line in (("customers", customers, customer), ("orders", rows, order), ("items", rows, item)):
        with (directory / f"{name}.csv").open("w", encoding="utf-8") as file:
            file.write(",".join(part.split()[0] for part in TABLES[name].replace("(9,2)", "").split(", ")) + "\n")
            file.writelines(_blocks(count, line))
    (directory / "checks").mkdir()
    for name, select in CHECKS.items():
        (directory / "checks" / f"{name}.sql").write_text(select + "\n", encoding="utf-8")


def script(directory: Path, schema: str) -> str:
    """Return the careful way as a script for psql: fresh tables, COPY FREEZE, keys, indexes, statistics."""
    parts = [f"CREATE SCHEMA {schema}"]
    for name, columns in TABLES.items():
        create = f"CREATE TABLE {schema}.{name} ({columns})"
        # Created in the same transaction, so that rows may be frozen and their pages are known to be visible.
        parts += ["BEGIN", create, _copy(directory, schema, name, "FREEZE"), "COMMIT"]
    parts += [statement.format(schema) for statement in (*KEYS, *INDEXES, *FOREIGN_KEYS)]
    return _joined([*parts, *_analyze(schema)])


def checked(schema: str) -> str:
    """Return the checks as a script that fails where one finds a row."""
    raising = "DO $$ BEGIN IF EXISTS ({}) THEN RAISE EXCEPTION '{}'; END IF; END $$"
    checks = [raising.format(select, name) for name, select in CHECKS.items()]
    return _joined([f"SET search_path = {schema}", *checks])


def swap(old: str, new: str) -> str:
    """Return the swap with locks, as careful people write it: tables in the order in which readers take them."""
    names = ", ".join(f"{old}.{name}" for name in reversed(TABLES))
    renames = [f"ALTER SCHEMA {old} RENAME TO {old}_old", f"ALTER SCHEMA {new} RENAME TO {old}"]
    return _joined(["BEGIN", f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE", *renames, "COMMIT"])


def in_place(directory: Path, schema: str) -> str:
    """Return the old way: truncate and fill the live tables, indexes and all, and check them, in one transaction."""
    # In the order in which readers lock them: in any other, TRUNCATE and a join of all three deadlock now and then.
    names = ", ".join(f"{schema}.{name}" for name in reversed(TABLES))
    copies = [_copy(directory, schema, name) for name in TABLES]
    begun = _joined(["BEGIN", f"TRUNCATE {names}", *copies])
    return begun + checked(schema) + _joined(["COMMIT", *_analyze(schema)])


def _copy(directory: Path, schema: str, name: str, *options: str) -> str:
    return f"\\copy {schema}.{name} FROM '{directory}/{name}.csv' ({', '.join(['FORMAT csv', 'HEADER', *options])})"


def _analyze(schema: str) -> list[str]:
    return [f"ANALYZE {schema}.{name}" for name in TABLES]


def _joined(statements: list[str]) -> str:
    return "".join(one + ("\n" if one.startswith("\\") else ";\n") for one in statements)


def _blocks(count: int, line: Callable[[int], str]) -> Iterator[str]:
    """Yield the lines by the block: writing each alone takes longer than making it."""
    for begin in range(0, count, BLOCK):
        yield "".join(map(line, range(begin, min(count, begin + BLOCK))))
