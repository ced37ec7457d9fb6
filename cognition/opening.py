"""A mind's parts and the runs that use them: opened with the first use, and ended after the last of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from cognition.holding import Holding
from cognition.thought import ConfigurationError

if TYPE_CHECKING:
    from cognition.parts import OwnParts, Parts
    from cognition.settings import Settings
    from cognition.thinking import Thinking

CLOSE_WITHIN = 5.0  # seconds for a cancelled run to end: a model or tool of the user's own may not notice


class _Here:
    """What is open in one process; a fork takes over neither the threads behind it nor who holds the lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.thinking: set[Thinking] = set()
        self.held: Holding | None = None


class Opening:
    """Opens a mind's parts once, knows the runs that use them, and closes both. Safe to use from any thread.

    Args:
        settings: composed settings.
        own: the user's own tools, hook and questions.
    """

    def __init__(self, settings: Settings, own: OwnParts) -> None:
        self._settings = settings
        self._own = own
        self._by_process = {os.getpid(): _Here()}

    def parts(self) -> Parts:
        """Wait for the parts, opened if they aren't; Ctrl-C leaves the wait.

        Raises:
            ThinkingError: one doesn't start.
        """
        here = self._here()
        with here.lock:
            held = self._open(here)
        try:
            return held.parts()
        finally:
            self._let_go_if_failed(here)

    def begin(self, make: Callable[[Holding], Thinking]) -> Thinking:
        """Start the run that `make` returns, and open the parts beside it if they aren't open; `close` ends it."""
        here = self._here()
        with here.lock:  # in one go: `close` ends every run that has these parts
            thinking = make(self._open(here))
            here.thinking.add(thinking)
        thinking.begin(partial(self._ended, here))
        return thinking

    def flush(self) -> None:
        """Have what was traced so far written, if anything is open."""
        here = self._by_process.get(os.getpid())
        if here is not None and (held := here.held) is not None:
            held.telemetry.flush()

    def close(self) -> None:
        """Cancel what still thinks and end every part. Idempotent; the next use opens them anew."""
        here = self._by_process.get(os.getpid())
        if here is None:
            return  # all of it is the parent's
        with here.lock:
            thinking, held, here.held = tuple(here.thinking), here.held, None
        try:
            for each in thinking:
                each.cancel()
            for each in thinking:
                each.wait(CLOSE_WITHIN)
        finally:  # also after Ctrl-C
            if held is not None:
                held.close()

    def _here(self) -> _Here:
        """Return what is open in this process: nothing yet, if it was forked off before anything was.

        Raises:
            ConfigurationError: the parts are the parent's: none of their threads is here.
        """
        process = os.getpid()
        here = self._by_process.get(process)
        if here is not None:
            return here
        for parent, there in list(self._by_process.items()):
            if there.held is not None:
                raise ConfigurationError(
                    f"This mind was at work in process {parent} when {process} was forked off from it: its threads and "
                    "connections stayed there. Start processes with multiprocessing's 'spawn', and make a mind in each."
                )
        return self._by_process.setdefault(process, _Here())  # one for all threads that come first at once

    def _open(self, here: _Here) -> Holding:
        """Return the parts on their way, or on a new one if they failed; the caller holds the lock."""
        if here.held is None or here.held.failed:
            failed, here.held = here.held, Holding(self._settings, self._own)
            if failed is not None:
                failed.close()
        return here.held

    def _ended(self, here: _Here, thinking: Thinking) -> None:
        here.thinking.discard(thinking)
        self._let_go_if_failed(here)

    @staticmethod
    def _let_go_if_failed(here: _Here) -> None:
        """Keep nothing of parts that didn't open, once nobody waits for them any more: a failed mind needs no close."""
        with here.lock:
            held = here.held
            if held is None or here.thinking or not held.failed:
                return
            here.held = None
        held.close()
