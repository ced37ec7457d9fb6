"""A mind's parts and the runs that use them: opened with the first use, and ended after the last of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from cognition.holding import Holding
from cognition.thought import ConfigurationError

if TYPE_CHECKING:
    from cognition.parts import OwnParts, Parts
    from cognition.settings import Settings
    from cognition.thinking import Thinking

CLOSE_WITHIN = 5.0  # seconds for a cancelled run to end: a model or tool of the user's own may not notice


class Opening:
    """Opens a mind's parts once, knows the runs that use them, and closes both. Safe to use from any thread.

    Args:
        settings: composed settings.
        own: the user's own tools, hook and questions.
    """

    def __init__(self, settings: Settings, own: OwnParts) -> None:
        self._settings = settings
        self._own = own
        self._anew()

    def parts(self) -> Parts:
        """Wait for the parts, opened if they aren't; Ctrl-C leaves the wait.

        Raises:
            ThinkingError: one doesn't start.
        """
        self._after_fork()
        with self._lock:
            held = self._open()
        try:
            return held.parts()
        finally:
            self._let_go_if_failed()

    def begin(self, make: Callable[[Holding], Thinking]) -> Thinking:
        """Start the run that `make` returns, and open the parts beside it if they aren't open; `close` ends it."""
        self._after_fork()
        with self._lock:  # in one go: `close` ends every run that has these parts
            thinking = make(self._open())
            self._thinking.add(thinking)
        thinking.begin(self._ended)
        return thinking

    def flush(self) -> None:
        """Have what was traced so far written, if anything is open."""
        if (held := self._held) is not None:
            held.telemetry.flush()

    def close(self) -> None:
        """Cancel what still thinks and end every part. Idempotent; the next use opens them anew."""
        if os.getpid() != self._process:
            return  # all of it is the parent's
        with self._lock:
            thinking, held, self._held = tuple(self._thinking), self._held, None
        try:
            for each in thinking:
                each.cancel()
            for each in thinking:
                each.wait(CLOSE_WITHIN)
        finally:  # also after Ctrl-C
            if held is not None:
                held.close()

    def _anew(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._thinking: set[Thinking] = set()
        self._held: Holding | None = None

    def _after_fork(self) -> None:
        """Begin anew in a process that was forked off before anything was open.

        Raises:
            ConfigurationError: the parts are the parent's: none of their threads is here.
        """
        if os.getpid() == self._process:
            return
        if self._held is not None:
            raise ConfigurationError(
                f"This mind was at work in process {self._process} when {os.getpid()} was forked off from it: its "
                "threads and connections stayed there. Start processes with multiprocessing's "
                "'spawn', and make a mind in each."
            )
        self._anew()

    def _open(self) -> Holding:
        """Return the parts on their way, or on a new one if they failed; the caller holds the lock."""
        if self._held is None or self._held.failed:
            failed, self._held = self._held, Holding(self._settings, self._own)
            if failed is not None:
                failed.close()
        return self._held

    def _ended(self, thinking: Thinking) -> None:
        self._thinking.discard(thinking)
        self._let_go_if_failed()

    def _let_go_if_failed(self) -> None:
        """Keep nothing of parts that didn't open, once nobody waits for them any more: a failed mind needs no close."""
        with self._lock:
            held = self._held
            if held is None or self._thinking or not held.failed:
                return
            self._held = None
        held.close()
