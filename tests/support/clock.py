"""A clock that a test moves: what waits for a moment is tested by moving there, and nothing sleeps and hopes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_PATIENCE = 60.0  # real seconds until a test that waits for somebody to wait gives up


class ManualClock:
    """Stands for `time.monotonic`, `time.sleep`, `asyncio.sleep`, `threading.Timer` and `Event.wait` at once.

    Calling it gives the moment in seconds. Only `advance`, and a sleep where `sleeping_advances`, move it. Thread-safe.

    Args:
        now: the moment it shows at first, in seconds.
        sleeping_advances: whether a sleeper moves the clock on by itself, instead of waiting for `advance`.
    """

    def __init__(self, now: float = 1_000.0, *, sleeping_advances: bool = False) -> None:
        self._now = now
        self._sleeping_advances = sleeping_advances
        self._changed = threading.Condition()
        self._timers: list[_Timer] = []
        self._waiting = 0
        self.slept: list[float] = []

    def __call__(self) -> float:
        """Return the moment, in seconds."""
        with self._changed:
            return self._now

    def advance(self, seconds: float) -> None:
        """Move on, and call the timers that are due on the way, each at its moment and in this thread."""
        until = self() + seconds
        while (due := self._next_timer(until)) is not None:
            due.function()
        with self._changed:
            self._now = max(self._now, until)
            self._changed.notify_all()

    def timer(self, seconds: float, function: Callable[[], object]) -> _Timer:
        """Make what `threading.Timer` makes, on this clock."""
        return _Timer(self, seconds, function)

    def sleep(self, seconds: float) -> None:
        """Stand for `time.sleep`."""
        self.slept.append(seconds)
        if self._sleeping_advances:
            self.advance(seconds)
            return
        self._until(self() + seconds, lambda: False)

    async def asleep(self, seconds: float) -> None:
        """Stand for `asyncio.sleep`: moves the clock on, since the loop has one thread that can't wait for another."""
        import asyncio

        self.slept.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)

    def wait(self, event: threading.Event, timeout: float | None = None) -> bool:
        """Stand for `event.wait(timeout)`: until it is set, or this clock was moved so far."""
        if timeout is None:
            return event.wait()
        self._until(self() + timeout, event.is_set)
        return event.is_set()

    def until_somebody_waits(self, many: int = 1) -> None:
        """Return once so many threads sleep or wait on this clock, so that the next `advance` wakes them."""
        given_up = time.monotonic() + _PATIENCE
        with self._changed:
            while self._waiting < many:
                assert time.monotonic() < given_up, "nobody waits on this clock"
                self._changed.wait(0.05)

    def _until(self, moment: float, over: Callable[[], bool]) -> None:
        with self._changed:
            self._waiting += 1
            self._changed.notify_all()
            try:
                while self._now < moment and not over():
                    self._changed.wait(0.01)  # an event that is set tells nobody here
            finally:
                self._waiting -= 1

    def _next_timer(self, until: float) -> _Timer | None:
        with self._changed:
            due = min((each for each in self._timers if each.due <= until), key=lambda each: each.due, default=None)
            if due is not None:
                self._timers.remove(due)
                self._now = max(self._now, due.due)
                self._changed.notify_all()
            return due

    def _started(self, timer: _Timer) -> None:
        with self._changed:
            self._timers.append(timer)

    def _cancelled(self, timer: _Timer) -> None:
        with self._changed:
            if timer in self._timers:
                self._timers.remove(timer)


class _Timer:
    def __init__(self, clock: ManualClock, seconds: float, function: Callable[[], object]) -> None:
        self.function = function
        self.daemon = False
        self.due = 0.0
        self._clock, self._seconds = clock, seconds

    def start(self) -> None:
        self.due = self._clock() + self._seconds
        self._clock._started(self)

    def cancel(self) -> None:
        self._clock._cancelled(self)
