"""The geometry of the swimlane: one lane a layer, spans as bars, positions in per cent of the run.

Width stands for time, for cost or for tokens. For the latter two, model calls are laid end to end in the order they
began, each as wide as what it used, and a span above them reaches from its first call to its last.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from observability.conventions import Kind
from observability.records import Status
from observability.runs import RunTrace, SpanNode

AXES: Final = ("time", "cost", "tokens")
DEFAULT_LAYERS: Final = ("consciousness", "perceptual", "conceptual", "abstract", "metacognitive")
COLOURS: Final = 9
OUTSIDE: Final = "run"
"""The lane of spans that belong to no layer."""

ROW: Final = 44
"""Pixels of a row; a layer that runs beside itself needs several."""
_TRACKS: Final[Mapping[Kind, tuple[int, int]]] = {Kind.STEP: (5, 12), Kind.PLAN: (5, 12), Kind.CHAT: (20, 8)}
_ACTION_TRACK: Final = (31, 8)
_THINNEST: Final = 0.25
_TICKS: Final = 5

Extent = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Bar:
    """A span: x and width in per cent, y and height in pixels."""

    span: SpanNode
    x: float
    width: float
    y: int
    height: int
    role: str


@dataclass(frozen=True, slots=True)
class Lane:
    """A layer's lane; `height` in pixels, `colour` an index into the palette."""

    layer: str
    colour: int
    height: int
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True)
class Swimlane:
    """All lanes, and the ticks of the axis as `(per cent, amount)`; the amount in seconds, USD or tokens."""

    axis: str
    total: float
    lanes: Sequence[Lane]
    ticks: Sequence[tuple[float, float]]


def colours(layers: Iterable[str]) -> dict[str, int]:
    """Give each layer its colour: the five defaults always the same, others the next in order, 0 to no layer."""
    given = {OUTSIDE: 0} | {layer: number for number, layer in enumerate(DEFAULT_LAYERS, start=1)}
    free = 0
    for layer in layers:
        if layer not in given:
            given[layer] = len(DEFAULT_LAYERS) + 1 + free % (COLOURS - len(DEFAULT_LAYERS) - 1)
            free += 1
    return given


def swimlane(trace: RunTrace, axis: str, now_ns: int) -> Swimlane:
    """Lay a run out along an axis: `time`, `cost` or `tokens`."""
    extents, total = _by_time(trace, now_ns) if axis == "time" else _by_use(trace, axis)
    grouped: dict[str, list[SpanNode]] = {}
    for node in trace.spans():
        if node.span_id in extents and node is not trace.root:
            grouped.setdefault(node.layer or OUTSIDE, []).append(node)
    palette = colours(trace.summary.layers)
    lanes = [_lane(layer, palette[layer], nodes, extents) for layer, nodes in grouped.items()]
    return Swimlane(axis, total, lanes, [(100 * n / _TICKS, total * n / _TICKS) for n in range(_TICKS + 1)])


def _by_time(trace: RunTrace, now_ns: int) -> tuple[dict[str, Extent], float]:
    nodes = list(trace.spans())
    begin = min(node.start_ns for node in nodes)
    end = max(max(node.end_ns or now_ns, node.start_ns) for node in nodes)
    total = max(1, end - begin)
    extents = {
        node.span_id: ((node.start_ns - begin) / total, (max(node.end_ns or now_ns, node.start_ns) - begin) / total)
        for node in nodes
    }
    return extents, total / 1e9


def _by_use(trace: RunTrace, axis: str) -> tuple[dict[str, Extent], float]:
    calls = sorted((node for node in trace.spans() if node.kind is Kind.CHAT), key=lambda node: node.start_ns)
    used = [(call.usd or 0.0) if axis == "cost" else float(call.input_tokens + call.output_tokens) for call in calls]
    total = sum(used)
    extents: dict[str, Extent] = {}
    at = 0.0
    for call, amount in zip(calls, used, strict=True):
        if amount > 0:
            extents[call.span_id] = (at / total, (at + amount) / total)
        at += amount
    for _, node in reversed(list(trace.root.walk())):
        below = [extents[child.span_id] for child in node.children if child.span_id in extents]
        if below and node.span_id not in extents:
            extents[node.span_id] = (min(low for low, _ in below), max(high for _, high in below))
    return extents, total


def _lane(layer: str, colour: int, nodes: Sequence[SpanNode], extents: Mapping[str, Extent]) -> Lane:
    rows = _rows([node for node in nodes if node.kind is Kind.LAYER], extents)
    parents = {node.span_id: node.parent_id for node in nodes}
    bars: list[Bar] = []
    for node in nodes:
        row = rows.get(_delegation(node.span_id, rows, parents), 0)
        low, high = extents[node.span_id]
        y, height = (0, ROW) if node.kind is Kind.LAYER else _TRACKS.get(node.kind or Kind.TOOL, _ACTION_TRACK)
        if node.status is Status.RUNNING:
            high = max(high, low)
        bars.append(
            Bar(node, 100 * low, max(_THINNEST, 100 * (high - low)), row * ROW + y, height, node.kind or "other")
        )
    bars.sort(key=lambda bar: bar.role != Kind.LAYER)  # a layer's own bar is the ground that the others stand on
    return Lane(layer, colour, ROW * (1 + max(rows.values(), default=0)), bars)


def _rows(delegations: Sequence[SpanNode], extents: Mapping[str, Extent]) -> dict[str, int]:
    """Put delegations that overlap on rows of their own, each on the first that is free."""
    free: list[float] = []
    rows: dict[str, int] = {}
    for node in sorted(delegations, key=lambda node: extents[node.span_id]):
        low, high = extents[node.span_id]
        row = next((number for number, until in enumerate(free) if until <= low), len(free))
        free[row : row + 1] = [high]
        rows[node.span_id] = row
    return rows


def _delegation(span_id: str, rows: Mapping[str, int], parents: Mapping[str, str | None]) -> str:
    """Find the delegation that a span is part of, along its parents within the lane."""
    current: str | None = span_id
    while current is not None and current not in rows:
        current = parents.get(current)
    return current or ""
