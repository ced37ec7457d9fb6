"""A real collector of traces over real HTTP, and runs to send to it."""

import contextlib
import http.server
import threading

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


def a_run(telemetry):
    said = {"input.value": "a private question", "gen_ai.request.model": "claude"}
    run = span(telemetry.tracer, Kind.RUN, "run", {"dionysus.run.id": "r"})
    with run, pytest.raises(ValueError, match="quote"), span(telemetry.tracer, Kind.CHAT, "chat", said):
        raise ValueError("a private quote")
