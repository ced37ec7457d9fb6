"""A run and its nodes: one node for every agent that works in the run's tree."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from layers.run.events import EventKind, Events
from layers.run.ledger import Budget, Ledger
from observability import Kind, Secrets, conventions, inherited, span

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

    from layers.run.lifeline import Lifeline
    from layers.spec import LayerSpec

SAID_EVERY = 0.05
"""Seconds between two events of what a model says: no person reads faster, and a run has room for its other events."""


@dataclass(slots=True)
class Trail:
    """What a run has met so far; the material of a partial answer, and what evidence is checked against.

    Attributes:
        seen: memory id → text of every memory that a tool showed to some layer.
        reports: reports of finished layers, oldest first.
    """

    seen: dict[str, str] = field(default_factory=dict[str, str])
    reports: list[Any] = field(default_factory=list[Any])


class Run:
    """One task from start to end: its id, ledger, lifeline, events and tracer, shared by all its nodes.

    Args:
        run_id: unique, also the `dionysus.run.id` of every span.
        session_id: the conversation it belongs to.
        budget: what it may spend.
        lifeline: its deadline and stop event.
        tracer: where its spans go.
        secrets: what no prompt, tool, event or error may tell.
    """

    def __init__(
        self,
        run_id: str,
        session_id: str,
        budget: Budget,
        lifeline: Lifeline,
        tracer: Tracer,
        secrets: Secrets | None = None,
    ) -> None:
        self.id = run_id
        self.session_id = session_id
        self.ledger = Ledger(budget)
        self.lifeline = lifeline
        self.secrets = secrets or Secrets()
        self.events = Events(run_id, left=self.left, hide=self.secrets.hide_in)
        self.tracer = tracer
        self.trail = Trail()

    def begin_anew(self) -> None:
        """Forget what was met, and whose share was used, for another attempt; what was spent stays spent."""
        self.trail = Trail()
        self.ledger.renew_shares()

    def left(self) -> Budget | None:
        """What may still be spent; its seconds are those until the run must end. `None` without any limit."""
        left, seconds = self.ledger.left(), self.lifeline.remaining()
        limits = (left.steps, left.model_calls, left.tokens, left.usd, seconds)
        return None if limits == (None,) * 5 else left.model_copy(update={"seconds": seconds})

    @contextmanager
    def span(self, task: str) -> Generator[Span]:
        """Open the run's root span; every span below it carries the run's and the session's id."""
        self.events.publish(EventKind.RUN_STARTED, (), task, session=self.session_id)
        carried = {conventions.SESSION: self.session_id, conventions.RUN_ID: self.id}
        with (
            inherited(carried),
            span(self.tracer, Kind.RUN, "invoke_workflow think", {conventions.INPUT: task}) as root,
        ):
            yield root

    @contextmanager
    def child(self, spec: LayerSpec, parent: Node | None = None) -> Generator[Node]:
        """Open a node for one agent of a layer: its path, its span, its time on the ledger."""
        path = (*(parent.path if parent else ()), spec.name)
        node = Node(self, spec, path)
        if spec.share is not None:
            self.ledger.allot(spec.name, spec.share)
        attributes = {
            conventions.AGENT_NAME: spec.name,
            conventions.LAYER_PATH: "/".join(path),
            conventions.STEP_MAX: spec.max_steps,
        }
        carried = {conventions.LAYER: spec.name, conventions.TIER: spec.tier}
        started = time.monotonic()
        layer_span = span(self.tracer, Kind.LAYER, f"invoke_agent {spec.name}", attributes)
        try:
            with parent.waiting() if parent else nullcontext(), inherited(carried), layer_span as opened:
                node.span = opened
                yield node
        finally:
            self.ledger.time(spec.name, time.monotonic() - started - node.waited)


class Node:
    """One agent's place in the tree of a run.

    Attributes:
        path: layer names from the manager down to this one.
        span: the layer's span.
        waited: seconds in which at least one layer that this one called was at work.
        files: the task's files that this agent may read, by name.
    """

    span: Span

    def __init__(self, run: Run, spec: LayerSpec, path: tuple[str, ...]) -> None:
        self.run = run
        self.spec = spec
        self.path = path
        self.waited = 0.0
        self.files: Mapping[str, bytes] = {}
        self._lock = threading.Lock()
        self._at_work = 0
        self._waits_since = 0.0
        self._said: list[str] = []
        self._said_at = 0.0

    @property
    def layer(self) -> str:
        """The layer's name."""
        return self.spec.name

    @contextmanager
    def waiting(self) -> Generator[None]:
        """Count the block as waiting for a called layer; blocks side by side count once."""
        with self._lock:
            self._at_work += 1
            if self._at_work == 1:
                self._waits_since = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._at_work -= 1
                if self._at_work == 0:
                    self.waited += time.monotonic() - self._waits_since

    def publish(self, kind: EventKind, summary: str, **detail: Any) -> None:
        """Publish an event of this layer, after what its model has said before."""
        self._tell_said()
        self.run.events.publish(kind, self.path, summary, **detail)

    def hear(self, text: str) -> None:
        """Publish what the layer's model says as it comes, pieces within a twentieth of a second as one."""
        with self._lock:
            self._said.append(text)
            due = time.monotonic() - self._said_at >= SAID_EVERY
        if due:
            self._tell_said()

    def _tell_said(self) -> None:
        with self._lock:
            said, self._said = "".join(self._said), []
            if said:
                self._said_at = time.monotonic()
        if said:
            self.run.events.publish(EventKind.TOKEN, self.path, said)
