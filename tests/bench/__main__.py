"""`scripts/bench`: loads side by side, as ratios to psql. docs/performance.md says how to read them."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench import checks, data, job, load, measure, report, server, small, ways

CORES = min(os.cpu_count() or 1, 8)


def main(arguments: Sequence[str]) -> None:
    """Run one mode on a server of its own."""
    given = parsed(arguments)
    with server.running(fsync=not given.no_fsync) as running:
        play(given, running)


def play(given: argparse.Namespace, running: server.Server) -> None:
    """Run one mode, write the table to stdout, and JSON where it is wanted."""
    try:
        document = _measured(given, running)
    except measure.Failed as error:
        sys.exit(f"bench: the reference failed: {error}")
    sys.stdout.write(report.table(document) + "\n")
    if given.json:
        given.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    if any(entry["error"] for entry in document["results"]):
        sys.exit("bench: not every way could be measured")


def _measured(given: argparse.Namespace, running: server.Server) -> dict[str, Any]:
    if given.mode == "job":
        return job.measured(running, given.rows, given.rounds, given.jobs, given.ways)
    if given.mode == "checks":
        return checks.measured(running, given.rows, given.rounds, given.jobs, given.ways)
    if given.mode == "small":
        return small.measured(running, given.rows, given.rounds, given.jobs, given.ways)
    if given.long:
        return load.measured_long(running, given.rows, given.long, given.formats[0], given.jobs, given.ways)
    return load.measured(running, given.rows, given.rounds, given.formats, given.jobs, given.ways)


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options; without a mode it is one table, and a question for help is for all modes."""
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in {"-h", "--help"}):
        arguments = ["load", *arguments]
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.mode == "load" and given.long and len(given.formats) != 1:
        parser.error("--long takes one format at a time")
    return given


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    modes = parser.add_subparsers(dest="mode", required=True, metavar="load|job|small|checks")
    one = _mode(modes.add_parser("load", help="one table, every way and format"), 3_000_000, 3, [1, 2], ways.NAMES)
    one.add_argument("--formats", nargs="+", default=["csv"], choices=data.FORMATS)
    one.add_argument("--long", type=int, metavar="N", help="memory for a file N times longer, instead of times")
    _mode(modes.add_parser("job", help="three tables up to the swap, under readers"), 3_000_000, 3, [CORES], job.NAMES)
    _mode(modes.add_parser("small", help="twenty small tables"), 10_000, 5, [CORES], small.NAMES)
    thirty = modes.add_parser("checks", help="thirty checks of one table, in one scan and one by one")
    _mode(thirty, 3_000_000, 3, [1, CORES], checks.NAMES)
    return parser


def _mode(
    parser: argparse.ArgumentParser, rows: int, rounds: int, jobs: Sequence[int], names: Sequence[str]
) -> argparse.ArgumentParser:
    """Add the options that all modes have, with a mode's own defaults."""
    parser.formatter_class = argparse.ArgumentDefaultsHelpFormatter
    parser.add_argument("--rows", type=int, default=rows, help="of the largest table, or of all small ones")
    parser.add_argument("--rounds", type=int, default=rounds, help="every way once in each")
    parser.add_argument("--jobs", nargs="+", type=int, default=jobs, help="bluegreen's connections")
    parser.add_argument("--ways", nargs="+", default=names, choices=names, help="the reference runs in any case")
    parser.add_argument("--no-fsync", action="store_true", help="a server that never waits for its disk")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured there too")
    return parser


if __name__ == "__main__":
    main(sys.argv[1:])
