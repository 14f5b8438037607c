"""How many streams copy into a table: what is decided of which rates, and that places are kept and given up."""

import threading
from collections.abc import Iterator

import pytest

from bluegreen_etl.model import Block
from bluegreen_etl.shadow.copy_parallelism import BLOCKS, WARM_UP, WINDOW, Streams, Width


def settled(width: Width, rates: list[float], *, every: float = 0.1) -> int:
    """Let so many streams copy at the rate of all together that the list has for them, until the number is settled."""
    now = 100.0
    for _ in range(1000):
        if width.settled:
            break
        now += every
        width.learn(int(rates[width.wanted - 1] * every), now, active=width.wanted)
    assert width.settled
    return width.wanted


@pytest.mark.parametrize(
    ("rates", "wanted"),
    [
        ([100e6, 190e6, 280e6, 370e6], 4),
        ([100e6, 190e6, 200e6, 900e6], 2),  # what comes after the first that gives nothing is not tried
        ([100e6, 114e6, 900e6, 900e6], 1),
        ([100e6, 116e6, 100e6, 900e6], 2),
        ([100e6, 60e6, 60e6, 60e6], 1),
    ],
)
def test_stream_stays_where_all_together_become_clearly_faster(rates: list[float], wanted: int) -> None:
    """Otherwise it leaves, and the number is kept."""
    assert settled(Width(4, measured=True), rates) == wanted


def test_nothing_is_measured_where_nothing_is_to_be_decided() -> None:
    """One stream is one, and where measuring is not wanted all are there from the beginning."""
    assert [(width.wanted, width.settled) for width in (Width(1, measured=True), Width(4, measured=False))] == [
        (1, True),
        (4, True),
    ]


def test_what_fills_buffers_is_not_measured() -> None:
    """A stream that has just joined takes a burst; this is not its rate."""
    width = Width(2, measured=True)
    width.learn(10, 0.0, active=1)
    width.learn(10**9, WARM_UP / 2, active=1)
    now = WARM_UP
    while width.wanted == 1:
        width.learn(100, now, active=1)
        now += 0.1
    width.learn(1, now, active=1)  # it has not joined yet
    joined = now + 7
    width.learn(10**9, joined, active=2)
    width.learn(10**9, joined + WARM_UP / 2, active=2)
    for number in range(100):
        width.learn(105, joined + WARM_UP + number * 0.1, active=2)
    assert (width.wanted, width.settled) == (1, True)


def test_few_blocks_are_not_enough() -> None:
    """However long they take: the rate would be that of chance."""
    width = Width(2, measured=True)
    for number in range(BLOCKS + 1):
        width.learn(100, number * 2 * WINDOW, active=1)
        assert width.wanted == 1
    width.learn(100, (BLOCKS + 1) * 2 * WINDOW, active=1)
    assert width.wanted == 2


def blocks(count: int) -> Iterator[Block]:
    """Yield blocks of 100 bytes."""
    for number in range(count):
        yield Block(number, 1, 1, b"x" * 100, 0)


def test_newest_stream_leaves_and_nobody_comes_after_it() -> None:
    """Blocks end between two streams; the first continues to the end, and waiting streams are sent away."""
    clock = iter(n * WINDOW for n in range(1000))
    streams = Streams(3, measured=True, clock=lambda: next(clock))
    stop = threading.Event()
    first = streams.enter(stop)
    assert first == 0
    source = blocks(100)
    one = streams.dealt(first, source)
    while streams.width.wanted == 1:
        next(one)
    second = streams.enter(stop)
    assert second == 1
    two = streams.dealt(second, source)
    taken = sum(1 for _ in two)  # alone it is no faster than the first was
    assert 0 < taken < 20
    assert not streams.stays(second)
    streams.leave(second)
    assert streams.enter(stop) is None
    assert sum(1 for _ in one) > 50
    streams.leave(first)
    assert streams.chosen == 1


def test_waiting_ends_with_the_table_and_with_the_load() -> None:
    """Nobody joins a table that is done, and nobody waits in a load that has failed."""
    streams = Streams(2, measured=True)
    stop = threading.Event()
    assert streams.enter(stop) == 0
    waiting = threading.Timer(0.1, streams.leave, [0])
    waiting.start()
    assert streams.enter(stop) is None
    other = Streams(2, measured=True)
    assert other.enter(stop) == 0
    stop.set()
    assert other.enter(stop) is None
