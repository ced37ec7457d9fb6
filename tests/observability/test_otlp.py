"""A real collector over real HTTP: what it is told, and what its absence costs."""

import contextlib
import http.server
import socket
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from observability import Kind, span


class Collector:
    """An OTLP/HTTP collector that keeps what it was sent; `answer` may be a status code or "hang"."""

    def __init__(self):
        self.spans, self.headers, self.paths, self.bodies, self.answers = [], [], [], [], []
        self.arrived = threading.Event()
        self.released = threading.Event()
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = collector.answers.pop(0) if collector.answers else 200
                if answer == "hang":
                    collector.released.wait(30)
                    answer = 200
                if answer == 200:
                    collector.take(self.path, dict(self.headers), body)
                with contextlib.suppress(OSError):
                    self.send_response(answer)
                    if answer == 302:
                        self.send_header("Location", f"http://127.0.0.1:{collector.port}/elsewhere")
                    self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def take(self, path, headers, body):
        request = ExportTraceServiceRequest.FromString(body)
        self.paths.append(path)
        self.headers.append({name.lower(): value for name, value in headers.items()})
        self.bodies.append(body)
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)
        self.arrived.set()

    def close(self):
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def collector():
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture
def dead_port():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return closed.getsockname()[1]


def attributes(span):
    return {entry.key: entry.value for entry in span.attributes}


def a_run(telemetry):
    said = {"input.value": "a private question", "gen_ai.request.model": "claude"}
    run = span(telemetry.tracer, Kind.RUN, "run", {"dionysus.run.id": "r"})
    with run, pytest.raises(ValueError, match="quote"), span(telemetry.tracer, Kind.CHAT, "chat", said):
        raise ValueError("a private quote")


def stored(path):
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT count(*) FROM span WHERE end_ns IS NOT NULL").fetchone()[0]
    finally:
        connection.close()


def test_a_collector_gets_facts_and_no_content_unless_asked(start_telemetry, collector, store_path):
    telemetry = start_telemetry(otlp_endpoint=collector.endpoint, otlp_headers={"x-key": "collector-key"})
    a_run(telemetry)
    telemetry.shutdown(10)
    chat, run = sorted(collector.spans, key=lambda span: span.name)
    assert (chat.name, run.name) == ("chat", "run")
    assert chat.trace_id == run.trace_id
    assert chat.parent_span_id == run.span_id
    assert attributes(chat)["gen_ai.request.model"].string_value == "claude"
    assert attributes(chat)["dionysus.run.id"].string_value == "r"
    assert b"private" not in b"".join(collector.bodies)
    assert collector.paths == ["/v1/traces"]
    assert collector.headers[0]["x-key"] == "collector-key"
    assert b"private" in store_path.read_bytes()


def test_a_password_in_the_address_is_sent_as_a_header(start_telemetry, collector):
    telemetry = start_telemetry(otlp_endpoint=f"http://me:p%40ss@127.0.0.1:{collector.port}")
    a_run(telemetry)
    telemetry.shutdown(10)
    assert collector.paths == ["/v1/traces"]
    assert collector.headers[0]["authorization"] == "Basic bWU6cEBzcw=="  # me:p@ss


def test_a_dead_collector_is_named_without_the_password_of_its_address(start_telemetry, dead_port, caplog):
    telemetry = start_telemetry(otlp_endpoint=f"http://me:hidden-word@127.0.0.1:{dead_port}")
    a_run(telemetry)
    telemetry.shutdown(10)
    assert f"http://127.0.0.1:{dead_port}/v1/traces takes no spans" in caplog.text
    assert "hidden-word" not in caplog.text


def test_a_collector_gets_redacted_content_when_asked(start_telemetry, collector):
    telemetry = start_telemetry(otlp_endpoint=collector.endpoint, otlp_content=True, secrets=["private"])
    a_run(telemetry)
    telemetry.shutdown(10)
    chat = next(span for span in collector.spans if span.name == "chat")
    assert attributes(chat)["input.value"].string_value == "a [redacted] question"
    assert chat.status.message == "ValueError: a [redacted] quote"
    assert b"private" not in b"".join(collector.bodies)


def test_spans_are_sent_while_the_process_lives(start_telemetry, collector):
    a_run(start_telemetry(otlp_endpoint=collector.endpoint))
    assert collector.arrived.wait(10)


def test_a_collector_that_is_busy_gets_the_spans_later(start_telemetry, collector):
    collector.answers = [503]
    telemetry = start_telemetry(otlp_endpoint=collector.endpoint)
    a_run(telemetry)
    assert collector.arrived.wait(20)
    telemetry.shutdown(10)
    assert sorted(span.name for span in collector.spans) == ["chat", "run"]


def test_a_collector_that_refuses_is_not_asked_again_with_the_same_spans(start_telemetry, collector, caplog):
    collector.answers = [401]
    telemetry = start_telemetry(otlp_endpoint=collector.endpoint)
    a_run(telemetry)
    telemetry.shutdown(10)
    assert collector.spans == []
    assert "answered 401" in caplog.text


def test_a_redirect_is_not_followed(start_telemetry, collector):
    collector.answers = [302]
    telemetry = start_telemetry(otlp_endpoint=collector.endpoint, otlp_headers={"x-key": "collector-key"})
    a_run(telemetry)
    telemetry.shutdown(10)
    assert collector.paths == []


def test_a_dead_collector_delays_exit_by_two_seconds_at_most_and_costs_the_store_nothing(
    start_telemetry, dead_port, store_path
):
    telemetry = start_telemetry(otlp_endpoint=f"http://127.0.0.1:{dead_port}")
    a_run(telemetry)
    start = time.monotonic()
    telemetry.shutdown()
    assert time.monotonic() - start < 6  # promised: 2 s
    assert stored(store_path) == 2


def test_a_hanging_collector_delays_neither_the_store_nor_the_exit(collector, store_path):
    collector.answers = ["hang"] * 100
    script = f"""
from pathlib import Path
from observability import Kind, Telemetry, TraceSettings, span
import time
telemetry = Telemetry(TraceSettings(path=Path({str(store_path)!r}), otlp_endpoint={collector.endpoint!r}), service="t")
with span(telemetry.tracer, Kind.RUN, "run"):
    for n in range(500):
        with span(telemetry.tracer, Kind.STEP, "step"):
            pass
time.sleep(1.5)
print(time.time())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert time.time() - float(done.stdout) < 6  # promised: 2 s
    assert stored(store_path) == 501


def test_a_missing_extra_is_named_and_the_local_store_goes_on(start_telemetry, monkeypatch, store_path, caplog):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.common.trace_encoder", None)
    telemetry = start_telemetry(otlp_endpoint="http://127.0.0.1:4318")
    a_run(telemetry)
    telemetry.shutdown()
    assert "pip install 'dionysus-mind[otlp]'" in caplog.text
    assert stored(store_path) == 2
