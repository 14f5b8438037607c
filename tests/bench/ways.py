"""The ways of filling the table of `scripts/bench load`: psql, the server itself, bluegreen, and peers."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench import peers
from tests.bench.measure import Way, say
from tests.bench.server import Server

OWN = ("psql", "copy", "dealt", "bluegreen")
NAMES = (*OWN, *(peer.name for peer in peers.ALL))
_UNPACK = {"csv.gz": "gzip", "csv.zst": "zstd"}


def every(server: Server, data: Path, formats: Sequence[str], jobs: Sequence[int], names: Sequence[str]) -> list[Way]:
    """Return the ways with these names that can read these formats here; psql's of CSV, the reference, comes first."""
    found = [_psql(server, data, "csv")]
    for form in formats:
        found += [way for way in _own(server, data, form, jobs) if way.name in names and way not in found]
        for peer in peers.ALL:
            if peer.name in names and form in peer.formats:
                found += _peer(peer, server, data, form)
    return found


def _own(server: Server, data: Path, form: str, jobs: Sequence[int]) -> Iterator[Way]:
    if form == "csv" or shutil.which(_UNPACK.get(form, "")):
        yield _psql(server, data, form)
    elif form in _UNPACK:
        say(f"left out: psql, {form}: not installed: {_UNPACK[form]}")
    if form == "ndjson":
        yield _psql_json(server, data)
    if form == "csv":
        statement = f"COPY bench.t FROM '{data}/t.csv' (FORMAT csv, HEADER)"
        yield Way("copy", form, None, server.psql("-c", statement))
        for count in jobs:
            program = str(Path(__file__).with_name("dealt.py"))
            command = (sys.executable, program, f"{data}/t.csv", server.dsn, str(count))
            yield Way("dealt", form, count, command)
    for count in jobs:
        yield bluegreen(server, "bench", f"{data}/t.{form}", form=form, jobs=count)


def bluegreen(server: Server, schema: str, source: str, *options: str, form: str, jobs: int) -> Way:
    """Return bluegreen's own way, the whole command: structure, COPY, statistics, checks."""
    command = (sys.executable, "-m", "bluegreen_etl", "load", source, "--schema", schema, "--jobs", str(jobs))
    return Way("bluegreen", form, jobs, (*command, *options), (("BLUEGREEN_DSN", server.dsn),))


def _psql(server: Server, data: Path, form: str) -> Way:
    file = f"'{data}/t.{form}'" if form == "csv" else f"PROGRAM '{_UNPACK[form]} -dc {data}/t.{form}'"
    return Way("psql", form, None, server.psql("-c", f"\\copy bench.t FROM {file} (FORMAT csv, HEADER)"))


def _psql_json(server: Server, data: Path) -> Way:
    """Return what psql alone can do with NDJSON: raw lines, which the server takes apart."""
    copy = f"\\copy lines FROM '{data}/t.ndjson' (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')"
    insert = "INSERT INTO bench.t SELECT row.* FROM lines, json_populate_record(NULL::bench.t, line) row"
    return Way(
        "psql", "ndjson", None, server.psql("-c", "CREATE TEMPORARY TABLE lines (line json)", "-c", copy, "-c", insert)
    )


def _peer(peer: peers.Peer, server: Server, data: Path, form: str) -> list[Way]:
    """Return a peer's way as a list, which is empty where it is not installed."""
    program = peer.find()
    if program is None:
        say(f"left out: {peer.name}, {form}: not installed: {peer.install}")
        return []
    command, environment = peer.command(program, server, f"{data}/t.{form}", form)
    return [Way(peer.name, form, None, command, environment)]
