"""A box that asked for a network: what its code reaches, what it doesn't, and that traffic holds no step up."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator

import pytest

from sandbox import CodeError, DockerBackend, DockerSandbox, LimitExceeded, SandboxSettings
from tests.sandbox.leaks import IDLE, assert_settled, usage

pytestmark = pytest.mark.docker

GET = "import urllib.request\ndef get(url): return urllib.request.urlopen(url, timeout=10).read().decode()\n"


class Serving(http.server.BaseHTTPRequestHandler):
    """`/endless` never stops; everything else says its own path."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            if self.path == "/endless":
                while True:
                    self.wfile.write(b"x" * 65536)
            self.wfile.write(self.path.encode() * (100_000 if self.path == "/big" else 1))
        except OSError:
            return

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Serving) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def backend(sandbox_image: str, port: int) -> Iterator[DockerBackend]:
    rules = (f"127.0.0.1:{port}", f"allowed.test:{port}")
    backend = DockerBackend(SandboxSettings(image=sandbox_image, warm=0, step_timeout=20, network=rules))
    yield backend
    backend.close()


@pytest.fixture
def box(backend: DockerBackend) -> Iterator[DockerSandbox]:
    with backend.open() as box:
        box(GET)
        box._proxy._resolve = lambda name, port: ["127.0.0.1"]
        yield box


def test_code_reaches_what_the_list_names_with_the_tools_it_knows(box, port):
    assert box(f"get('http://127.0.0.1:{port}/page')").output == "/page"
    assert box(f"get('http://allowed.test:{port}/named')").output == "/named"
    assert box(f"len(get('http://127.0.0.1:{port}/big'))").output == 400_000
    (first, *_) = box.connections
    assert (first.name, first.port, first.allowed, first.outcome) == ("127.0.0.1", port, True, "done")


def test_a_tunnel_is_had_by_connect(box, port):
    code = f"""
import http.client
connection = http.client.HTTPConnection('127.0.0.1', 3128)
connection.set_tunnel('allowed.test', {port})
connection.request('GET', '/inside')
connection.getresponse().read().decode()"""
    assert box(code).output == "/inside"


@pytest.mark.parametrize("url", ["http://forbidden.test:{port}/", "http://127.0.0.1:1/", "http://allowed.test/"])
def test_what_is_not_on_the_list_is_refused_with_the_reason_and_recorded(box, port, url):
    with pytest.raises(CodeError, match="is not on this sandbox's list"):
        box(f"get('{url.format(port=port)}')")
    assert not box.connections[-1].allowed


def test_the_proxy_is_the_only_way(box, port):
    for direct in (f"('127.0.0.1', {port})", "('1.1.1.1', 443)", "('169.254.169.254', 80)"):
        with pytest.raises(CodeError, match="refused|unreachable"):
            box(f"import socket\nsocket.create_connection({direct}, timeout=3)")
    assert box("import socket\ntry:\n    socket.getaddrinfo('example.org', 443)\nexcept OSError: print('no DNS')").logs
    with pytest.raises(CodeError, match="in use"):
        box("taken = socket.socket()\ntaken.setsockopt(1, 15, 1)\ntaken.bind(('127.0.0.1', 3128))\ntaken.listen()")
    for family, kind in ((16, 3), (17, 3), (40, 1), (38, 5)):
        with pytest.raises(CodeError):
            box(f"socket.socket({family}, {kind})")


def test_without_a_list_nothing_listens_and_nothing_is_said(sandbox_image):
    with DockerSandbox(image=sandbox_image) as box:
        assert box("import os\n[name for name in os.environ if 'proxy' in name.lower()]").output == []
        assert "01" not in box("open('/proc/net/tcp').read()").output.split("\n", 1)[1]
        with pytest.raises(CodeError, match="family not supported"):
            box("import socket\nsocket.socket()")
        assert box.connections == []


