"""The time of one step: only what its own code takes, and the ladder that ends it."""

from __future__ import annotations

import time
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_TO_KILL = 1.0  # seconds that code has after the interrupt
_TO_REMOVE = 5.0  # seconds that the supervisor has after it was told to kill


class Rung(Enum):
    """How far the ladder has been climbed."""

    RUNNING = "running"
    INTERRUPTED = "interrupted"
    KILLED = "killed"
    REMOVED = "removed"


class StepClock:
    """Counts a step's time, without that of host calls.

    Args:
        limit: seconds the step may run.
        clock: the moment, in seconds.
    """

    def __init__(self, limit: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._clock = limit, clock
        self._since = clock()
        self._outside = 0.0
        self.rung = Rung.RUNNING

    @contextmanager
    def outside(self) -> Generator[None]:
        """Time in here is the host's and not the step's."""
        start = self._clock()
        try:
            yield
        finally:
            self._outside += self._clock() - start

    def climb(self) -> Rung | None:
        """The rung that is due now, once; None while there is none."""
        used = self._clock() - self._since - self._outside - self._limit
        if used < 0.0 or self.rung is Rung.REMOVED:
            return None
        after, due = _LADDER[self.rung]
        if used < after:
            return None
        self.rung = due
        return due


_LADDER: Final = {
    Rung.RUNNING: (0.0, Rung.INTERRUPTED),
    Rung.INTERRUPTED: (_TO_KILL, Rung.KILLED),
    Rung.KILLED: (_TO_KILL + _TO_REMOVE, Rung.REMOVED),
}
