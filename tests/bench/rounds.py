"""Rounds: every way once, in turn, again and again; then medians, and ratios to the reference of the same round."""

import os
import platform
import statistics
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import psycopg

from tests.bench import measure
from tests.bench.measure import Failed, Run, Way
from tests.bench.server import Server


class Scene(Protocol):
    """What is measured: ways that end with the same rows."""

    @property
    def ways(self) -> Sequence[Way]:
        """The ways; the first is the reference."""

    def prepare(self) -> None:
        """Make everything as it was before the first way."""

    def run(self, way: Way) -> Run:
        """Run one way and measure it."""

    def digest(self, way: Way) -> object:
        """Return a value that is equal if two ways have loaded the same."""


class Result(NamedTuple):
    """A way with its runs, one for each round; `exact`: it has loaded what the reference has; or why it failed."""

    way: Way
    runs: list[Run]
    exact: bool
    error: str | None


def play(scene: Scene, rounds: int) -> list[Result]:
    """Play the rounds; a way that fails has no runs and is left out of the rounds after.

    Raises:
        Failed: the reference failed.
    """
    reference = scene.ways[0]
    runs: dict[Way, list[Run]] = {way: [] for way in scene.ways}
    digests: dict[Way, object] = {}
    errors: dict[Way, str] = {}
    for number in range(rounds):
        # Each round begins with another way, so that none always follows the same one.
        turn = number % len(scene.ways)
        for way in [*scene.ways[turn:], *scene.ways[:turn]]:
            if way in errors:
                continue
            try:
                scene.prepare()
                runs[way].append(scene.run(way))
            except Failed as error:
                if way == reference:
                    raise
                measure.say(f"failed: {error}")
                errors[way] = str(error)
                continue
            if number == 0:
                digests[way] = _digest(scene, way)
    return [
        Result(way, [] if way in errors else runs[way], digests.get(way) == digests[reference], errors.get(way))
        for way in scene.ways
    ]


def document(server: Server, mode: str, results: Sequence[Result], **facts: object) -> dict[str, Any]:
    """Return the measurement as an object for JSON, with what machine it is from."""
    with server.connect() as connection:
        postgres = connection.info.server_version // 10000
    reference = results[0].runs
    return {
        "mode": mode,
        **facts,
        "rounds": len(reference),
        "machine": {"cores": os.cpu_count(), "postgres": postgres, "python": platform.python_version()},
        "results": [_entry(result, reference) for result in results],
    }


def _entry(result: Result, reference: Sequence[Run]) -> dict[str, Any]:
    way, runs = result.way, result.runs
    return {
        "way": way.name,
        "format": way.form,
        "jobs": way.jobs,
        "error": result.error,
        "exact": result.exact,
        "ratio": _spread([one.wall / other.wall for one, other in zip(runs, reference, strict=False)]),
        "copy_ratio": _spread(
            [one.copying and one.copying / other.wall for one, other in zip(runs, reference, strict=False)]
        ),
        **{name: _spread([getattr(one, name) for one in runs]) for name in Run._fields},
    }


def _spread(values: Sequence[float | None]) -> dict[str, float] | None:
    """Return median, least and greatest; None where it was not measured."""
    known = [value for value in values if value is not None]
    measures: dict[str, Callable[[Sequence[float]], float]] = {"median": statistics.median, "min": min, "max": max}
    return {name: round(of(known), 4) for name, of in measures.items()} if known else None


def _digest(scene: Scene, way: Way) -> object:
    """Return the digest of what a way has loaded; an object equal to nothing when it cannot be read as the rest can."""
    try:
        return scene.digest(way)
    except psycopg.Error as error:
        measure.say(f"not comparable: {way.label}: {error.diag.message_primary or error}")
        return object()
