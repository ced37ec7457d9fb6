"""What a run does just now, told in its open trace: the dashboard, another process, shows it while it happens.

A consumer of the run's events that keeps one line for each layer, however long the run is.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from layers.run import Event, EventKind, Run
from observability import conventions

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from layers.run import Budget
    from observability import Telemetry

TOLD_EVERY = 0.3
"""Seconds between two tellings; the events in between are in the next one."""
MOST_SAID = 200
"""Characters of what a layer does or its model says: the newest. A trace keeps so short a text in its row alone."""


@contextmanager
def shown_live(run: Run, root: Span, telemetry: Telemetry) -> Generator[None]:
    """Tell on a run's open root span what its events say, for the block."""
    progress = Progress(root, telemetry, run.left)
    with run.events.watched(progress.take):
        try:
            yield
        finally:
            progress.end()


class Progress:
    """What each layer at work does just now. Thread-safe.

    Args:
        root: the run's span, open.
        telemetry: where it is shown.
        left: tells what may still be spent.
    """

    def __init__(self, root: Span, telemetry: Telemetry, left: Callable[[], Budget | None]) -> None:
        self._root = root
        self._telemetry = telemetry
        self._left = left
        self._lock = threading.Lock()
        self._now: dict[str, str] = {}
        self._saying: set[str] = set()
        self._told_at = 0.0
        self._over = False

    def take(self, event: Event) -> None:
        """Take an event in, and tell what there is, unless that was done a moment ago."""
        with self._lock:
            if event.path:
                self._change(event)
            if self._over or time.monotonic() - self._told_at < TOLD_EVERY:
                return
            self._told_at = time.monotonic()
            self._root.set_attributes({f"{conventions.LIVE_NOW}{layer}": now for layer, now in self._now.items()})
            self._tell_left()
            self._telemetry.show(self._root)

    def end(self) -> None:
        """Tell no more; what is left stays on the span."""
        with self._lock:
            self._over = True
            self._root.set_attributes({f"{conventions.LIVE_NOW}{layer}": "" for layer in self._now})
            self._tell_left()

    def _tell_left(self) -> None:
        left = self._left()
        if left is not None:
            self._root.set_attribute(conventions.LIVE_LEFT, json.dumps(_left(left)))

    def _change(self, event: Event) -> None:
        layer = "/".join(event.path)
        if event.kind is EventKind.LAYER_ENDED:
            self._now[layer] = ""  # an attribute can't be taken back
            return
        said = self._now.get(layer, "") if event.kind is EventKind.TOKEN and layer in self._saying else ""
        self._saying.discard(layer)
        if event.kind is EventKind.TOKEN:
            self._saying.add(layer)
        if event.kind is not EventKind.MODEL_CALL:
            self._now[layer] = f"{said}{event.summary}"[-MOST_SAID:]


def _left(left: Budget) -> dict[str, float]:
    units = {
        "Steps": left.steps,
        "Calls": left.model_calls,
        "Tokens": left.tokens,
        "USD": left.usd,
        "Time": left.seconds,
    }
    return {unit: amount for unit, amount in units.items() if amount is not None}
