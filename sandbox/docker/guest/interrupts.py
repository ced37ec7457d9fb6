"""SIGINT as the first rung of the time ladder: an error in the user's code, never in the worker's own."""

from __future__ import annotations

# What `signal` wraps: its enumerations would cost more than all else at the start of a step.
import _signal  # pyright: ignore[reportMissingImports]
import _thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Interrupts:
    """Raises KeyboardInterrupt in the main thread, only while code of the user runs."""

    def __init__(self) -> None:
        self._open = False
        self._came = False
        self._signal, self._number = _signal.signal, _signal.SIGINT
        self._ident, self._main = _thread.get_ident, _thread.get_ident()

    def install(self) -> None:
        """Take the signal over; code of an earlier step may have put its own handler there."""
        self._signal(self._number, self._take)

    def begin(self) -> None:
        """From here on an interrupt is an error of the code; one that came too early counts."""
        self._open, self._came = True, False

    def end(self) -> None:
        """From here on an interrupt is ignored."""
        self._open = False

    def held(self) -> _Held:
        """A context in which an interrupt waits, and is raised at its end."""
        return _Held(self)

    def _take(self, *_: Any) -> None:
        self._came = True
        if self._open:
            raise KeyboardInterrupt

    def pause(self) -> bool:
        """Hold interrupts back; returns whether they were let through until now. Other threads never meet one."""
        if self._ident() != self._main:
            return False
        was, self._open = self._open, False
        return was

    def resume(self, was: bool) -> None:
        """Go on as before `pause`; one that came meanwhile is raised now."""
        if self._ident() != self._main:
            return
        self._open = was
        if was and self._came:
            raise KeyboardInterrupt


class _Held:
    def __init__(self, interrupts: Interrupts) -> None:
        self._interrupts = interrupts
        self._was = False

    def __enter__(self) -> None:
        self._was = self._interrupts.pause()

    def __exit__(self, *_: object) -> None:
        self._interrupts.resume(self._was)
