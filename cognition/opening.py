"""A mind's parts while it is open: made with the first use, shared by its runs, and ended after the last of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from cognition.parts import open_parts

if TYPE_CHECKING:
    from cognition.parts import Parts
    from cognition.settings import Settings
    from cognition.thinking import Thinking

CLOSE_WITHIN = 5.0  # seconds for a cancelled run to end: a model or tool of the user's own may not notice


class Opening:
    """Opens a mind's parts once, knows the runs that use them, and closes both. Safe to use from any thread.

    Args:
        settings: composed settings.
        tools: the user's own functions and smolagents tools.
    """

    def __init__(self, settings: Settings, tools: Iterable[Any]) -> None:
        self._settings = settings
        self._tools = tuple(tools)
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._thinking: set[Thinking] = set()
        self.opened: Parts | None = None

    def parts(self) -> Parts:
        """Return the parts, opened if they aren't.

        Raises:
            ThinkingError: one doesn't start.
        """
        with self._lock:
            return self._open()

    def begin(self, make: Callable[[Parts], Thinking]) -> Thinking:
        """Start the run that `make` returns; `close` ends it.

        Raises:
            ThinkingError: a part doesn't start.
        """
        with self._lock:  # in one go: `close` ends every run that has these parts
            thinking = make(self._open())
            self._thinking.add(thinking)
        thinking.begin(self._thinking.discard)
        return thinking

    def close(self) -> None:
        """Cancel what still thinks and end every part. Idempotent; the next use opens them anew."""
        with self._lock:
            thinking, parts = tuple(self._thinking), self._stack
            self.opened, self._stack = None, ExitStack()
        try:
            for each in thinking:
                each.cancel()
            for each in thinking:
                each.wait(CLOSE_WITHIN)
        finally:  # also after Ctrl-C
            parts.close()

    def _open(self) -> Parts:
        """Return the parts; the caller holds the lock."""
        if self.opened is None:
            with ExitStack() as stack:
                self.opened = open_parts(self._settings, self._tools, stack)
                self._stack = stack.pop_all()
        return self.opened
