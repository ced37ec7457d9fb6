"""One deadline and one stop event for a whole run: everything that waits, waits on this."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager, suppress
from typing import Protocol, TypeVar

from layers.run.events import AWAKE_EVERY
from layers.run.signals import RunStopped, StopReason

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Timer(Protocol):
    """What `threading.Timer` is of: begins to wait, and may be cancelled."""

    daemon: bool

    def start(self) -> None:
        """Begin to wait."""
        ...

    def cancel(self) -> None:
        """Call nothing any more."""
        ...


class Lifeline:
    """The life of one run, shared by every thread that works for it.

    Args:
        deadline: when the run must have ended, in seconds of `clock`; `None` for no deadline.
        expiry: the reason for which the deadline ends the run: the caller's deadline, or the budget's seconds.
        clock: tells the moment, in seconds.
        timer: makes what calls a function once so many seconds of `clock` have passed.
    """

    def __init__(
        self,
        deadline: float | None = None,
        expiry: StopReason = StopReason.DEADLINE,
        *,
        clock: Callable[[], float] = time.monotonic,
        timer: Callable[[float, Callable[[], object]], Timer] = threading.Timer,
    ) -> None:
        self.deadline = deadline
        self._expiry = expiry
        self._clock = clock
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._signal: RunStopped | None = None
        self._callbacks: dict[object, Callable[[], object]] = {}
        self._timer: Timer | None = None
        if deadline is not None:
            self._timer = timer(max(0.0, deadline - clock()), self._expire)
            self._timer.daemon = True
            self._timer.start()

    def stop(self, reason: StopReason, detail: str) -> bool:
        """End the run for a reason; only the first call counts.

        Returns:
            Whether this call was the one that stopped the run.
        """
        with self._lock:
            if self._signal is not None:
                return False
            self._signal = RunStopped(reason, detail)
            callbacks = list(self._callbacks.values())
            self.stopped.set()
        for callback in callbacks:
            _call(callback)
        return True

    def check(self) -> None:
        """Raise `RunStopped` once the run was stopped. Called at every boundary: step, model call, tool call."""
        if self._signal is None and self.remaining() == 0.0:
            self._expire()  # what looks at the clock itself, as a sandbox does, may be earlier than the timer
        if self._signal is not None:
            # A fresh object per raise: one exception raised in several threads would mix their tracebacks.
            raise RunStopped(self._signal.reason, self._signal.detail)

    def remaining(self) -> float | None:
        """Seconds until the deadline (never negative), `None` without one."""
        return None if self.deadline is None else max(0.0, self.deadline - self._clock())

    @contextmanager
    def on_stop(self, callback: Callable[[], object]) -> Generator[None]:
        """Have `callback` called, from any thread, when the run stops while the block is running.

        It must return at once: the others are called after it. What it raises is logged.
        """
        key = object()
        with self._lock:
            already = self._signal is not None
            self._callbacks[key] = callback
        try:
            if already:
                _call(callback)
            yield
        finally:
            with self._lock:
                self._callbacks.pop(key, None)

    def wait(self, future: Future[T], timeout: float | None = None) -> T:
        """Wait for a future; when the run stops first, cancel it and raise `RunStopped`.

        Raises:
            RunStopped: the run was stopped.
            TimeoutError: it was not done within `timeout` seconds, and is cancelled.
        """
        with self.on_stop(future.cancel):
            try:
                return _result(future, timeout)
            except CancelledError:
                self.check()
                raise
            except BaseException:
                future.cancel()  # too late, or Ctrl-C while waiting: what was asked for must not go on alone
                raise

    def close(self) -> None:
        """Let go of the timer; the run is over."""
        if self._timer is not None:
            self._timer.cancel()

    def _expire(self) -> None:
        more = "budget of seconds is used up. Raise it with Budget(seconds=…)."
        if self._expiry is StopReason.DEADLINE:
            more = "deadline has passed. Give it more time with deadline=SECONDS."
        self.stop(self._expiry, f"The run's {more}")


def _result(future: Future[T], timeout: float | None) -> T:
    """Wait for a future's result, at most `timeout` seconds.

    The main thread waits in turns: Ctrl-C doesn't wake it where the kernel gave the signal to another thread, nor where
    it came just before the wait.
    """
    if threading.current_thread() is not threading.main_thread():
        return future.result(timeout)
    until = math.inf if timeout is None else time.monotonic() + timeout
    while (left := until - time.monotonic()) > AWAKE_EVERY and not future.done():
        with suppress(TimeoutError):  # of this turn; its own comes below
            return future.result(AWAKE_EVERY)
    return future.result(0 if future.done() else max(0.0, left))


def _call(callback: Callable[[], object]) -> None:
    try:
        callback()
    except Exception:  # noqa: BLE001 - promise: a stop reaches everything that waits, whatever one of them does
        _log.exception("A callback of a stopped run failed.")
