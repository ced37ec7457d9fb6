"""A workbench of real parts for tests of delegation: monty, scripted models, the test's own tools; no memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from layers.run import Budget, Lifeline, LoopThread, Run
from layers.spec import LayerSpec, resolve_layers
from layers.toolbox import Toolbox, own_tools
from layers.workbench import Workbench
from sandbox import SandboxSettings, select


class OneModel:
    """Tiers that all lead to one model."""

    notice = None

    def __init__(self, model: Any) -> None:
        self._model = model

    def model(self, name: str) -> Any:
        return self._model


@contextmanager
def workbench(
    model: Any, layers: Mapping[str, Any] | None = None, tools: tuple[Callable[..., Any], ...] = ()
) -> Iterator[Workbench]:
    """A workbench whose layers have no built-in tools unless `layers` names some of `tools`."""
    bare = {name: {"tools": ()} for name in ("perceptual", "conceptual", "abstract", "metacognitive", "consciousness")}
    specs = resolve_layers({**{k: {**v} for k, v in bare.items()}, **(layers or {})})
    specs = {name: spec if layers and name in layers else _bare(spec) for name, spec in specs.items()}
    loop = LoopThread()
    backend = select(SandboxSettings(backend="monty"))
    own = own_tools(tools, builtin=())
    try:
        yield Workbench(specs, OneModel(model), Toolbox({}, {}, own, loop), backend)
    finally:
        backend.close()
        loop.close()


@contextmanager
def opened_run(
    budget: Budget | None = None, deadline: float | None = None
) -> Iterator[tuple[Run, InMemorySpanExporter]]:
    """A run whose spans are kept in memory."""
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    lifeline = Lifeline(deadline)
    run = Run("run", "session", budget or Budget(), lifeline, provider.get_tracer("tests"))
    try:
        with run.span("task"):
            yield run, spans
    finally:
        run.events.close()
        lifeline.close()
        provider.shutdown()


def _bare(spec: LayerSpec) -> LayerSpec:
    return spec.model_copy(update={"tools": ()})
