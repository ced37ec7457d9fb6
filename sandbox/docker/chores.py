"""Requests to the engine that nobody waits for longer than he wants to: a few threads, and none while there is nothing.

The threads are daemons, so that an engine which hangs never holds up the end of the process: a container ends with its
stdin anyhow, whether or not somebody asked for its removal.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Chores:
    """Does what it is given, in order, with at most so many threads. Safe to use from several threads.

    Args:
        name: of its threads.
        hands: how many threads there may be.
    """

    def __init__(self, name: str, hands: int = 1) -> None:
        self._name, self._hands = name, hands
        # Reentrant: a finalizer may give a chore to the very thread that is giving another one.
        self._lock = threading.Condition(threading.RLock())
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._busy = 0

    def give(self, chore: Callable[[], T]) -> Future[T]:
        """Have this done; what it returns or raises is in the future."""
        future: Future[T] = Future()
        with self._lock:
            self._waiting.append((future, chore))
            idle = self._busy < self._hands
            self._busy += idle
        if idle:
            self._start()
        return future

    def drop(self) -> None:
        """Forget what nobody has begun."""
        with self._lock:
            held = list(self._waiting)
            self._waiting.clear()
        for future, _ in held:
            future.cancel()
            future.set_running_or_notify_cancel()

    def finish(self, patience: float) -> bool:
        """Wait until all is done, what futures call then included, for `patience` seconds at most; whether it is."""
        with self._lock:
            return self._lock.wait_for(lambda: not self._busy, timeout=max(0.0, patience))

    def _start(self) -> None:
        try:
            threading.Thread(target=self._work, name=self._name, daemon=True).start()
        except RuntimeError:  # the process is ending, or has no room for a thread
            self._work()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._busy -= 1
                    self._lock.notify_all()
                    return
                future, chore = self._waiting.popleft()
            if future.set_running_or_notify_cancel():
                _fulfil(future, chore)
            del future, chore


def _fulfil(future: Future[Any], chore: Callable[[], Any]) -> None:
    try:
        future.set_result(chore())
    except BaseException as error:  # noqa: BLE001 - whoever asks the future gets it; the thread goes on
        future.set_exception(error)
