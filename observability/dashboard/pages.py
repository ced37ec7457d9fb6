"""What the pages show, worked out from a run: the tree's lines, the budgets and the recalls. No HTML here."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from observability import conventions as names
from observability.conventions import Kind, is_content
from observability.records import Status
from observability.runs import LayerUse, RunTrace, SpanNode, Text
from observability.store import TraceStore

PREVIEW: Final = 140
_SAID: Final = (names.OODA_DECIDE, names.TOOL_PARAMETERS, names.INPUT, names.OUTPUT)
_OPEN: Final = frozenset({Kind.RUN, Kind.LAYER})
_MOST_SEGMENTS: Final = 40
_MANY_SPANS: Final = 400
_MACHINERY: Final = frozenset({names.SPAN_KIND, names.OPENINFERENCE_KIND, names.OPERATION, *names.INHERITED})


@dataclass(frozen=True, slots=True)
class Line:
    """One span in the tree. `closes` counts the levels that end after it; `x` and `width` in per cent of the run."""

    span: SpanNode
    opened: bool
    closes: int
    preview: str
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Budget:
    """A layer's steps as segments to draw: `(x, width, kind)` in per cent, the kind `used`, `closing` or `left`."""

    use: LayerUse
    segments: Sequence[tuple[float, float, str]]


@dataclass(frozen=True, slots=True)
class RecallHit:
    """A memory that was found. `width` in per cent of the best hit of the same recall."""

    id: str
    score: float
    width: float
    text: str


@dataclass(frozen=True, slots=True)
class RecallView:
    """One recall: who asked what, and what was found."""

    span: SpanNode
    query: str
    hits: Sequence[RecallHit]
    missing: str


def lines(trace: RunTrace, now_ns: int) -> Iterator[Line]:
    """Yield the tree, flat: templates then need no recursion, however deep a run nests."""
    failed = _with_errors(trace)
    begin = trace.root.start_ns
    total = max(1, max(node.end_ns or now_ns for node in trace.spans()) - begin)
    walked = list(trace.root.walk())
    few = len(walked) <= _MANY_SPANS
    depths = [depth for depth, _ in walked] + [0]
    for (depth, node), following in zip(walked, depths[1:], strict=True):
        yield Line(
            span=node,
            opened=bool(node.children)
            and (node.kind in _OPEN or node.kind is None or (few and node.span_id in failed)),
            closes=0 if following > depth else depth - following + 1,
            preview=_preview(node),
            x=100 * max(0, node.start_ns - begin) / total,
            width=max(0.6, 100 * max(0, (node.end_ns or now_ns) - node.start_ns) / total),
        )


def doing(trace: RunTrace) -> list[tuple[str, str, str]]:
    """Return what each layer at work does, or its model says, just now: its path, its name and that; while it runs."""
    if trace.summary.status is not Status.RUNNING:
        return []
    prefix = names.LIVE_NOW
    told = {name.removeprefix(prefix): now for name, now in trace.root.attributes.items() if name.startswith(prefix)}
    return [(path, path.rpartition("/")[2], str(now)) for path, now in told.items() if now]


def left(trace: RunTrace) -> dict[str, Any]:
    """Return what the run might still spend when it was last heard of, by unit; empty without any limit."""
    try:
        told = json.loads(str(trace.root.attributes.get(names.LIVE_LEFT, "{}")))
    except ValueError:  # cut
        return {}
    return told if isinstance(told, dict) else {}


def budgets(trace: RunTrace, now_ns: int) -> list[Budget]:
    """Return each layer's steps used and left."""
    return [Budget(use, _segments(use)) for use in trace.layers(now_ns)]


def recalls(trace: RunTrace, store: TraceStore) -> list[RecallView]:
    """Return the recalls of a run, each once: of a tool call and the server's query below it, the outer one."""
    views: list[RecallView] = []
    inside: set[str] = set()
    for node in trace.spans():
        covered = node.parent_id in inside
        scores = node.attributes.get(names.MEMORY_SCORES)
        if isinstance(scores, list) and not covered:
            views.append(_recall(node, [float(score) for score in scores], _whole(store)))
        if covered or isinstance(scores, list):
            inside.add(node.span_id)
    return views


def facts(node: SpanNode) -> list[tuple[str, str]]:
    """Return a span's attributes that say something about it, without those that only classify it."""
    return [
        (name, str(value)) for name, value in node.attributes.items() if not is_content(name) and name not in _MACHINERY
    ]


def said(node: SpanNode, store: TraceStore) -> list[tuple[str, str]]:
    """Return what was said in a span, whole, JSON indented; a span's errors with their tracebacks too."""
    whole = _whole(store)
    texts = [(name, _legible(whole(value))) for name, value in node.attributes.items() if is_content(name)]
    for event in node.events:
        texts += [(f"{event.name} · {name}", whole(value)) for name, value in event.attributes.items()]
    return texts


def _whole(store: TraceStore) -> Callable[[Any], str]:
    def whole(value: Any) -> str:
        if isinstance(value, Text):
            return store.content(value.hash) or f"{value.head}… (the rest is gone)"
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)

    return whole


def _legible(text: str) -> str:
    if not text.startswith(("{", "[")):
        return text
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        return text


def _preview(node: SpanNode) -> str:
    if node.status is Status.ERROR and node.message:
        return _short(node.message)
    value = next((node.attributes[name] for name in _SAID if name in node.attributes), "")
    return _short(str(value)) if node.kind is not Kind.RUN else ""


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= PREVIEW else f"{flat[:PREVIEW]}…"


def _with_errors(trace: RunTrace) -> set[str]:
    """Return the spans that failed and all above them."""
    failed: set[str] = set()
    for _, node in reversed(list(trace.root.walk())):
        if node.status is Status.ERROR or any(child.span_id in failed for child in node.children):
            failed.add(node.span_id)
    return failed


def _segments(use: LayerUse) -> list[tuple[float, float, str]]:
    total = max(use.steps, use.steps_max or 0) + use.closing
    if not 0 < total <= _MOST_SEGMENTS:
        return []
    width = 100 / total
    kinds = ["used"] * use.steps + ["closing"] * use.closing
    kinds += ["left"] * (total - len(kinds))
    return [(number * width, width - min(1.2, width / 4), kind) for number, kind in enumerate(kinds)]


def _recall(node: SpanNode, scores: Sequence[float], whole: Callable[[Any], str]) -> RecallView:
    best = max((abs(score) for score in scores), default=0.0) or 1.0
    ids = node.attributes.get(names.MEMORY_IDS)
    documents = _documents(node.attributes, whole)
    found = [
        RecallHit(
            id=str(ids[n]) if isinstance(ids, list) and n < len(ids) else documents.get((n, "id"), ""),
            score=score,
            width=max(1.0, 100 * max(0.0, score) / best),
            text=_short(documents.get((n, "content"), "")),
        )
        for n, score in enumerate(scores)
    ]
    query = whole(node.attributes.get(names.INPUT, "")) or node.name
    return RecallView(node, _short(query), found, whole(node.attributes.get(names.MEMORY_MISSING, "")))


def _documents(attributes: Mapping[str, Any], whole: Callable[[Any], str]) -> dict[tuple[int, str], str]:
    """Read `retrieval.documents.N.document.content` and its like into `(N, "content")`."""
    found: dict[tuple[int, str], str] = {}
    prefix = f"{names.RETRIEVAL_DOCUMENTS}."
    for name, value in attributes.items():
        number, _, rest = name.removeprefix(prefix).partition(".")
        if name.startswith(prefix) and number.isdigit():
            found[int(number), rest.rpartition(".")[2]] = whole(value)
    return found
