import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracer, StatusCode

from observability import Kind, Telemetry, TraceSettings, inherited, span
from observability.conventions import INHERITED, kind_attributes, kind_of


class Stop(BaseException):
    """Like the signal that ends a run: no `except Exception` sees it."""


class Unprintable:
    def __str__(self):
        raise RuntimeError("no text")


class UnprintableError(Exception):
    def __str__(self):
        raise RuntimeError("no text")


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def plain_tracer(exporter):
    """A tracer of anybody's provider: `span` must not need ours."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer("test")


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_is_told_from_its_own_attributes(kind):
    assert kind_of(kind_attributes(kind, "name")) is kind


def test_kinds_of_other_instrumentations_are_understood():
    assert kind_of({"openinference.span.kind": "LLM"}) is Kind.CHAT
    assert kind_of({"gen_ai.operation.name": "execute_tool"}) is Kind.TOOL
    assert kind_of({"mcp.method.name": "tools/list"}) is Kind.MCP
    assert kind_of({"http.method": "GET"}) is None
    assert kind_of({"dionysus.span.kind": ["run"], "openinference.span.kind": {}}) is None


def test_a_span_says_what_it_is_in_all_three_vocabularies(plain_tracer, exporter):
    with span(plain_tracer, Kind.CHAT, "chat gpt"), span(plain_tracer, Kind.MEMORY, "create_memory"):
        pass
    memory, chat = exporter.get_finished_spans()
    assert chat.attributes["dionysus.span.kind"] == "chat"
    assert chat.attributes["openinference.span.kind"] == "LLM"
    assert chat.attributes["gen_ai.operation.name"] == "chat"
    assert chat.kind is trace.SpanKind.CLIENT
    assert memory.attributes["gen_ai.operation.name"] == "create_memory"
    assert memory.parent.span_id == chat.context.span_id


@pytest.mark.parametrize(
    "error", [ValueError("bad"), Stop("spent"), KeyboardInterrupt(), GeneratorExit(), SystemExit(3)]
)
def test_whatever_leaves_a_span_ends_and_detaches_it(plain_tracer, exporter, error):
    before = context.get_current()
    with pytest.raises(type(error)) as raised, span(plain_tracer, Kind.LAYER, "invoke_agent perceptual"):
        raise error
    assert raised.value is error
    assert context.get_current() == before
    (ended,) = exporter.get_finished_spans()
    assert ended.status.status_code is StatusCode.ERROR
    assert ended.attributes["error.type"] == type(error).__qualname__
    (event,) = ended.events
    assert ("exception.stacktrace" in event.attributes) == isinstance(error, Exception)


def test_an_attribute_that_cannot_be_read_does_not_end_the_run(plain_tracer, exporter):
    with span(plain_tracer, Kind.TOOL, "execute_tool x", {"bad": Unprintable()}) as opened:
        opened.set_attribute("worse", Unprintable())
        opened.set_attributes({"fine": 1, "bad": Unprintable()})
        opened.set_attribute("nothing", None)
        opened.add_event("seen", {"bad": Unprintable()})
    with pytest.raises(UnprintableError), span(plain_tracer, Kind.TOOL, "execute_tool y"):
        raise UnprintableError
    assert exporter.get_finished_spans()[-1].status.status_code is StatusCode.ERROR


def test_a_tracer_that_fails_does_not_end_the_run():
    class Broken(NoOpTracer):
        def start_span(self, *args, **kwargs):
            raise OSError("no ids left")

    with span(Broken(), Kind.RUN, "run", {"session.id": "s"}) as opened:
        opened.set_attribute("a", 1)
        assert not opened.is_recording()


def test_attributes_are_inherited_by_all_spans_below(telemetry, open_store):
    attributes = {"session.id": "s", "dionysus.run.id": "r", "dionysus.layer": "consciousness", "dionysus.tier": None}
    with inherited(attributes), span(telemetry.tracer, Kind.RUN, "run"):
        layer = {"dionysus.layer": "perceptual", "input.value": "private"}
        with span(telemetry.tracer, Kind.LAYER, "layer", layer), span(telemetry.tracer, Kind.STEP, "step 1"):
            pass
        with span(telemetry.tracer, Kind.STEP, "after"):
            pass
    telemetry.flush()
    spans = {node.name: node for node in open_store().run("r").spans()}
    assert [spans[name].layer for name in ("run", "layer", "step 1", "after")] == [
        "consciousness",
        "perceptual",
        "perceptual",
        "consciousness",
    ]
    assert all(node.attributes["session.id"] == "s" for node in spans.values())
    assert "input.value" not in spans["step 1"].attributes
    assert "dionysus.tier" not in spans["run"].attributes


def test_only_known_names_are_inherited(telemetry, open_store):
    with pytest.raises(ValueError, match=r"not input\.value"), inherited({"input.value": "everything"}):
        pass
    token = context.attach(baggage.set_baggage("user.email", "someone"))
    try:
        with span(telemetry.tracer, Kind.RUN, "run"):
            pass
    finally:
        context.detach(token)
    telemetry.flush()
    assert "user.email" not in open_store().runs()[0].to_json() | dict(
        open_store().run(open_store().runs()[0].run_id).root.attributes
    )


def test_a_copied_context_carries_a_run_into_a_thread(telemetry, open_store):
    import contextvars

    with span(telemetry.tracer, Kind.RUN, "run", {"dionysus.run.id": "r"}), ThreadPoolExecutor(1) as pool:
        carried = contextvars.copy_context()

        def work():
            with span(telemetry.tracer, Kind.STEP, "step 1"):
                pass

        pool.submit(carried.run, work).result()
    telemetry.flush()
    assert [child.name for child in open_store().run("r").root.children] == ["step 1"]


def test_a_disabled_telemetry_records_nothing_and_makes_no_file(store_path):
    with Telemetry(TraceSettings(path=store_path, enabled=False), service="test") as telemetry:
        with span(telemetry.tracer, Kind.RUN, "run") as opened:
            assert not opened.is_recording()
        assert telemetry.flush()
        telemetry.make_global()
    assert not store_path.parent.exists()


def test_importing_the_package_loads_the_opentelemetry_api_alone():
    heavy = ("opentelemetry.sdk", "sqlite3", "pydantic_settings", "starlette", "jinja2", "sqlalchemy", "requests")
    script = f"import sys, observability; print([name for name in {heavy!r} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_inherited_names_are_the_five_that_may_leave_the_process():
    assert set(INHERITED) == {
        "session.id",
        "dionysus.run.id",
        "dionysus.layer",
        "dionysus.layer.path",
        "dionysus.tier",
    }
