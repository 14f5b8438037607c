"""Decide how many connections copy into one table at a time: all of them, or as many as prove useful.

On Citus one COPY into a distributed table goes to all nodes already; the gain of further ones depends on the cluster.
"""

import threading
import time
from collections.abc import Callable, Iterator

from bluegreen_etl.model import Block

WARM_UP = 0.5  # seconds after a stream has joined, in which buffers fill
WINDOW = 1.5  # seconds to measure after that
BLOCKS = 8  # to measure at least: the rate of a few says little
GAIN = 1.15  # the newest stream stays if the rate of all streams grows by this factor
_LOOK_EVERY = 0.05  # seconds


class Width:
    """The number of streams that there should be, decided by the rate of all of them: pure.

    The number starts at one. A further stream stays if the rate grows clearly; otherwise it leaves, and the number is
    settled. Without measuring, the number is `most` from the start.
    """

    def __init__(self, most: int, *, measured: bool) -> None:
        self.wanted = 1 if measured else most
        self.settled = self.wanted == most
        self._most = most
        self._rate = 0.0  # with one stream fewer
        self._joined: float | None = None
        self._begun: float | None = None
        self._amount = self._blocks = 0

    def learn(self, amount: int, now: float, *, active: int) -> None:
        """Record that a block of `amount` bytes was taken at `now`, with `active` streams."""
        if self.settled or active != self.wanted:
            self._joined = self._begun = None
            return
        if self._joined is None:
            self._joined = now
        if self._begun is None:
            if now - self._joined >= WARM_UP:
                self._begun, self._amount, self._blocks = now, 0, 0
            return
        self._amount += amount
        self._blocks += 1
        if now - self._begun >= WINDOW and self._blocks >= BLOCKS:
            self._decide(self._amount / (now - self._begun))

    def _decide(self, rate: float) -> None:
        self._joined = self._begun = None
        if rate < GAIN * self._rate:
            self.wanted -= 1
            self.settled = True
        elif self.wanted == self._most:
            self.settled = True
        else:
            self.wanted += 1
            self._rate = rate


class Streams:
    """The streams of one table, as many as its width allows; each has a place, the newest the last one.

    Args:
        most: the number of connections.
        measured: whether to measure how many are useful; otherwise all of them work.
        clock: monotonic seconds.
    """

    def __init__(self, most: int, *, measured: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.most = most
        self.measured = measured and most > 1
        self.width = Width(most, measured=measured)
        self._clock = clock
        self._guard = threading.Lock()
        self.active = self._largest = 0
        self._over = False

    @property
    def chosen(self) -> int:
        """The number of streams that have proved useful."""
        return min(self._largest, self.width.wanted)

    def enter(self, stop: threading.Event) -> int | None:
        """Wait until one more stream is wanted; return its place, or None if no more will be."""
        while True:
            with self._guard:
                if not self._over and self.active < self.width.wanted:
                    self.active += 1
                    self._largest = max(self._largest, self.active)
                    return self.active - 1
                if self._over or self.width.settled:
                    return None
            if stop.wait(_LOOK_EVERY):
                return None

    def stays(self, place: int) -> bool:
        """Say whether the stream at this place is still wanted."""
        return place < self.width.wanted

    def dealt(self, place: int, blocks: Iterator[Block]) -> Iterator[Block]:
        """Yield blocks to the stream at this place while it is wanted."""
        while self.stays(place) and (block := next(blocks, None)) is not None:
            with self._guard:
                self.width.learn(len(block.data), self._clock(), active=self.active)
            yield block

    def leave(self, place: int) -> None:
        """Remove the stream at this place: it is no longer wanted, or nothing is left of the table."""
        with self._guard:
            self.active -= 1
            self._over = self._over or self.stays(place)
