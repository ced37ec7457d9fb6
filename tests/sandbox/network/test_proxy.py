"""The proxy with real sockets on the loopback interface: names stand for addresses that the test gives them."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import pytest

from sandbox.network.proxy import NetworkLimits, Proxy
from sandbox.network.rules import AllowList
from tests.support.clock import ManualClock


class Answering(http.server.BaseHTTPRequestHandler):
    """Says what it was asked; `/away` leads to another server, `/big` says much."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Host"]))
        self.send_response(302 if self.path == "/away" else 200)
        if self.path == "/away":
            self.send_header("Location", "http://forbidden.test/")
        body = b"x" * 3_000_000 if self.path == "/big" else f"{self.path} for {self.headers['Host']}".encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, sent.decode()))
        self.send_response(200)
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.asked: list[tuple[str, str]] = []


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class World:
    """A proxy for `allowed.test` and one that may look for its other names."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.names: dict[str, Sequence[str]] = {"allowed.test": ["127.0.0.1"], "forbidden.test": ["127.0.0.1"]}
        self.looked_up: list[str] = []
        self.limits: dict[str, float] = {}
        self.rules = [f"allowed.test:{port}", f"127.0.0.1:{port}"]
        self._threads: list[threading.Thread] = []
        self._proxy: Proxy | None = None
        self.clock = ManualClock()

    @property
    def proxy(self) -> Proxy:
        if self._proxy is None:
            limits = NetworkLimits(**self.limits)
            self._proxy = Proxy(AllowList(self.rules), limits, resolve=self._resolve, clock=self.clock)
        return self._proxy

    def _resolve(self, name: str, port: int) -> Sequence[str]:
        self.looked_up.append(name)
        if name not in self.names:
            raise OSError("no such name")
        return self.names[name]

    def open(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.settimeout(20)
        thread = threading.Thread(target=self.proxy.serve, args=(theirs,))
        thread.start()
        self._threads.append(thread)
        return ours

    def say(self, octets: bytes) -> bytes:
        """Send these bytes and return the whole answer."""
        with self.open() as client:
            client.sendall(octets)
            return b"".join(iter(lambda: client.recv(65536), b""))

    def get(self, url: str, *fields: str) -> bytes:
        return self.say("\r\n".join((f"GET {url} HTTP/1.1", *fields, "", "")).encode())

    def connect(self, place: str) -> tuple[socket.socket, bytes]:
        client = self.open()
        client.sendall(f"CONNECT {place} HTTP/1.1\r\n\r\n".encode())
        return client, client.recv(65536)

    def close(self) -> None:
        self.proxy.close()
        self.join()

    def join(self) -> None:
        """Wait until every connection has ended, and is recorded."""
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()


@pytest.fixture
def world(server: Server) -> Iterator[World]:
    world = World(server.server_port)
    yield world
    world.close()


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def soon(client: socket.socket, meanwhile: Callable[[], None]) -> bytes:
    """What the proxy says, or its end, after as much of this as it takes."""
    client.settimeout(0.05)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            return client.recv(65536)
        except TimeoutError:
            meanwhile()
    raise AssertionError("the proxy said nothing")


def test_an_allowed_server_is_asked_and_its_answer_comes_back(world, server):
    answer = world.get(f"http://allowed.test:{world.port}/page?q=1", f"Host: allowed.test:{world.port}")
    assert status(answer) == 200
    assert answer.endswith(f"/page?q=1 for allowed.test:{world.port}".encode())
    (record,) = world.proxy.connections
    assert (record.name, record.port, record.allowed, record.address) == ("allowed.test", world.port, True, "127.0.0.1")
    assert record.outcome == "done"
    assert record.received == len(answer)


def test_a_body_goes_with_its_request(world, server):
    asked = f"POST http://allowed.test:{world.port}/in HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"
    assert world.say(asked.encode()).endswith(b"hello")
    assert server.asked == [("/in", "hello")]


def test_a_tunnel_passes_bytes_on_in_both_directions(world, server):
    client, answer = world.connect(f"allowed.test:{world.port}")
    with client:
        assert status(answer) == 200
        for page in ("/one", "/two"):
            client.sendall(f"GET {page} HTTP/1.1\r\nHost: inner\r\n\r\n".encode())
            answer = b""
            while f"{page} for inner".encode() not in answer:
                answer += client.recv(65536) or pytest.fail("the tunnel ended")


@pytest.mark.parametrize(
    "place",
    ["forbidden.test:{port}", "allowed.test:{other}", "127.0.0.2:{port}", "[::1]:{port}", "allowed.test.:1",
     "sub.allowed.test:{port}", "2130706433:{port}", "0x7f.1:{port}", "127.1:{port}", "0177.0.0.1:{port}"],
)  # fmt: skip
def test_another_name_port_or_spelling_of_the_address_is_refused_before_anybody_is_asked(world, server, place):
    target = place.format(port=world.port, other=world.port + 1)
    for ask in (lambda: world.connect(target), lambda: (None, world.get(f"http://{target}/"))):
        client, answer = ask()
        assert status(answer) in (400, 403)
        if client is not None:
            client.close()
    assert server.asked == []
    assert world.looked_up == []
    assert not any(record.allowed for record in world.proxy.connections)


def test_a_refusal_says_what_is_not_on_the_list(world):
    answer = world.get("http://forbidden.test/")
    assert answer.startswith(b"HTTP/1.1 403 forbidden.test:80 is not on this sandbox's list\r\n")


def test_a_redirect_leads_to_a_request_of_its_own_which_is_refused(world, server):
    answer = world.get(f"http://allowed.test:{world.port}/away")
    assert status(answer) == 302
    location = answer.split(b"Location: ")[1].split(b"\r\n")[0].decode()
    assert status(world.get(location)) == 403


def test_a_name_that_stands_for_a_private_address_is_refused_unless_a_rule_names_that(world, server):
    world.rules = [f"allowed.test:{world.port}"]
    answer = world.get(f"http://allowed.test:{world.port}/")
    assert status(answer) == 403
    assert b"no rule names that" in answer
    assert server.asked == []


@pytest.mark.parametrize("address", ["::ffff:127.0.0.1", "::1", "169.254.169.254", "fe80::1%eth0", "64:ff9b::7f00:1"])
def test_other_forms_of_private_addresses_are_refused_too(world, server, address):
    world.rules = [f"allowed.test:{world.port}"]
    world.names["allowed.test"] = [address]
    assert status(world.get(f"http://allowed.test:{world.port}/")) == 403


def test_of_several_addresses_only_those_that_may_be_are_connected_to(world, server):
    world.names["allowed.test"] = ["10.0.0.1", "169.254.169.254", "127.0.0.1"]
    assert status(world.get(f"http://allowed.test:{world.port}/")) == 200
    assert world.proxy.connections[0].address == "127.0.0.1"


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(world, server):
    answers = iter([["127.0.0.1"], ["10.0.0.1"], ["10.0.0.1"]])
    world._resolve = lambda name, port: world.looked_up.append(name) or next(answers)
    assert status(world.get(f"http://allowed.test:{world.port}/")) == 200
    assert world.looked_up == ["allowed.test"]


def test_the_field_host_can_t_name_another_server_than_the_target(world, server):
    answer = world.get(f"http://allowed.test:{world.port}/", "Host: forbidden.test")
    assert status(answer) == 400
    assert server.asked == []


def test_a_second_request_behind_the_first_is_never_sent(world, server):
    hidden = "GET http://forbidden.test/hidden HTTP/1.1\r\nHost: forbidden.test\r\n\r\n"
    for first in (
        f"GET http://allowed.test:{world.port}/a HTTP/1.1\r\n\r\n",
        f"POST http://allowed.test:{world.port}/a HTTP/1.1\r\nContent-Length: 2\r\n\r\nab",
    ):
        world.say((first + hidden).encode())
    assert [path for path, _ in server.asked] == ["/a", "/a"]


def test_a_head_that_is_too_long_is_refused(world, server):
    answer = world.say(f"GET http://allowed.test:{world.port}/ HTTP/1.1\r\nX: {'a' * 40_000}".encode())
    assert status(answer) == 431


def test_a_head_that_comes_too_slowly_is_given_up(world, server):
    world.limits["head"] = 10.0
    with world.open() as client:
        client.sendall(b"GET http://allowed.test/ HTTP/1.1\r\nX: ")

        def wait() -> None:  # less than the limit between two bytes, and more in all
            world.clock.advance(6)
            with suppress(OSError):
                client.send(b"a")

        assert status(soon(client, wait)) == 408
    assert "in time" in world.proxy.connections[0].outcome


def test_a_tunnel_in_which_nothing_happens_is_closed(world, server):
    world.limits["idle"] = 30.0
    client, _ = world.connect(f"allowed.test:{world.port}")
    with client:
        assert soon(client, lambda: world.clock.advance(31)) == b""
    world.join()
    assert world.proxy.connections[0].outcome == "idle for too long"


def test_all_connections_together_may_pass_so_many_bytes(world, server):
    world.limits["total"] = 1_000_000
    answer = world.get(f"http://allowed.test:{world.port}/big")
    assert len(answer) <= 1_000_000
    assert "more than 1,000,000 bytes" in world.proxy.connections[0].outcome
    world.get(f"http://allowed.test:{world.port}/next")
    assert "/next" not in [path for path, _ in server.asked]


def test_what_comes_after_the_end_of_a_connection_goes_nowhere(world, server):
    client, _ = world.connect(f"allowed.test:{world.port}")
    with client:
        client.sendall(b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        while client.recv(65536):
            pass
        with suppress(OSError):
            client.sendall(b"GET /after HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(100) == b""
    assert [path for path, _ in server.asked] == ["/last"]


def test_closing_the_proxy_ends_its_connections(world, server):
    client, _ = world.connect(f"allowed.test:{world.port}")
    with client:
        world.proxy.close()
        assert client.recv(1) == b""


def test_a_name_without_an_address_and_a_server_that_is_away_are_told(world):
    world.rules += ["nowhere.test:80", "127.0.0.1:1"]
    assert status(world.get("http://nowhere.test/")) == 502
    world.names["127.0.0.1"] = ["127.0.0.1"]
    assert status(world.get("http://127.0.0.1:1/")) == 502


def test_many_connections_at_once_are_all_served_and_recorded(world, server):
    answers: list[int] = []

    def one(number: int) -> None:
        answers.append(status(world.get(f"http://allowed.test:{world.port}/{number}")))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 20
    assert len(world.proxy.connections) == 20


def test_records_don_t_grow_for_ever(world):
    for _ in range(1_050):
        world.proxy.serve(_hung_up())
    assert len(world.proxy.connections) <= 1_000


def _hung_up() -> socket.socket:
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(b"nonsense\r\n\r\n")
    return theirs
