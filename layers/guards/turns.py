"""One question at a time, however many layers work side by side; and a stopped run leaves its place in the queue."""

from __future__ import annotations

import threading
from collections.abc import Generator
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from layers.run.lifeline import Lifeline


class Turns:
    """A queue in which everybody waits for a turn, first come, first served."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: list[Future[None]] = []

    @contextmanager
    def mine(self, lifeline: Lifeline) -> Generator[None]:
        """Wait for the turn, and hold it for the block.

        Raises:
            RunStopped: the run was stopped meanwhile.
        """
        turn: Future[None] = Future()
        with self._lock:
            self._queue.append(turn)
        try:
            self._call_first()
            lifeline.wait(turn)
            yield
        finally:
            with self._lock:
                self._queue.remove(turn)
            self._call_first()

    def _call_first(self) -> None:
        with self._lock:
            # Called already, or given up: then it leaves the queue in a moment, and calls the next one.
            if self._queue and not self._queue[0].done():
                with suppress(InvalidStateError):
                    self._queue[0].set_result(None)
