"""Containers that are kept ready, and those that are made when none is: each is used by one session and never again."""

from __future__ import annotations

import time
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Final

from sandbox.docker.channel import ChannelClosedError
from sandbox.docker.chores import Chores

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from sandbox.docker.box import Box

_MAKERS: Final = 8  # containers that are made at the same time
_LOOK: Final = 0.05  # seconds after which whoever waits for a box is asked whether he still wants it
_OLDEST: Final = 6 * 3600.0  # seconds; other machines take a container for left behind after its time to live
_PATIENCE: Final = 5.0  # seconds that closing waits for an engine


class Pool:
    """Makes boxes, some of them before somebody asks.

    Args:
        make: makes one box, or raises SandboxUnavailable.
        end: asks the engine to remove a container, by its id.
        warm: how many are kept ready.
        lock: of the backend, reentrant.
        clock: the moment, in seconds, as boxes have it of their birth.
    """

    def __init__(
        self,
        make: Callable[[], Box],
        end: Callable[[str], None],
        warm: int,
        lock: threading.Condition,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make, self._remove, self._warm, self._lock, self._clock = make, end, warm, lock, clock
        self._ready: list[Box] = []
        self._filling = 0
        self._closed = False
        self._makers = Chores("sandbox-maker", _MAKERS)
        self._enders = Chores("sandbox-remover")

    def take(self, watch: Callable[[], None]) -> Box:
        """A box for one session: one that was ready, or a new one.

        Args:
            watch: is called while a box is made; raises what ends the waiting.

        Raises:
            SandboxUnavailable: none can be made.
        """
        held = self._from_ready()
        if held is not None:
            return held
        coming = self._makers.give(self._make)
        try:
            while not wait([coming], timeout=_LOOK).done:
                watch()
        except BaseException:
            coming.add_done_callback(self._discard)  # it may come, and nobody wants it any more
            raise
        return coming.result()

    def fill(self) -> None:
        """Have as many made, in the background, as are to be ready."""
        with self._lock:
            missing = 0 if self._closed else self._warm - len(self._ready) - self._filling
            self._filling += max(missing, 0)
        for _ in range(missing):
            self._makers.give(self._make).add_done_callback(self._keep)

    def end(self, box: Box) -> None:
        """Let go of a box, and have the engine remove its container soon. May be called again."""
        if box.channel.close():
            self._enders.give(lambda: self._remove(box.id))

    def later(self, chore: Callable[[], object]) -> None:
        """Have something asked of the engine in the background."""
        self._enders.give(chore)

    def close(self) -> None:
        """End what is ready and what is being made. Waits for the engine, but not for one that hangs."""
        with self._lock:
            self._closed = True
            held, self._ready = self._ready, []
        self._makers.drop()
        for box in held:
            self.end(box)
        until = time.monotonic() + _PATIENCE
        self._makers.finish(_PATIENCE)
        self._enders.finish(max(0.0, until - time.monotonic()))

    def _from_ready(self) -> Box | None:
        while True:
            with self._lock:
                if not self._ready:
                    return None
                box = self._ready.pop(0)
            if self._serves(box):
                return box
            self.end(box)

    def _keep(self, made: Future[Box]) -> None:
        """A box that was made ahead; when none could be, whoever needs one next makes it and hears why."""
        box = None if made.cancelled() or made.exception() is not None else made.result()
        with self._lock:
            self._filling -= 1
            kept = box is not None and not self._closed
            if box is not None and kept:
                self._ready.append(box)
        if box is not None and not kept:
            self.end(box)

    def _discard(self, made: Future[Box]) -> None:
        if not made.cancelled() and made.exception() is None:
            self.end(made.result())

    def _serves(self, box: Box) -> bool:
        """Whether a box that waited is still there, and young enough; it has nothing to say until it is asked."""
        try:
            return box.channel.peek() and self._clock() - box.born < _OLDEST
        except ChannelClosedError:
            return False
