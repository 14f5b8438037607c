"""The floor of `bluegreen load`: `dealt.py FILE DSN JOBS` deals a CSV file out to COPY, and does nothing else.

No structure, no digest, no statistics, no checks, no ledger: what bluegreen takes longer is what all that costs.
"""

import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import psycopg

BLOCK_SIZE = 1 << 18
SENT_AHEAD = 1 << 20


def main(path: Path, dsn: str, jobs: int) -> None:
    """Copy the file into bench.t over so many connections."""
    with path.open("rb") as file:
        file.readline()  # the header
        blocks, guard = _blocks(file), threading.Lock()
        threads = [threading.Thread(target=_copy, args=(dsn, blocks, guard)) for _ in range(jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _copy(dsn: str, blocks: Iterator[bytes], guard: threading.Lock) -> None:
    with psycopg.connect(dsn) as connection, connection.cursor() as cursor:
        with socket.socket(fileno=os.dup(connection.fileno())) as own:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENT_AHEAD)
        with cursor.copy("COPY bench.t FROM STDIN (FORMAT csv)") as copy:
            while True:
                with guard:
                    block = next(blocks, None)
                if block is None:
                    return
                copy.write(block)


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    """Yield whole records: up to a line end with an even number of quotes before it."""
    rest = b""
    while more := file.read(BLOCK_SIZE):
        text = rest + more
        end, inside = len(text), text.count(b'"') % 2
        while True:
            begin = text.rfind(b"\n", 0, end)
            inside ^= text.count(b'"', begin, end) % 2
            if not inside:
                break
            end, inside = text.rfind(b'"', 0, begin), 0
        yield text[: begin + 1]
        rest = text[begin + 1 :]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
