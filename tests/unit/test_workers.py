"""Worker processes: results in order, errors as they were raised, and no process that outlives its parent."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from bluegreen_etl import errors
from bluegreen_etl.model import Column, Reader
from bluegreen_etl.sources.discovery import discover
from bluegreen_etl.sources.jsonfiles import json_reader
from bluegreen_etl.sources.readers import open_reader
from bluegreen_etl.workers import Workers


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    """Two processes."""
    with contextlib.closing(Workers(2)) as started:
        yield started


def test_results_come_in_the_order_of_the_calls(workers: Workers) -> None:
    """Also where the first takes longest."""
    calls = [(number, partial(_sleep, 0.2 - number / 100)) for number in range(20)]
    assert [key for key, _ in workers.in_order(calls)] == list(range(20))


def _sleep(seconds: float) -> None:
    time.sleep(max(seconds, 0))


def test_an_error_is_raised_as_it_was(workers: Workers) -> None:
    """Class, message and hint."""
    with pytest.raises(errors.BadRow, match="what") as caught:
        workers.submit(partial(_fail, "what", "do this")).result()
    assert caught.value.hint == "do this"


def _fail(message: str, hint: str) -> None:
    raise errors.BadRow(message, hint=hint)


def test_a_killed_process_is_reported() -> None:
    """Such as one that the kernel has killed for want of memory."""
    with contextlib.closing(Workers(1)) as started, pytest.raises(errors.Interrupted, match="died with code -9"):
        started.submit(partial(os.kill, started.submit(os.getpid).result(), signal.SIGKILL)).result()


def test_no_process_outlives_a_parent_that_is_killed() -> None:
    """They end with their pipe."""
    program = (
        "import os, sys; from bluegreen_etl.workers import Workers; started = Workers(2); "
        "print(started.submit(os.getpid).result(), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    with contextlib.suppress(psutil.NoSuchProcess):
        child.wait(10)


COLUMNS = [Column(name="id", type="integer"), Column(name="list", type="jsonb"), Column(name="text", type="text")]


def reader(path: Path) -> Reader:
    [source] = discover([str(path)], tables={})
    return open_reader(source, COLUMNS, block_size=1 << 12)


@pytest.mark.parametrize("form", ["json", "ndjson"])
@pytest.mark.parametrize("nested", [1, 3])
def test_json_is_encoded_as_without_them(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, nested: int
) -> None:
    """Also where pieces were cut wrongly: at what separates objects inside of an element as it does the elements."""
    monkeypatch.setattr(json_reader, "SHARED_SIZE", 0)
    elements = [
        {"id": number, "list": [{"id": place} for place in range(1 + number % 40 * (nested - 1))], "text": "a\nb" * 9}
        for number in range(1500)
    ]
    path = tmp_path / f"t.{form}"
    path.write_text("\n".join(map(json.dumps, elements)) if form == "ndjson" else json.dumps(elements))
    alone, shared = list(reader(path).blocks()), list(reader(path).blocks(workers))
    assert b"".join(block.data for block in shared) == b"".join(block.data for block in alone)
    unit = "line" if form == "ndjson" else "element"
    assert all(block.lines == block.data.count(b"\n") for block in shared)
    for block in [*shared[::20], shared[-1]]:  # each reads the file once more
        assert reader(path).locate(block.number, block.first, 1) == f"{unit} {block.first}"


def test_a_broken_element_is_named_though_others_are_encoded_ahead(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number counts from the file's beginning."""
    monkeypatch.setattr(json_reader, "SHARED_SIZE", 0)
    path = tmp_path / "t.json"
    elements = [json.dumps({"id": number, "text": "x" * 50}) for number in range(2000)]
    elements[1776] = '{"id": 1776, "text": "\\u0000"}'
    path.write_text(f"[{', '.join(elements)}]")
    with pytest.raises(errors.BadRow, match="element 1777"):
        list(reader(path).blocks(workers))
