"""What one step in monty has used of its time and its calls. Used by `session` alone."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from sandbox.settings import Limits

_GRACE = 3.0  # seconds past the step's time after which the process is killed, should its own clock not have ended it


class StepBudget:
    """The clock and the call counter of one step. Waiting for a tool of the host is not charged.

    Args:
        limits: `step_timeout` is the time, in seconds.
        until: end at this moment of the clock instead, whatever was charged.
        clock: the moment, in seconds.

    Attributes:
        host_calls: calls of tools so far.
    """

    def __init__(
        self, limits: Limits, *, until: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.host_calls = 0
        self._timeout = limits.step_timeout
        self._until = until
        self._clock = clock
        self._spent = 0.0
        self._since: float | None = None

    @contextmanager
    def charged(self) -> Generator[None]:
        """Charge the time of the block."""
        self._since = self._clock()
        try:
            yield
        finally:
            self._spent += self._clock() - self._since
            self._since = None

    def left(self) -> float:
        """Seconds that the step may still use; 0 or less when there are none."""
        running = self._clock() - self._since if self._since is not None else 0.0
        return self._timeout - self._spent - running

    def overrun(self) -> bool:
        """Whether the interpreter must be killed, since it didn't end by itself in time."""
        if self._until is not None:
            return self._clock() > self._until
        return self.left() < -_GRACE
