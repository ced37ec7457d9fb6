"""Asks in the terminal whether a tool may be called; what a model wrote is shown so that it can't mislead."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from cognition.cli.output import notice, one_line, printable, visible

if TYPE_CHECKING:
    from cognition.cli.live import View
    from layers.guards import ToolCall

MOST_SHOWN = 200
"""Characters of one argument that a question shows at first."""
MOST_ARGUMENTS = 12
LOOK_EVERY = 0.1
"""Seconds after which a waiting question sees that the run has ended."""
_CHOICES = "Allow it? [y]es, [N]o, [a]lways this tool, [s]how all: "


class Questions:
    """A person at a terminal: `Mind(approve=Questions())`. Called for one question at a time, on any thread."""

    def __init__(self) -> None:
        self._view: View | None = None
        self._always: set[str] = set()
        self._lock = threading.Lock()  # a question that its run has left behind must be off the screen first

    @staticmethod
    def here() -> Questions | None:
        """Return the person at this process's terminal; `None` where input or messages go elsewhere."""
        there = sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()
        return Questions() if there else None

    @contextmanager
    def over(self, view: View) -> Generator[None]:
        """Have a view step aside for the questions that come during the block."""
        self._view = view
        try:
            yield
        finally:
            self._view = None

    def __call__(self, call: ToolCall) -> bool:
        """Ask about a call; `False` also where the run ends before an answer, or input does."""
        if call.tool in self._always:
            return True
        view = self._view
        with self._lock, view.aside() if view else nullcontext():
            if call.stopped.is_set():
                return False
            answer = self._answer(call)
        if answer == "a":
            self._always.add(call.tool)
        return answer in ("y", "a")

    def _answer(self, call: ToolCall) -> str:
        """Ask until the answer is one; what was typed before the question doesn't answer it."""
        notice("\n".join(_asked(call, MOST_SHOWN)))
        _forget_typed()
        while True:
            sys.stderr.write(_CHOICES)
            sys.stderr.flush()
            line = _line(call.stopped)
            if line is None:
                notice("\nThe run has ended; nothing was allowed." if call.stopped.is_set() else "")
                return "n"
            answer = line.strip().lower()[:1] or "n"
            if answer in "yna":
                return answer
            if answer == "s":
                notice("\n".join(_asked(call, None)))


def _asked(call: ToolCall, most: int | None) -> Iterator[str]:
    """Yield the lines of a question; `most` characters of each argument, all of them for `None`."""
    why = f" ({one_line(call.reason, 200)})" if call.reason else ""
    yield f"\n{'/'.join(call.path)} wants to call {call.tool}{why}"
    for number, (name, value) in enumerate(call.arguments.items()):
        if most is not None and number == MOST_ARGUMENTS:
            yield f"    … and {len(call.arguments) - number} arguments more: s shows them"
            return
        text = visible(value)
        rest = 0 if most is None else len(text) - most
        cut = f"{text[:most]} … ({rest:,} characters more: s shows them)" if rest > 0 else text
        yield f"    {printable(name)} = {cut}"


def _forget_typed() -> None:
    import termios

    try:
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
    except (termios.error, ValueError, OSError):  # no terminal any more: reading will say so
        return


def _line(stopped: threading.Event) -> str | None:
    """Read a line from the terminal itself, past Python's buffer; `None` at the end of input or of the run."""
    source, read = sys.stdin.fileno(), b""
    while not stopped.is_set():
        ready, _, _ = select.select([source], [], [], LOOK_EVERY)
        if ready:
            piece = os.read(source, 4096)
            read += piece
            if not piece or b"\n" in read:
                return read.decode(errors="replace") if piece else None
    return None
