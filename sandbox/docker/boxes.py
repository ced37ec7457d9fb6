"""Makes and ends containers: a few are kept ready, each is used by one session, and none outlives its owner.

Knows nothing of sessions but that they use boxes, and have to be closed first.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from sandbox.docker import box as one
from sandbox.docker.detect import choose_runtime, connect, facts
from sandbox.docker.direct import tidy
from sandbox.docker.image import find
from sandbox.docker.loss import check_end, check_engine
from sandbox.docker.pool import Pool
from sandbox.docker.reaper import owner_labels, reap
from sandbox.errors import SandboxUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.docker.box import Box
    from sandbox.settings import SandboxSettings

_LEAST_MEMORY: Final = 32 * 1024 * 1024
_ANSWER: Final = 30  # seconds an engine may take for one request
_REAP_AGAIN: Final = 600.0  # seconds
_LOOK: Final = 0.05  # seconds


class User(Protocol):
    """Whoever uses boxes."""

    def cleanup(self) -> None:
        """End, and give back what is used. May be called again."""
        ...


class Boxes:
    """Hands out boxes, and takes them back. Safe to use from several threads.

    Args:
        settings: the limits, the image, the engine, and how many containers are kept ready.
        clock: the moment, in seconds; of sessions too.

    Attributes:
        settings: as given.
        clock: as given.
        engine: what the engine said about itself.
        image: that boxes are made from.

    Raises:
        SandboxUnavailable: there is no engine, no image or no such runtime; the message says what to do.
    """

    def __init__(self, settings: SandboxSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings, self.clock = settings, clock
        if self.settings.memory < _LEAST_MEMORY:
            raise SandboxUnavailable(
                f"a container needs {_LEAST_MEMORY:,} bytes of memory and [sandbox] memory is {self.settings.memory:,}"
            )
        self._api = connect(self.settings, timeout=_ANSWER)
        try:
            self.engine = facts(self._api)
            self.image = find(self._api, self.settings.image)
            self._runtime = choose_runtime(self.engine, self.settings.runtime)
        except BaseException:
            self._api.close()
            raise
        # One lock for all of it. Reentrant: a finalizer may run in the thread that holds it.
        self._lock = threading.Condition(threading.RLock())
        self._closed = False
        self._pid = os.getpid()
        self._taken = 0
        self._used: set[Box] = set()
        self._users: weakref.WeakSet[User] = weakref.WeakSet()
        self._pool = Pool(self._make, self._remove, self.settings.warm, self._lock, clock=clock)
        self._reaped = 0.0
        self._direct = self.settings.direct and not self.engine.remote
        self._tidy()
        self._pool.fill()

    def close(self) -> None:
        """End every user and every box. May be called again."""
        if os.getpid() != self._pid:
            return  # all of it is our parent's
        with self._lock:
            closed, self._closed = self._closed, True
        for user in list(self._users):
            user.cleanup()
        if closed:
            return
        with self._lock:
            held = list(self._used)
        for box in held:
            self.give_back(box)
        self._pool.close()
        self._api.close()

    def take(self, user: User, watch: Callable[[], None]) -> Box:
        """A box of its own for a session: one that is ready, or a new one.

        Args:
            user: the session; when nobody can reach it any more, its box is ended.
            watch: is called while there is none yet; raises what ends the waiting.

        Raises:
            SandboxUnavailable: the engine is gone, or too many boxes are in use.
        """
        self._check_open()
        self._reserve(watch)
        try:
            box = self._pool.take(watch)
        except BaseException:
            self._release()
            raise
        with self._lock:
            self._used.add(box)
        # A session that nobody closed, and nobody can reach any more, must not keep its container.
        weakref.finalize(user, self.give_back, box).atexit = False
        self._pool.fill()
        self._tidy()
        return box

    def give_back(self, box: Box) -> None:
        """End a box; it is never used by another session. May be called again."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            held = box in self._used
            self._used.discard(box)
        if held:
            self._release()
        self._pool.end(box)

    def check(self, box: Box | None = None) -> None:
        """Return if the engine is there and, where a box fell silent, knows of its end.

        Raises:
            SandboxUnavailable: it doesn't answer, or was restarted meanwhile.
        """
        self._check_open()
        if box is None:
            check_engine(self._api)
        else:
            check_end(self._api, box.id)

    def _check_open(self) -> None:
        if os.getpid() != self._pid:
            raise SandboxUnavailable(
                "the sandbox backend belongs to the process that this one was forked from; make one here with select()"
            )
        if self._closed:
            raise SandboxUnavailable("the sandbox backend is closed; make a new one with select()")

    def _reserve(self, watch: Callable[[], None]) -> None:
        """Count one more box in use, as soon as there is room for it."""
        until = self.clock() + self.settings.open_timeout
        with self._lock:
            while self._taken >= self.settings.max_sessions:
                watch()
                if self.clock() >= until:
                    raise SandboxUnavailable(
                        f"{self.settings.max_sessions} sandboxes are in use; raise max_sessions in [sandbox] or run"
                        " fewer agents at once"
                    )
                self._lock.wait(_LOOK)
            self._taken += 1

    def _release(self) -> None:
        with self._lock:
            self._taken -= 1
            self._lock.notify()

    def _make(self) -> Box:
        try:
            return self._started()
        except one.ImageGoneError:
            # Its name may belong to a successor, when the image was built anew.
            self.image = find(self._api, self.settings.image)
            return self._started()

    def _started(self) -> Box:
        """A new box; one that can't take the direct way is the last that is offered it."""
        given = (self._api, self.settings, self.engine, self.image.id, self._runtime, owner_labels())
        start = partial(one.start, *given, clock=self.clock)
        if self._direct:
            with suppress(one.RefusedError):  # without it, the engine may take the same container
                box = start(direct=True)
                if not box.direct:
                    self._direct = False
                return box
        box = start()
        self._direct = False
        return box

    def _remove(self, container: str) -> None:
        one.remove(self._api, container)

    def _tidy(self) -> None:
        """Remove what dead owners left behind: at the start, and now and then later."""
        if self._reaped and self.clock() - self._reaped < _REAP_AGAIN:
            return
        self._reaped = self.clock()
        self._pool.later(lambda: reap(self._api, owner_labels()))
        self._pool.later(tidy)
