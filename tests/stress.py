"""Run the torn-read storm for a given time: `scripts/stress --seconds 600`; exit 1 if a reader saw a fault."""

import itertools
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import click
import psycopg
from psycopg import conninfo, sql
from tabulate import tabulate

from bluegreen_etl import errors, model
from tests import servers
from tests.concurrency import scene
from tests.concurrency.storm import IN_ORDER, Storm, Tally, readers


@click.command()
@click.option("--seconds", type=click.FloatRange(min=1), default=60, show_default=True, help="How long to swap.")
@click.option("--readers", "count", type=click.IntRange(1), default=len(IN_ORDER), show_default=True, help="Processes.")
@click.option("--tables", type=click.IntRange(1, 99), default=20, show_default=True, help="Tables in one statement.")
@click.option("--postgres", type=int, default=18, show_default=True, help="Major version of the server.")
@click.option("--without-locks", is_flag=True, help="Leave the locks out, to see that the storm can tell.")
def main(seconds: float, count: int, tables: int, postgres: int, without_locks: bool) -> None:
    """Swap two releases back and forth while readers read, one process each; styles are assigned in turn."""
    styles = Counter(itertools.islice(itertools.cycle(IN_ORDER), count))
    with _database(postgres) as dsn, tempfile.TemporaryDirectory() as directory:
        scene.generations(dsn, Path(directory), tables=tables)
        with readers(dsn, styles, tables=tables) as storm:
            cutovers, not_obtained = _swap(dsn, seconds, locks=not without_locks)
    _report(storm, cutovers, not_obtained)
    sys.exit(any(storm.damage))


def _swap(dsn: str, seconds: float, *, locks: bool) -> tuple[Sequence[model.Cutover], int]:
    """Swap until the time is over; return the number of swaps and of lock timeouts."""
    surroundings = scene.context(dsn)
    deadline = time.monotonic() + seconds
    cutovers: list[model.Cutover] = []
    not_obtained = 0
    while time.monotonic() < deadline:
        try:
            plan = scene.exchange_plan(surroundings)
            cutovers.append(scene.carry_out(surroundings, plan if locks else scene.unlocked(plan)))
        except errors.LockNotObtained:
            not_obtained += 1
    return cutovers, not_obtained


def _report(storm: Storm, cutovers: Sequence[model.Cutover], not_obtained: int) -> None:
    held = sorted(cutover.held for cutover in cutovers if cutover.held is not None) or [0.0]
    tries = sum(cutover.tries for cutover in cutovers)
    tallies = sorted(storm.tallies, key=lambda tally: tally.style)
    click.echo(
        tabulate([_row(tally) for tally in tallies], ["reader", "reads", "mixed", "empty", "errors", "worst ms"])
    )
    click.echo(
        f"{len(cutovers)} swaps in {tries} tries, {not_obtained} given up; "
        f"held {held[len(held) // 2] * 1000:.1f} ms (median), {held[-1] * 1000:.1f} ms (worst)"
    )
    for error in sorted({error for tally in tallies for error in tally.errors})[:10]:
        click.echo(error, err=True)


def _row(tally: Tally) -> tuple[object, ...]:
    return tally.style, tally.reads, tally.mixed, tally.empty, len(tally.errors), round(tally.worst * 1000, 1)


@contextmanager
def _database(major: int) -> Iterator[str]:
    """Yield the DSN of a fresh database: on the server of BLUEGREEN_TEST_DSN, or on a new server."""
    if given := os.environ.get("BLUEGREEN_TEST_DSN"):
        name = sql.Identifier(f"stress_{uuid4().hex[:12]}")
        with psycopg.connect(given, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
            try:
                yield conninfo.make_conninfo(given, dbname=name.as_string().strip('"'))
            finally:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
        return
    with servers.place() as directory, servers.running(major, directory / "server") as server:
        yield server.dsn


if __name__ == "__main__":
    main()
