"""What a reader gets: runs, and one run as a tree of spans with its sums. Frozen; `to_json` gives plain JSON types."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from observability import conventions as names
from observability.conventions import Kind
from observability.records import SpanEvent, Status

NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Cost:
    """What model calls used. `usd` is None when the price of any call is unknown; `known_usd` sums the others."""

    calls: int
    input_tokens: int
    output_tokens: int
    known_usd: float
    unpriced_calls: int

    @property
    def tokens(self) -> int:
        """Tokens in and out."""
        return self.input_tokens + self.output_tokens

    @property
    def usd(self) -> float | None:
        """The price in USD; 0.0 only if it is known to be 0."""
        return None if self.unpriced_calls else self.known_usd

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "calls": self.calls,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "tokens": self.tokens,
            "usd": self.usd,
            "known_usd": self.known_usd,
            "unpriced_calls": self.unpriced_calls,
        }


@dataclass(frozen=True, slots=True)
class Losses:
    """What a run's trace lacks: spans dropped under pressure, values shed or cut, and secrets taken out."""

    dropped: int
    shed: int
    truncated: int
    redacted: int


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run as a list shows it. Times in ns since 1970; `task` and `answer` may be cut."""

    run_id: str
    trace_id: str
    root_id: str
    name: str
    status: Status
    message: str | None
    session: str | None
    task: str | None
    answer: str | None
    stop_reason: str | None
    start_ns: int
    end_ns: int | None
    steps: int
    spans: int
    errors: int
    layers: Sequence[str]
    cost: Cost
    losses: Losses

    def seconds(self, now_ns: int) -> float:
        """Return how long the run took, or has taken until `now_ns` if it still runs."""
        return max(0, (self.end_ns or now_ns) - self.start_ns) / NS

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; times in seconds since 1970."""
        return {
            "run_id": self.run_id,
            "trace_id": self.trace_id,
            "name": self.name,
            "status": self.status.value,
            "message": self.message,
            "session": self.session,
            "task": self.task,
            "answer": self.answer,
            "stop_reason": self.stop_reason,
            "start": self.start_ns / NS,
            "end": None if self.end_ns is None else self.end_ns / NS,
            "steps": self.steps,
            "spans": self.spans,
            "errors": self.errors,
            "layers": list(self.layers),
            **self.cost.to_json(),
            "dropped": self.losses.dropped,
            "shed": self.losses.shed,
            "truncated": self.losses.truncated,
            "redacted": self.losses.redacted,
        }


@dataclass(frozen=True, slots=True)
class Text:
    """A long text that is stored once: its beginning here, all of it by `TraceStore.content(hash)`."""

    hash: str
    length: int
    head: str

    def __str__(self) -> str:
        return self.head if self.length <= len(self.head) else f"{self.head}…"


