"""A parallel pg_dump survives swaps and dropped releases: nothing queues behind a transaction that lasts."""

import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import psycopg
from psycopg.rows import TupleRow

from bluegreen_etl import client_programs, errors, ledger
from bluegreen_etl.commands import prune
from bluegreen_etl.releases import drop
from tests.concurrency import scene
from tests.support import Bluegreen, Live

Connection = psycopg.Connection[TupleRow]
TABLES = 24
ROWS = 2000
ROUNDS = 4


def test_parallel_dump_survives_a_swap(dsn: str, tmp_path: Path, connection: Connection) -> None:
    """Its workers lock each table NOWAIT when they come to it: the swap polls until the dump has ended."""
    scene.generations(dsn, tmp_path, tables=TABLES)
    for number in range(1, TABLES + 1):
        rows = f"INSERT INTO league.t{number:02} SELECT n, 1 FROM generate_series(2, {ROWS}) AS n"  # noqa: S608
        connection.execute(rows.encode())
    connection.execute("SELECT pg_stat_force_next_flush()")
    program = client_programs.client_program("pg_dump", server_major=connection.info.server_version // 10000)
    directory = tmp_path / "dump"
    arguments: list[str | Path] = [program, "--format=directory", f"--file={directory}", "--jobs=2", "--dbname", dsn]
    surroundings = scene.context(dsn)
    for _ in range(ROUNDS):
        shutil.rmtree(directory, ignore_errors=True)
        with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, start_new_session=True) as dump:
            scene.wait_until(lambda: len(scene.sessions(connection, "application_name = 'pg_dump'")) == 3)
            os.killpg(dump.pid, signal.SIGSTOP)
            swapping = threading.Thread(target=scene.exchange, args=(surroundings,))
            swapping.start()
            time.sleep(0.8)  # past the attempts that never wait
            os.killpg(dump.pid, signal.SIGCONT)
            _, stderr = dump.communicate(timeout=60)
        assert (dump.returncode, stderr) == (0, "")
        swapping.join(timeout=30)
    assert len(ledger.cutovers(connection, "league")) == ROUNDS


def test_release_that_a_transaction_reads_for_long_is_not_waited_for(
    bluegreen: Bluegreen, live: Live, dsn: str, connection: Connection
) -> None:
    """Prune never queues: its tables, and an outside table of its key, can always be locked NOWAIT."""
    connection.execute("CREATE TABLE public.users (id int PRIMARY KEY); ALTER TABLE league.teams ADD owner int")
    connection.execute("ALTER TABLE league.teams ADD CONSTRAINT owned FOREIGN KEY (owner) REFERENCES public.users")
    connection.execute("SELECT pg_stat_force_next_flush()")
    bluegreen.write_league()
    bluegreen("load", "data")
    refused: list[str] = []
    for read in ("public.users", "league__r2.teams"):
        with scene.holding(dsn, f"SELECT FROM {read}"), psycopg.connect(dsn, autocommit=True) as worker:
            time.sleep(0.6)
            pruning = threading.Thread(target=lambda: refused.extend(drop_release(dsn)))
            pruning.start()
            while pruning.is_alive():
                with worker.transaction():
                    worker.execute(f"LOCK TABLE {read} IN ACCESS SHARE MODE NOWAIT".encode())
                time.sleep(0.003)
    assert [text.partition(" cannot be dropped now")[0] for text in refused] == ["schema league__r2"] * 2
    assert prune.prune(scene.context(dsn), keep=0).refused == {}


def drop_release(dsn: str) -> list[str]:
    """Try to drop release 2; return the message of the refusal."""
    server = scene.context(dsn).server
    with server.connect("prune league") as connection:
        try:
            drop.drop_release(server, connection, ledger.find(connection, "league", 2))
        except errors.LockNotObtained as error:
            return [error.message]
    return []
