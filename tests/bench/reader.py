"""A reader in a closed loop: `reader.py DSN ROWS`; at the end of its input it prints its longest wait and its errors.

A process of its own, so that what it measures is no wait for our own interpreter.
"""

import itertools
import json
import select
import sys
import time

import psycopg

PAUSE = 0.005  # seconds between reads
STATEMENTS = (
    "SELECT total FROM shop.orders WHERE id = %s",
    "SELECT c.name, o.total, i.price FROM shop.items i JOIN shop.orders o ON o.id = i.order_id "
    "JOIN shop.customers c ON c.id = o.customer_id WHERE i.id = %s",
)


def main(dsn: str, rows: int) -> None:
    """Read until the input ends."""
    worst, reads = 0.0, 0
    errors: list[str] = []
    connection = psycopg.connect(dsn, autocommit=True)
    for statement in STATEMENTS:  # what a pool's connection has behind it: catalogs read, pages warm
        connection.execute(statement.encode(), [1])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for number in itertools.count():
        if select.select([sys.stdin], [], [], PAUSE)[0]:
            break
        begun = time.monotonic()
        try:
            row = connection.execute(STATEMENTS[number % 2].encode(), [number * 7919 % rows]).fetchone()
            if row is None:
                errors.append("no row")
        except psycopg.Error as error:
            errors.append(f"{error.sqlstate}: {error}")
            if connection.closed:
                connection = psycopg.connect(dsn, autocommit=True)
        worst = max(worst, time.monotonic() - begun)
        reads += 1
    json.dump({"worst": worst, "reads": reads, "errors": errors}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
