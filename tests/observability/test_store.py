import contextlib
import json
import sqlite3
import subprocess
import sys
import textwrap
import time

import pytest

from observability import Kind, TelemetryError, TraceStore, span
from observability.records import Status
from observability.runs import Text


def think(telemetry, run_id="r", *, price=0.01, layers=("perceptual",), answer="the answer"):
    """A small run, as the layers make it."""
    tracer = telemetry.tracer
    task = {"dionysus.run.id": run_id, "input.value": "the task", "session.id": "s"}
    with span(tracer, Kind.RUN, "invoke_workflow mind", task) as run:
        for layer in layers:
            limit = {"dionysus.layer": layer, "dionysus.step.max": 3}
            with span(tracer, Kind.LAYER, f"invoke_agent {layer}", limit):
                for number in (1, 2):
                    with span(tracer, Kind.STEP, f"step {number}", {"dionysus.step.number": number}):
                        used = {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10}
                        with span(tracer, Kind.CHAT, "chat m", {**used, "gen_ai.usage.cost": price}):
                            pass
                with span(tracer, Kind.STEP, "closing", {"dionysus.step.closing": True}):
                    pass
        run.set_attribute("output.value", answer)
        run.set_attribute("dionysus.stop_reason", "answered")


def test_a_list_tells_each_run_newest_first(telemetry, open_store):
    for number in range(3):
        think(telemetry, f"run-{number}", layers=("perceptual", "abstract"))
    telemetry.flush()
    store = open_store()
    assert [run.run_id for run in store.runs()] == ["run-2", "run-1", "run-0"]
    assert [run.run_id for run in store.runs(limit=1)] == ["run-2"]
    run = store.runs()[0]
    assert (run.status, run.task, run.answer, run.session, run.stop_reason) == (
        Status.OK,
        "the task",
        "the answer",
        "s",
        "answered",
    )
    assert (run.steps, run.spans, run.errors) == (4, 13, 0)
    assert run.layers == ["perceptual", "abstract"]
    assert (run.cost.calls, run.cost.tokens) == (4, 440)
    assert run.cost.usd == pytest.approx(0.04)
    assert 0 < run.seconds(time.time_ns()) < 60
    assert json.loads(json.dumps(run.to_json()))["tokens"] == 440


def test_runs_are_selected_by_status_and_session(telemetry, open_store):
    think(telemetry, "fine")
    with pytest.raises(ValueError, match="no"), span(telemetry.tracer, Kind.RUN, "bad", {"dionysus.run.id": "failed"}):
        raise ValueError("no")
    telemetry.flush()
    store = open_store()
    assert [run.run_id for run in store.runs(status=Status.ERROR)] == ["failed"]
    assert [run.run_id for run in store.runs(session="s")] == ["fine"]


def test_a_price_that_is_unknown_is_none_and_never_zero(telemetry, open_store):
    think(telemetry, "free", price=0.0)
    think(telemetry, "unknown", price=None)
    telemetry.flush()
    unknown, free = open_store().runs()
    assert (free.cost.usd, free.cost.unpriced_calls) == (0.0, 0)
    assert (unknown.cost.usd, unknown.cost.known_usd, unknown.cost.unpriced_calls) == (None, 0.0, 2)


def test_a_run_is_one_tree_with_sums_for_each_layer(telemetry, open_store):
    think(telemetry, "r", layers=("perceptual", "abstract", "perceptual"))
    telemetry.flush()
    trace = open_store().run("r")
    assert [(depth, node.name) for depth, node in trace.root.walk()][:6] == [
        (0, "invoke_workflow mind"),
        (1, "invoke_agent perceptual"),
        (2, "step 1"),
        (3, "chat m"),
        (2, "step 2"),
        (3, "chat m"),
    ]
    perceptual, abstract = trace.layers(time.time_ns())
    assert (perceptual.layer, perceptual.delegations, perceptual.steps, perceptual.closing) == ("perceptual", 2, 4, 2)
    assert (perceptual.steps_max, abstract.steps_max) == (6, 3)
    assert perceptual.cost.tokens == 440
    assert len(list(trace.spans())) == 1 + 3 * 6
    assert json.loads(json.dumps(trace.to_json(time.time_ns())))["root"]["children"][0]["layer"] == "perceptual"


