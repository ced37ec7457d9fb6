"""A real collector over real HTTP: what it is told, and what its absence costs."""

import socket
import sqlite3
import sys

import pytest

from tests.observability.collectors import Collector, a_run


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


def test_a_missing_extra_is_named_and_the_local_store_goes_on(start_telemetry, monkeypatch, store_path, caplog):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.common.trace_encoder", None)
    telemetry = start_telemetry(otlp_endpoint="http://127.0.0.1:4318")
    a_run(telemetry)
    telemetry.shutdown()
    assert "pip install 'dionysus-mind[otlp]'" in caplog.text
    assert stored(store_path) == 2
