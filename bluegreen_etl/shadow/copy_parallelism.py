"""How many connections copy into one table at a time: all that there are, or as many as measuring shows to be of use.

On Citus one COPY into a distributed table goes to all nodes already, and what further ones give depends on the cluster.
"""

import threading
import time
from collections.abc import Callable, Iterator

from bluegreen_etl.model import Block

WARM_UP = 0.5  # seconds after a stream has joined, in which buffers fill
WINDOW = 1.5  # seconds that are measured after it
BLOCKS = 8  # that are measured at least: the rate of a few says little
GAIN = 1.15  # what the rate of all together has to grow by for the newest to stay
_LOOK_EVERY = 0.05  # seconds


class Width:
    """How many streams there should be, decided by the rate of all of them together: pure.

    It begins with one. Each further one stays if the rate grows clearly, and otherwise leaves; then the number is
    settled. Not measured, it is `most` from the beginning.
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
        """Learn that a block of so many bytes was taken at a time, while so many streams were there."""
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
    """The streams of one table, which come and go as its width says; each has a place, the newest the last one.

    Args:
        most: how many connections there are.
        measured: whether to find out how many are of use; otherwise all are.
        clock: seconds that never go back.
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
        """How many streams have proved to be of use."""
        return min(self._largest, self.width.wanted)

    def enter(self, stop: threading.Event) -> int | None:
        """Wait until one more stream is wanted, and return its place; None when none will be."""
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
        """Say whether the stream at this place is wanted still."""
        return place < self.width.wanted

    def dealt(self, place: int, blocks: Iterator[Block]) -> Iterator[Block]:
        """Yield the blocks that come to the stream at this place, for as long as it is wanted."""
        while self.stays(place) and (block := next(blocks, None)) is not None:
            with self._guard:
                self.width.learn(len(block.data), self._clock(), active=self.active)
            yield block

    def leave(self, place: int) -> None:
        """Let the stream at this place go: it was not wanted any more, or nothing is left of the table."""
        with self._guard:
            self.active -= 1
            self._over = self._over or self.stays(place)
