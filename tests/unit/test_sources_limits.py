"""Limits of what a file may make of memory and time: records, headers, nesting."""

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from bluegreen_etl import errors
from bluegreen_etl.model import Column, SourceOptions
from bluegreen_etl.sources.discovery import discover
from bluegreen_etl.sources.readers import open_reader

COLUMNS = [Column(name="id", type="text"), Column(name="name", type="text")]
BOMBS = {
    "value.csv.gz": lambda: gzip.compress(b"id,name\n1," + b"x" * (40 << 20) + b"\n"),
    "quote.csv.gz": lambda: gzip.compress(b'id,name\n1,a\n2,"' + b"x" * (40 << 20)),
    "header.csv.gz": lambda: gzip.compress(b"x" * (40 << 20)),
    "element.json.gz": lambda: gzip.compress(b'[{"id": "' + b"x" * (40 << 20) + b'"}]'),
    "line.ndjson.gz": lambda: gzip.compress(b'{"id": "' + b"x" * (40 << 20) + b'"}\n'),
    "deep.json.gz": lambda: gzip.compress(b"[" * (16 << 20)),
}
READ = """
import sys
from pathlib import Path
from tests.unit import test_sources_limits as limits
import resource
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
limits.refused(Path(sys.argv[1]))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


def refused(path: Path) -> errors.BluegreenError:
    """Return the error of a file whose records may have 4 MB."""
    [source] = discover([str(path)], tables={}, options=SourceOptions(max_record_mb=4))
    with pytest.raises((errors.BadSource, errors.BadRow)) as raised:
        for _ in open_reader(source, COLUMNS).blocks():
            pass
    return raised.value


def test_default_is_far_above_long_values() -> None:
    """Values of 100 MB load without a setting; PostgreSQL itself stores at most a gigabyte."""
    assert SourceOptions().longest_record == 256 << 20
    assert SourceOptions(max_record_mb=1024).longest_record == 1 << 30


@pytest.mark.parametrize("name", BOMBS)
def test_bomb_is_refused_in_bounded_memory(tmp_path: Path, name: str) -> None:
    """A small compressed file with one huge record is an error, with a few times the limit in memory."""
    path = tmp_path / name
    path.write_bytes(BOMBS[name]())
    done = subprocess.run([sys.executable, "-c", READ, str(path)], check=True, capture_output=True, timeout=60)
    assert int(done.stdout) < 60
    error = refused(path)
    assert error.hint
    assert str(path) in error.message


def test_hint_names_the_setting(tmp_path: Path) -> None:
    """The record may be right; the line raises the limit for this table."""
    path = tmp_path / "value.csv.gz"
    path.write_bytes(BOMBS["value.csv.gz"]())
    error = refused(path)
    assert error.message.endswith("longer than 4 MB")
    assert "`max_record_mb = 1024` under [tables.value]" in (error.hint or "")
