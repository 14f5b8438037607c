"""Write metrics of a command for node_exporter, in OpenMetrics' text format."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from bluegreen_etl import atomic_file
from bluegreen_etl.commands import promote
from bluegreen_etl.releases import lifecycle

Sample = tuple[str, Mapping[str, str], float]
_HELP = {
    "bluegreen_exit_code": "Exit code of the last command.",
    "bluegreen_finished_timestamp_seconds": "When the last command ended.",
    "bluegreen_release": "Release of the last command.",
    "bluegreen_stage_seconds": "Duration of each stage of the load.",
    "bluegreen_table_rows": "Rows of each table of the release.",
    "bluegreen_table_rejected_rows": "Rejected rows of each table.",
    "bluegreen_readers_held_seconds": "Longest time that the cut-over blocked readers.",
    "bluegreen_locks_waited_seconds": "Time that the cut-over waited for locks.",
}


def write(file: str, outcome: object, labels: Mapping[str, str], *, exit_code: int) -> None:
    """Write the metrics into the file atomically.

    Raises:
        OSError: the file cannot be written.
    """
    samples: list[Sample] = [
        ("bluegreen_exit_code", {}, exit_code),
        ("bluegreen_finished_timestamp_seconds", {}, time.time()),
        *_samples(outcome),
    ]
    text = "".join(_family(name, [s for s in samples if s[0] == name], labels) for name in _HELP) + "# EOF\n"
    atomic_file.write(Path(file), text)


def _samples(outcome: object) -> Iterator[Sample]:
    if isinstance(outcome, promote.Released):
        yield from _samples(outcome.loaded)
        yield from (sample for sample in _samples(outcome.promoted) if sample[0] != "bluegreen_release")
    elif isinstance(outcome, lifecycle.Loaded):
        yield "bluegreen_release", {}, outcome.release.number
        for stage, seconds in outcome.seconds.items():
            yield "bluegreen_stage_seconds", {"stage": stage}, seconds
        for table in outcome.tables:
            yield "bluegreen_table_rows", {"table": table.table}, table.rows
            yield "bluegreen_table_rejected_rows", {"table": table.table}, table.rejected
    elif isinstance(outcome, promote.Promoted) and outcome.cutover is not None:
        yield "bluegreen_release", {}, outcome.cutover.to_number
        yield "bluegreen_readers_held_seconds", {}, outcome.cutover.held or 0.0
        yield "bluegreen_locks_waited_seconds", {}, outcome.cutover.waited


def _family(name: str, samples: list[Sample], labels: Mapping[str, str]) -> str:
    if not samples:
        return ""
    lines = [f"# TYPE {name} gauge", f"# HELP {name} {_HELP[name]}"]
    for _, own, value in samples:
        listed = ",".join(f'{key}="{_escaped(text)}"' for key, text in {**labels, **own}.items())
        lines.append(f"{name}{{{listed}}} {value}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
