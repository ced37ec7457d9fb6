"""What a run tells while it runs: typed events of the whole tree, in order, each with its layer's path."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

AWAKE_EVERY = 0.5
"""Seconds after which the main thread looks for signals while it waits."""


class EventKind(StrEnum):
    """What happened."""

    RUN_STARTED = "run_started"
    LAYER_STARTED = "layer_started"
    PLAN = "plan"
    STEP_STARTED = "step_started"
    STEP_ENDED = "step_ended"
    MODEL_CALL = "model_call"
    TOOL_CALL = "tool_call"
    MEMORY_HITS = "memory_hits"
    FALLBACK = "fallback"
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
        detail: JSON values for programs, by kind.
    """

    run_id: str
    sequence: int
    at: float
    kind: EventKind
    path: tuple[str, ...]
    summary: str
    detail: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def layer(self) -> str:
        """The layer it happened in; empty for the run itself."""
        return self.path[-1] if self.path else ""


class Events:
    """The events of one run: any thread publishes, any number of consumers read all of them from the first on.

    A slow or absent consumer never holds up the run: the newest `keep` events are kept, and a consumer that falls
    further behind goes on at the oldest one that is kept (the gap shows in `Event.sequence`).
    """

    def __init__(self, run_id: str, keep: int = 10_000) -> None:
        self.run_id = run_id
        self._keep = keep
        self._condition = threading.Condition()
        self._events: list[Event] = []
        self._published = 0
        self._closed = False

    def publish(self, kind: EventKind, path: tuple[str, ...], summary: str, **detail: Any) -> None:
        """Append an event; never blocks on a consumer."""
        with self._condition:
            if self._closed:
                return
            self._published += 1
            self._events.append(Event(self.run_id, self._published, time.time(), kind, path, summary, detail))
            if len(self._events) > self._keep:
                del self._events[: self._keep // 10]
            self._condition.notify_all()

    def close(self) -> None:
        """The run is over: consumers end after the last event."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def __iter__(self) -> Iterator[Event]:
        """Yield every event in order, waiting for the next, until the run is over."""
        seen = 0
        while True:
            with self._condition:
                # In turns: a signal that the kernel gives to another thread doesn't wake the main one.
                while not (self._closed or self._published > seen):
                    self._condition.wait(AWAKE_EVERY)
                behind = self._published - seen
                fresh = self._events[-behind:] if behind else []
                if not fresh and self._closed:
                    return
            for event in fresh:
                seen = event.sequence
                yield event