def test_a_run_is_found_by_the_beginning_of_its_id_or_trace(telemetry, open_store):
    for run_id in ("alpha-1", "alpha-2", "beta-1"):
        think(telemetry, run_id)
    telemetry.flush()
    store = open_store()
    beta = store.run("be")
    assert beta.summary.run_id == "beta-1"
    assert store.run(beta.summary.trace_id[:12]).summary.run_id == "beta-1"
    assert store.run("alpha-1").summary.run_id == "alpha-1"
    with pytest.raises(TelemetryError, match="2 runs begin with 'alpha': alpha-2, alpha-1; give more"):
        store.run("alpha")
    with pytest.raises(TelemetryError, match="no run 'bata-1'; the nearest are beta-1"):
        store.run("bata-1")
    with pytest.raises(TelemetryError, match="no run '100%'"):
        store.run("100%")
    with pytest.raises(TelemetryError, match="no run ''"):
        store.run("")


def test_an_id_that_begins_another_is_still_found(telemetry, open_store):
    think(telemetry, "run-1")
    think(telemetry, "run-10")
    telemetry.flush()
    assert open_store().run("run-1").summary.run_id == "run-1"


def test_long_texts_come_with_their_beginning_and_whole_on_demand(telemetry, open_store):
    think(telemetry, answer="word " * 500)
    telemetry.flush()
    store = open_store()
    answer = store.run("r").root.attributes["output.value"]
    assert isinstance(answer, Text)
    assert str(answer).startswith("word word")
    assert str(answer).endswith("…")
    assert store.content(answer.hash) == "word " * 500
    assert store.content("unknown") is None
    assert store.runs()[0].answer.startswith("word word")


def change(path, statement):
    """Change a trace store behind its back."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def test_spans_whose_parent_is_missing_hang_on_the_run(telemetry, store_path, open_store):
    think(telemetry)
    telemetry.flush()
    change(store_path, "DELETE FROM span WHERE kind = 'layer'")
    assert [node.name for node in open_store().run("r").root.children] == ["step 1", "step 2", "closing"]


def test_a_kind_of_span_that_only_a_newer_version_knows_is_no_reason_to_show_nothing(telemetry, store_path, open_store):
    think(telemetry)
    telemetry.flush()
    change(store_path, "UPDATE span SET kind = 'dreaming' WHERE kind = 'layer'")
    assert [node.kind for node in open_store().run("r").root.children] == [None]


def test_a_tree_deeper_than_the_stack_is_read_and_told(telemetry, open_store):
    with contextlib.ExitStack() as stack:
        stack.enter_context(span(telemetry.tracer, Kind.RUN, "run", {"dionysus.run.id": "deep"}))
        for n in range(1500):
            stack.enter_context(span(telemetry.tracer, Kind.STEP, f"step {n}"))
    assert telemetry.flush(10)
    trace = open_store().run("deep")
    assert max(depth for depth, _ in trace.root.walk()) == 1500
    assert trace.root.to_json()["children"][0]["name"] == "step 0"


def test_requests_from_outside_a_run_are_not_runs(telemetry, open_store):
    from opentelemetry.trace import SpanKind

    telemetry.tracer.start_span("tools/list", kind=SpanKind.SERVER, attributes={"mcp.method.name": "tools/list"}).end()
    with span(telemetry.tracer, Kind.MCP, "tools/call recall"):
        pass
    with telemetry.tracer.start_as_current_span("somebody's agent"):
        pass
    telemetry.flush()
    assert [run.name for run in open_store().runs()] == ["somebody's agent"]


def test_reading_goes_on_while_a_run_writes(telemetry, open_store):
    with span(telemetry.tracer, Kind.RUN, "run", {"dionysus.run.id": "live"}):
        telemetry.flush()
        store = open_store()
        for n in range(5):
            with span(telemetry.tracer, Kind.STEP, f"step {n}"):
                telemetry.flush()
                trace = store.run("live")
                assert len(trace.root.children) == n + 1
                assert trace.root.children[-1].status is Status.RUNNING


def test_a_missing_an_empty_and_a_foreign_file_are_named(tmp_path):
    with pytest.raises(TelemetryError, match=r"no trace store at .*nothing\.db yet; think"):
        TraceStore(tmp_path / "nothing.db")
    (tmp_path / "empty.db").touch()
    with pytest.raises(TelemetryError, match=r"empty\.db is empty"):
        TraceStore(tmp_path / "empty.db")
    (tmp_path / "text.db").write_text("hello " * 200)
    with pytest.raises(TelemetryError, match=r"text\.db is not a trace store .*; set another \[trace\] path"):
        TraceStore(tmp_path / "text.db")
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE people (name TEXT)")
    connection.commit()
    connection.close()
    with pytest.raises(TelemetryError, match="another program's database"):
        TraceStore(tmp_path / "other.db")


def test_a_newer_store_is_refused_with_what_to_do(telemetry, store_path):
    telemetry.shutdown()
    connection = sqlite3.connect(store_path)
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(TelemetryError, match=r"newer Dionysus \(trace version 2, this one reads 1\); upgrade"):
        TraceStore(store_path)


SERVER = """
import sys
from pathlib import Path
from mcp.server import MCPServer
from observability import Kind, Telemetry, TraceSettings, span
telemetry = Telemetry(TraceSettings(path=Path(sys.argv[1])), service="memory")
telemetry.make_global()
server = MCPServer("memory")