def test_the_prompt_says_what_can_be_reached(backend, sandbox_image, port):
    assert f"only 127.0.0.1:{port}, allowed.test:{port} can be reached" in backend.guidance
    closed = DockerBackend(SandboxSettings(image=sandbox_image, warm=0))
    assert "There is no network" in closed.guidance
    closed.close()


def test_a_download_without_end_ends_with_its_step_and_the_session_stays(sandbox_image, port):
    rules = [f"127.0.0.1:{port}"]
    settings = SandboxSettings(image=sandbox_image, network_total=1 << 40)
    with DockerSandbox(limits=settings, network=rules, step_timeout=2) as box:
        box(GET + "kept = 1")
        started = time.monotonic()
        with pytest.raises(LimitExceeded) as ended:
            box(f"answer = urllib.request.urlopen('http://127.0.0.1:{port}/endless')\nwhile answer.read(1 << 16): pass")
        assert time.monotonic() - started < 3 * 3
        assert not ended.value.state_lost
        assert box("kept").output == 1


def test_a_download_in_a_thread_holds_no_call_up_and_stands_still_meanwhile(box, port):
    box.send_tools({"wait": lambda: time.sleep(1)})
    box(f"""
import threading
count = 0
def load():
    global count
    answer = urllib.request.urlopen('http://127.0.0.1:{port}/endless')
    while part := answer.read(65536): count += len(part)
threading.Thread(target=load, daemon=True).start()
import time
while not count: time.sleep(0.01)""")
    moved = box("a = count\nwait()\ncount - a").output
    worked = box("a = count\ntime.sleep(1)\ncount - a").output
    assert moved < worked / 3  # what lay in buffers
    started = time.monotonic()
    for _ in range(20):
        box("1")
    assert time.monotonic() - started < 20 * 0.5


def test_the_sum_of_all_bytes_is_limited(sandbox_image, port):
    settings = SandboxSettings(image=sandbox_image, network_total=100_000)
    with DockerSandbox(limits=settings, network=[f"127.0.0.1:{port}"]) as box:
        box(GET)
        assert box(f"len(get('http://127.0.0.1:{port}/big'))").output <= 100_000
        assert "more than 100,000 bytes" in box.connections[0].outcome


def test_many_connections_at_once_are_served(box, port):
    code = f"""
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(40) as threads:
    pages = list(threads.map(get, ['http://127.0.0.1:{port}/' + str(n) for n in range(80)]))
[int(page[1:]) for page in pages] == list(range(80))"""
    assert box(code).output is True


def test_connections_that_are_left_open_end_with_the_session(sandbox_image, port):
    before = usage()
    with DockerSandbox(image=sandbox_image, network=[f"127.0.0.1:{port}"]) as box:
        box(f"""
import socket
held = [socket.create_connection(('127.0.0.1', 3128)) for _ in range(20)]
for each in held: each.sendall(b'CONNECT 127.0.0.1:{port} HTTP/1.1\\r\\n\\r\\n')
for each in held: assert each.recv(100)""")
        assert len(box.connections) == 20
    assert_settled(before, spare=IDLE)  # the containers of the tests before may still be removed meanwhile


def test_a_worker_that_dies_takes_its_connections_along(box, port):
    with pytest.raises(CodeError, match="gone"):
        box(f"answer = urllib.request.urlopen('http://127.0.0.1:{port}/endless')\nimport os\nos._exit(1)")
    assert box(GET + f"get('http://127.0.0.1:{port}/again')").output == "/again"


def test_every_connection_is_an_event_of_the_step_that_asked_for_it(backend, port):
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    with backend.open(tracer=provider.get_tracer("test")) as box:
        box(GET)
        box(f"get('http://127.0.0.1:{port}/page')")
        with pytest.raises(CodeError):
            box("get('http://forbidden.test/')")
    provider.shutdown()
    events = [
        [
            (event.attributes["server.address"], event.attributes["allowed"])
            for event in each.events
            if "sand" in event.name
        ]
        for each in spans.get_finished_spans()
        if each.name.startswith("execute_code")
    ]
    assert events == [[], [("127.0.0.1", True)], [("forbidden.test", False)]]
