"""What a run tells while it runs: typed events of the whole tree, in order, each with its layer's path."""

from __future__ import annotations

import asyncio
import threading
import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from layers.run.budget import Budget

AWAKE_EVERY = 0.5
"""Seconds after which the main thread looks for signals while it waits."""


class EventKind(StrEnum):
    """What happened."""

    RUN_STARTED = "run_started"
    PARTS_OPENED = "parts_opened"
    LAYER_STARTED = "layer_started"
    PLAN = "plan"
    STEP_STARTED = "step_started"
    STEP_ENDED = "step_ended"
    TOKEN = "token"  # noqa: S105 - a piece of text, no secret
    MODEL_CALL = "model_call"
    TOOL_CALL = "tool_call"
    APPROVAL_ASKED = "approval_asked"
    TOOL_DECISION = "tool_decision"
    TOOL_RESULT = "tool_result"
    MEMORY_HITS = "memory_hits"
    PREDICTION = "prediction"
    FALLBACK = "fallback"
    RETRY = "retry"
    SHARE_SPENT = "share_spent"
    LAYER_ENDED = "layer_ended"
    ANSWER = "answer"
    RUN_ENDED = "run_ended"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened in a run.

    Attributes:
        run_id: the run it belongs to.
        sequence: its place in the run, from 1, without gaps.
        at: seconds since the epoch.
        kind: what happened.
        path: the layers from the manager down to the one it happened in, `("consciousness", "conceptual")`.
        summary: one line for people.
        detail: JSON values for programs, by kind; the last event's `thought` is the `Thought` itself.
        left: what may still be spent, seconds until the deadline among it; `None` for tokens, and without any limit.
    """

    run_id: str
    sequence: int
    at: float
    kind: EventKind
    path: tuple[str, ...]
    summary: str
    detail: Mapping[str, Any] = field(default_factory=dict[str, Any])
    left: Budget | None = None

    @property
    def layer(self) -> str:
        """The layer it happened in; empty for the run itself."""
        return self.path[-1] if self.path else ""


class Events:
    """The events of one run: any thread publishes, any number of consumers read all of them from the first on.

    A slow or absent consumer never holds up the run: about the newest `keep` events are kept, pieces of text go first,
    and a consumer that falls further behind misses what is gone (the gap shows in `Event.sequence`).

    Args:
        run_id: the run's id.
        keep: most events that are kept.
        left: tells what may still be spent.
        hide: takes secrets out of what an event says.
    """

    def __init__(
        self,
        run_id: str,
        keep: int = 10_000,
        left: Callable[[], Budget | None] = lambda: None,
        hide: Callable[[Any], Any] = lambda said: said,
    ) -> None:
        self.run_id = run_id
        self._keep = keep
        self._left = left
        self._hide = hide
        self._condition = threading.Condition()
        self._events: list[Event] = []
        self._published = 0
        self._closed = False
        self._listeners: set[Callable[[], object]] = set()
        self._watchers: list[Callable[[Event], object]] = []

    def publish(self, kind: EventKind, path: tuple[str, ...], summary: str, **detail: Any) -> None:
        """Append an event; never blocks on a consumer."""
        summary, detail = self._hide(summary), self._hide(detail)
        left = None if kind is EventKind.TOKEN else self._left()
        with self._condition:
            if self._closed:
                return
            self._published += 1
            event = Event(self.run_id, self._published, time.time(), kind, path, summary, detail, left)
            self._events.append(event)
            if len(self._events) > self._keep:
                self._events = _thinned(self._events, self._keep)
            self._wake()
            watchers = tuple(self._watchers)
        for watcher in watchers:
            watcher(event)

    @contextmanager
    def watched(self, watcher: Callable[[Event], object]) -> Generator[None]:
        """Have each event of the block told on the thread that publishes it; a watcher never waits and never raises."""
        with self._condition:
            self._watchers.append(watcher)
        try:
            yield
        finally:
            with self._condition:
                self._watchers.remove(watcher)

    def close(self) -> None:
        """The run is over: consumers end after the last event."""
        with self._condition:
            self._closed = True
            self._wake()

    def __iter__(self) -> Iterator[Event]:
        """Yield every event in order, waiting for the next, until the run is over."""
        seen, over = 0, False
        while not over:
            with self._condition:
                # In turns: a signal that the kernel gives to another thread doesn't wake the main one.
                while not (self._closed or self._published > seen):
                    self._condition.wait(AWAKE_EVERY)
                fresh, seen, over = self._after(seen)
            yield from fresh

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Yield the same on an event loop, which is never blocked, and without a thread of its own."""
        loop, fresh_ones, seen, over = asyncio.get_running_loop(), asyncio.Event(), 0, False
        scheduled = threading.Event()  # at most one wake-up waits in the loop, however busy it is

        def wake() -> None:
            if not scheduled.is_set():
                scheduled.set()
                with suppress(RuntimeError):  # the loop is closed: nobody listens any more
                    loop.call_soon_threadsafe(fresh_ones.set)

        with self._condition:
            self._listeners.add(wake)
        try:
            while not over:
                with self._condition:
                    scheduled.clear()
                    fresh_ones.clear()
                    fresh, seen, over = self._after(seen)
                for event in fresh:
                    yield event
                if not over:
                    await fresh_ones.wait()
        finally:
            with self._condition:
                self._listeners.discard(wake)

    def _wake(self) -> None:
        self._condition.notify_all()
        for listener in self._listeners:
            listener()

    def _after(self, seen: int) -> tuple[list[Event], int, bool]:
        """Return the kept events after that number, the newest number, and whether no more will come."""
        first = bisect_right(self._events, seen, key=_sequence)
        return self._events[first:], self._published, self._closed


def _sequence(event: Event) -> int:
    return event.sequence


def _thinned(events: list[Event], keep: int) -> list[Event]:
    """Return the events without the pieces of text in the older half, and fewer than nine tenths of `keep`."""
    half = len(events) // 2
    rest = [event for event in events[:half] if event.kind is not EventKind.TOKEN] + events[half:]
    return rest[max(0, len(rest) - keep * 9 // 10) :]