@dataclass(frozen=True, slots=True)
class SpanNode:
    """A span with those below it, in the order they began. Long texts among the attributes are `Text`."""

    span_id: str
    parent_id: str | None
    kind: Kind | None
    name: str
    service: str
    layer: str | None
    status: Status
    message: str | None
    start_ns: int
    end_ns: int | None
    input_tokens: int
    output_tokens: int
    usd: float | None
    attributes: Mapping[str, Any]
    events: Sequence[SpanEvent]
    children: Sequence["SpanNode"]

    def walk(self, depth: int = 0) -> Iterator[tuple[int, "SpanNode"]]:
        """Yield `(depth, span)` for this span and all below, parents first."""
        stack: list[tuple[int, SpanNode]] = [(depth, self)]
        while stack:
            level, node = stack.pop()
            yield level, node
            stack.extend((level + 1, child) for child in reversed(node.children))

    def seconds(self, now_ns: int) -> float:
        """Return how long the span took, or has taken until `now_ns` if it still runs."""
        return max(0, (self.end_ns or now_ns) - self.start_ns) / NS

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types, all spans below included; times in seconds since 1970."""
        built: dict[str, dict[str, Any]] = {}
        for _, node in reversed(list(self.walk())):  # from the leaves up, since a run may nest deeper than the stack
            below = [built[child.span_id] for child in node.children]
            built[node.span_id] = {**node._flat(), "children": below}  # noqa: SLF001 - its own class
        return built[self.span_id]

    def _flat(self) -> dict[str, Any]:
        return {
            "span_id": self.span_id,
            "parent_id": self.parent_id,
            "kind": self.kind,
            "name": self.name,
            "service": self.service,
            "layer": self.layer,
            "status": self.status.value,
            "message": self.message,
            "start": self.start_ns / NS,
            "end": None if self.end_ns is None else self.end_ns / NS,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "usd": self.usd,
            "attributes": {name: _json(value) for name, value in self.attributes.items()},
            "events": [
                {
                    "name": event.name,
                    "time": event.time_ns / NS,
                    "attributes": {name: _json(value) for name, value in event.attributes.items()},
                }
                for event in self.events
            ],
        }


@dataclass(frozen=True, slots=True)
class LayerUse:
    """What one layer used in a run, over all its delegations. `steps_max` sums their limits; None if none was given.

    A closing call is counted apart from steps. `seconds` sums the layer's spans, so parallel ones count twice, and time
    in layers below counts for both.
    """

    layer: str
    delegations: int
    steps: int
    closing: int
    steps_max: int | None
    cost: Cost
    seconds: float
    errors: int

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "layer": self.layer,
            "delegations": self.delegations,
            "steps": self.steps,
            "closing": self.closing,
            "steps_max": self.steps_max,
            **self.cost.to_json(),
            "seconds": self.seconds,
            "errors": self.errors,
        }


@dataclass(frozen=True, slots=True)
class RunTrace:
    """One run with its whole tree."""

    summary: RunSummary
    root: SpanNode

    def spans(self) -> Iterator[SpanNode]:
        """Yield every span, parents first."""
        return (node for _, node in self.root.walk())

    def layers(self, now_ns: int) -> list[LayerUse]:
        """Sum up each layer, in the order in which the layers first appeared."""
        grouped: dict[str, list[SpanNode]] = {}
        for node in sorted(self.spans(), key=lambda node: node.start_ns):
            if node.layer is not None:
                grouped.setdefault(node.layer, []).append(node)
        return [_use(layer, nodes, now_ns) for layer, nodes in grouped.items()]

    def to_json(self, now_ns: int) -> dict[str, Any]:
        """Return plain JSON types: the summary, each layer's sums and the tree."""
        layers = [use.to_json() for use in self.layers(now_ns)]
        return {**self.summary.to_json(), "layer_use": layers, "root": self.root.to_json()}


def cost_of(nodes: Sequence[SpanNode]) -> Cost:
    """Sum the model calls among spans; only `chat` spans carry tokens and cost, so nothing counts twice."""
    calls = [node for node in nodes if node.kind is Kind.CHAT]
    return Cost(
        calls=len(calls),
        input_tokens=sum(call.input_tokens for call in calls),
        output_tokens=sum(call.output_tokens for call in calls),
        known_usd=sum(call.usd or 0.0 for call in calls),
        unpriced_calls=sum(call.usd is None and call.end_ns is not None for call in calls),
    )


def _use(layer: str, nodes: Sequence[SpanNode], now_ns: int) -> LayerUse:
    delegations = [node for node in nodes if node.kind is Kind.LAYER]
    steps = [node for node in nodes if node.kind is Kind.STEP]
    closing = sum(bool(step.attributes.get(names.STEP_CLOSING)) for step in steps)
    return LayerUse(
        layer=layer,
        delegations=len(delegations),
        steps=len(steps) - closing,
        closing=closing,
        steps_max=_limit(delegations, steps),
        cost=cost_of(nodes),
        seconds=sum(node.seconds(now_ns) for node in delegations),
        errors=sum(node.status is Status.ERROR for node in nodes),
    )


def _limit(delegations: Sequence[SpanNode], steps: Sequence[SpanNode]) -> int | None:
    """Sum the step limits of a layer's delegations; the limit stands on the layer's span, or on its steps."""
    given: dict[str | None, int] = {}
    for node in (*steps, *delegations):
        limit = node.attributes.get(names.STEP_MAX)
        if isinstance(limit, int):
            given[node.span_id if node.kind is Kind.LAYER else node.parent_id] = limit
    return sum(given.values()) if given else None


def _json(value: Any) -> Any:
    if isinstance(value, Text):
        return {"hash": value.hash, "length": value.length, "head": value.head}
    return value
