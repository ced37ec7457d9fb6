"""Every execution is a span, and it says how it ended."""

import contextlib

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from sandbox import SandboxError


@pytest.fixture
def traced():
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield provider.get_tracer("test"), exporter
    provider.shutdown()


def test_a_step_is_a_span_with_its_code_its_output_and_its_end(open_box, traced):
    tracer, exporter = traced
    box = open_box(tracer=tracer)
    box("print('hi')")
    box("2")
    first, second = exporter.get_finished_spans()
    assert first.name == f"execute_code {box.backend}"
    assert first.attributes["input.value"] == "print('hi')"
    assert first.attributes["output.value"] == "hi\n"
    assert first.attributes["dionysus.sandbox.backend"] == box.backend
    assert [span.attributes["dionysus.sandbox.cold"] for span in (first, second)] == [True, False]


@pytest.mark.parametrize(
    ("code", "end"),
    [
        ("1", "ok"),
        ("final_answer(1)", "final_answer"),
        ("1 / 0", "error"),
        ("while True: pass", "limit"),
        ("halt()", "stopped"),
    ],
)
def test_a_span_says_how_the_step_ended(open_box, traced, code, end):
    tracer, exporter = traced

    def halt():
        raise KeyboardInterrupt

    box = open_box({"halt": halt}, tracer=tracer, step_timeout=0.5 if end == "limit" else 20)
    with contextlib.suppress(SandboxError, KeyboardInterrupt):
        box(code)
    (span,) = exporter.get_finished_spans()
    assert span.attributes["dionysus.sandbox.exit"] == end
    assert (span.status.status_code is StatusCode.ERROR) == (end not in ("ok", "final_answer"))


def test_what_a_tool_traces_lies_below_the_step(open_box, traced):
    tracer, exporter = traced

    def search():
        with tracer.start_as_current_span("search"):
            return 1

    open_box({"search": search}, tracer=tracer)("search()")
    inner, step = exporter.get_finished_spans()
    assert inner.parent.span_id == step.context.span_id
