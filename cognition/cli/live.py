"""What one sees while a run goes on: a line for each layer in a terminal, plain lines elsewhere, nothing when asked.

Each view only consumes `thinking.events()`; it knows nothing of agents.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from cognition.cli.output import Printable, duration, notice, one_line

if TYPE_CHECKING:
    from rich.table import Table

    from layers.run import Event


MOST_SAID = 120
"""Characters of what a model says just now that its line shows: the newest."""


class View(Protocol):
    """Shows events; a context manager around the time in which they come."""

    def __enter__(self) -> Any:
        """Begin to show."""
        ...

    def __exit__(self, *_: object) -> None:
        """Leave the screen as it should stay."""
        ...

    def show(self, event: Event) -> None:
        """Show one event."""
        ...

    def aside(self) -> AbstractContextManager[Any]:
        """Leave the screen to somebody else for a block."""
        ...


def view(*, silent: bool) -> View:
    """Return the view that fits: none if silent, live in a terminal, plain lines else."""
    if silent:
        return SilentView()
    return LiveView() if sys.stderr.isatty() else PlainView()


def starting(*, silent: bool) -> AbstractContextManager[Any]:
    """Say, in a terminal, that the parts are starting: it takes a few seconds the first time."""
    if silent or not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status("Starting memory, sandbox and models …", spinner="dots")


class SilentView:
    """Shows nothing."""

    def __enter__(self) -> SilentView:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def show(self, event: Event) -> None:
        """Show nothing."""

    def aside(self) -> AbstractContextManager[Any]:
        """Nothing is in the way."""
        return nullcontext()


class PlainView:
    """A line on stderr for each step and each layer that begins or ends: for logs, and terminals that can't redraw."""

    _SHOWN = frozenset({"layer_started", "step_ended", "fallback", "plan", "layer_ended", "retry"})

    def __init__(self) -> None:
        self._began = time.time()

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def show(self, event: Event) -> None:
        """Write the event's line."""
        if event.kind not in self._SHOWN:
            return
        what = {
            "layer_started": "begins",
            "layer_ended": "ends",
            "fallback": "falls back",
            "plan": "plans",
            "retry": "retries",
        }
        step = f"{event.detail.get('step', 'closing')}/{event.detail.get('of', '')}".rstrip("/")
        place = f"{'/'.join(event.path)} {what.get(event.kind, step)}"
        notice(f"[{event.at - self._began:6.1f} s] {place}: {one_line(event.summary, 120)}")

    def aside(self) -> AbstractContextManager[Any]:
        """Lines are in nobody's way."""
        return nullcontext()


@dataclass(frozen=True, slots=True)
class LayerLine:
    """What the live view says of one layer.

    Attributes:
        depth: how many layers are above it.
        tier: whose model answers.
        step: actions so far; `most` how many it may make.
        action: what it does just now.
        began: seconds since the epoch.
        ended: the same; `None` while it works.
        calls: how often it was called.
        said: what its model has said so far in the call that is under way.
    """

    name: str
    depth: int
    tier: str
    most: int
    began: float
    step: int = 0
    action: str = ""
    ended: float | None = None
    calls: int = 1
    said: str = ""


class Board:
    """The lines of all layers at work, in the order in which they first appeared. Thread-safe."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, ...], LayerLine] = {}
        self._lock = threading.Lock()
        self.tokens = 0
        self.left = ""

    def lines(self) -> list[LayerLine]:
        """Return the lines as they are now."""
        with self._lock:
            return list(self._lines.values())

    def take(self, event: Event) -> None:
        """Change the lines by one event."""
        with self._lock:
            self.left = _left(event) or self.left
            if event.kind == "layer_started":
                self._lines[event.path] = self._started(event)
            elif event.path in self._lines:
                self._lines[event.path] = self._changed(self._lines[event.path], event)

    def _started(self, event: Event) -> LayerLine:
        before = self._lines.get(event.path)
        return LayerLine(
            name=event.layer,
            depth=len(event.path) - 1,
            tier=str(event.detail.get("tier", "")),
            most=int(event.detail.get("max_steps", 0)),
            began=event.at,
            action=event.summary,
            calls=before.calls + 1 if before else 1,
        )

    def _changed(self, line: LayerLine, event: Event) -> LayerLine:
        if event.kind == "layer_ended":
            return replace(line, ended=event.at, action=event.summary)
        if event.kind == "token":
            said = f"{line.said}{event.summary}"[-MOST_SAID:]
            return replace(line, said=said, action=" ".join(said.split()))
        if event.kind == "model_call":
            self.tokens += int(event.detail.get("tokens", 0))
            return replace(line, said="")
        if event.kind == "tool_result":
            return line
        if event.kind == "step_started":
            return replace(line, step=int(event.detail.get("step", line.step)), action="thinking")
        return replace(line, action=event.summary)


class LiveView:
    """Redraws one line for each layer on stderr, and leaves nothing behind: the result says it all again."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._board = Board()
        self._began = time.time()
        self._screen = threading.Lock()
        self._over = False
        self._live = Live(
            get_renderable=self._shown, console=Console(stderr=True), refresh_per_second=8, transient=True
        )

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._screen:
            self._over = True
            self._live.stop()

    def show(self, event: Event) -> None:
        """Take the event in; the next redraw shows it."""
        self._board.take(event)

    @contextmanager
    def aside(self) -> Generator[None]:
        """Take the lines off the screen; they come back after the block, unless the run has ended meanwhile."""
        with self._screen:
            self._live.stop()
        try:
            yield
        finally:
            with self._screen:
                if not self._over:
                    self._live.start()

    def _shown(self) -> Printable:
        return Printable(self._table())

    def _table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        now = time.time()
        # Expanded, with a ratio for the action alone: otherwise a long action takes its room from the other columns.
        table = Table.grid(padding=(0, 2), expand=True)
        for heading in ("layer", "step", "time"):
            table.add_column(heading, no_wrap=True)
        table.add_column("action", no_wrap=True, overflow="ellipsis", ratio=1)
        for line in self._board.lines():
            table.add_row(*_cells(line, now), style="dim" if line.ended else "")
        tokens = Text(f"{self._board.tokens:,} tokens", style="dim")
        table.add_row(tokens, "", duration(now - self._began), Text(self._board.left, style="dim"))
        return table


def _left(event: Event) -> str:
    """Say what may still be spent; empty where there is no limit."""
    left = event.left
    if left is None:
        return ""
    amounts = {"steps": left.steps, "calls": left.model_calls, "tokens": left.tokens}
    said = [f"{amount:,} {unit}" for unit, amount in amounts.items() if amount is not None]
    said += [] if left.usd is None else [f"${left.usd:.4f}"]
    said += [] if left.seconds is None else [duration(left.seconds)]
    return f"left: {', '.join(said)}"


def _cells(line: LayerLine, now: float) -> tuple[Any, ...]:
    from rich.text import Text

    mark = "✓" if line.ended else "●"
    again = f" (call {line.calls})" if line.calls > 1 else ""
    name = Text(f"{'  ' * line.depth}{mark} {line.name}{again}", style="green" if line.ended else "bold cyan")
    return (
        name,
        Text(f"{line.step}/{line.most}"),
        Text(duration((line.ended or now) - line.began)),
        Text(one_line(line.action)),
    )