@server.tool()
def semantic_recall(query: str) -> str:
    with span(telemetry.tracer, Kind.RETRIEVAL, "search_memory", {"dionysus.memory.hits": 2}):
        return f"found {query}"

server.run("stdio")
"""


def test_one_trace_goes_through_an_mcp_servers_process(telemetry, tmp_path, store_path, open_store):
    """The real SDK on both sides: the trace and what is inherited travel in `_meta`."""
    import anyio
    from mcp import Client
    from mcp.client.stdio import StdioServerParameters, stdio_client

    script = tmp_path / "server.py"
    script.write_text(textwrap.dedent(SERVER))
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    parameters = StdioServerParameters(command=sys.executable, args=[str(script), str(store_path)], env=environment)

    async def call():
        async with Client(stdio_client(parameters)) as client:
            start = {"dionysus.run.id": "r", "session.id": "s"}
            with span(telemetry.tracer, Kind.RUN, "run", start):
                layer = {"dionysus.layer": "perceptual"}
                with span(telemetry.tracer, Kind.MCP, "tools/call semantic_recall", layer):
                    return await client.call_tool("semantic_recall", {"query": "queues"})

    anyio.run(call)
    telemetry.flush()
    deadline = time.monotonic() + 60
    store = open_store()
    names = {}
    while "search_memory" not in names and time.monotonic() < deadline:
        time.sleep(0.05)
        names = {node.name: node for node in store.run("r").spans()}
    found = names["search_memory"]
    assert found.service == "memory"
    assert found.layer == "perceptual"
    assert found.attributes["session.id"] == "s"
    assert found.parent_id != names["run"].span_id
    assert [run.run_id for run in store.runs()] == ["r"]


def test_the_package_is_of_use_to_plain_opentelemetry_code(store_path, open_store):
    """Nothing of Dionysus but this package: another program's spans, kept and read in the same way."""
    script = """
        import sys
        from pathlib import Path
        from opentelemetry import trace
        from observability import Telemetry, TraceSettings
        Telemetry(TraceSettings(path=Path(sys.argv[1])), service="my-agent").make_global()
        tracer = trace.get_tracer("my.agent")
        with tracer.start_as_current_span("my agent", attributes={"openinference.span.kind": "AGENT"}):
            usage = {"openinference.span.kind": "LLM", "llm.token_count.prompt": 12, "llm.token_count.completion": 3}
            with tracer.start_as_current_span("completion", attributes=usage):
                pass
            with tracer.start_as_current_span("search", attributes={"openinference.span.kind": "TOOL"}):
                pass
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script), str(store_path)], check=True, timeout=60)
    store = open_store()
    (run,) = store.runs()
    assert (run.name, run.status, run.cost.tokens, run.cost.usd) == ("my agent", Status.OK, 15, None)
    trace = store.run(run.run_id)
    assert [(node.kind, node.name) for node in trace.root.children] == [
        (Kind.CHAT, "completion"),
        (Kind.TOOL, "search"),
    ]
    assert trace.root.service == "my-agent"
