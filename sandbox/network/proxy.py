"""One connection of the box after another: read what it wants, check it, connect, and pass bytes on.

Knows sockets and nothing of containers. Runs in a thread for each connection; everything that comes from the client,
and from the server, is hostile. The address that was checked is the one that is connected to.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from sandbox.network.body import Body
from sandbox.network.request import LONGEST_HEAD, BadRequestError, Request, read_head
from sandbox.network.waiting import ready

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from sandbox.network.rules import AllowList

Resolve = Callable[[str, int], Sequence[str]]

_CHUNK: Final = 16 * 1024
_TICK: Final = 0.25  # seconds after which a thread looks whether it should end
_MOST_RECORDED: Final = 1_000
_STUCK: Final = 30.0  # seconds that one side may take no byte


@dataclass(frozen=True, slots=True)
class NetworkLimits:
    """What the connections of one sandbox may use. Times are seconds.

    Attributes:
        total: bytes of all connections together, in both directions.
        head: seconds to send a whole request head.
        idle: seconds without a byte in any direction.
        connect: seconds to reach one address.
    """

    total: int = 64 << 20
    head: float = 10.0
    idle: float = 30.0
    connect: float = 10.0


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection that code asked for, as it is recorded.

    Attributes:
        name: canonical name or address that was asked for; empty if the request was none.
        port: of that; 0 if the request was none.
        allowed: the list has it, and an address that may be reached.
        outcome: `open`, `done`, or why not.
        address: that it was connected to.
        sent: bytes from the box.
        received: bytes to the box.
        started: seconds since 1970.
    """

    name: str
    port: int
    allowed: bool
    outcome: str
    address: str = ""
    sent: int = 0
    received: int = 0
    started: float = field(default_factory=time.time)


class RefusedError(Exception):
    """A connection that isn't made.

    Args:
        status: of HTTP.
        reason: for the record, and for whoever asked.
        request: what was asked for, where it could be read.
    """

    def __init__(self, status: int, reason: str, request: Request | None = None) -> None:
        super().__init__(reason)
        self.status, self.reason, self.request = status, reason, request


class Proxy:
    """Serves the connections of one sandbox. Safe to use from several threads.

    Args:
        allowed: what may be reached.
        limits: bytes and seconds.
        resolve: the addresses of a name.
        clock: the moment, in seconds.
    """

    def __init__(
        self,
        allowed: AllowList,
        limits: NetworkLimits | None = None,
        resolve: Resolve | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._allowed, self._limits, self._clock = allowed, limits or NetworkLimits(), clock
        self._resolve = resolve or _addresses
        self._lock = threading.Lock()
        self._spent = 0
        self._records: list[Connection] = []
        self._told = 0
        self._closed = threading.Event()

    @property
    def connections(self) -> list[Connection]:
        """What was asked for so far, the oldest first; of very many the first thousand."""
        with self._lock:
            return list(self._records)

    def tell(self, span: Span) -> None:
        """Add what was asked for since the last time to a span, an event for each."""
        with self._lock:
            new, self._told = self._records[self._told :], len(self._records)
        for each in new:
            facts = {"server.address": each.name, "server.port": each.port, "network.peer.address": each.address}
            span.add_event("sandbox.connection", {**facts, "allowed": each.allowed, "outcome": each.outcome})

    def close(self) -> None:
        """End every connection soon."""
        self._closed.set()

    def serve(self, client: socket.socket) -> None:
        """Serve one connection to its end, and close it. Never raises what a client or server can cause."""
        server: socket.socket | None = None
        with client:
            client.settimeout(_TICK)
            try:
                request, rest = self._asked(client)
                server = self._connected(request)
                with server:
                    self._exchange(client, server, request, rest)
            except RefusedError as refused:
                self._refuse(client, refused)
            except OSError:
                return  # either side is gone, which ends a connection

    def _asked(self, client: socket.socket) -> tuple[Request, bytes]:
        """Read a request head; what came behind it belongs to its body."""
        octets, until = b"", self._clock() + self._limits.head
        while b"\r\n\r\n" not in octets:
            if len(octets) > LONGEST_HEAD:
                raise RefusedError(431, "the head of the request is too long")
            if self._clock() > until or self._closed.is_set():
                raise RefusedError(408, "the head of the request didn't come in time")
            with contextlib.suppress(TimeoutError):
                part = client.recv(_CHUNK)
                if not part:
                    raise ConnectionError
                octets += part
        head, _, rest = octets.partition(b"\r\n\r\n")
        if len(head) > LONGEST_HEAD:
            raise RefusedError(431, "the head of the request is too long")
        try:
            return read_head(head + b"\r\n\r\n"), rest
        except BadRequestError as bad:
            raise RefusedError(400, f"the request can't be read: {bad}") from None

    def _connected(self, request: Request) -> socket.socket:
        """Connect to the first address that may be, and can be, connected to."""
        place = f"{request.name}:{request.port}"
        if not self._allowed.allows(request.name, request.port):
            raise RefusedError(403, f"{place} is not on this sandbox's list", request)
        try:
            found = [ip_address(each.partition("%")[0]) for each in self._resolve(request.name, request.port)]
        except (OSError, ValueError) as error:
            raise RefusedError(502, f"{request.name} has no address ({error})", request) from None
        may = [address for address in found if self._allowed.may_connect(address, request.port)]
        if not may:
            reason = f"{request.name} stands for an address of this machine or its network, and no rule names that"
            raise RefusedError(403, reason, request)
        for address in may:
            with contextlib.suppress(OSError):
                made = socket.create_connection((str(address), request.port), timeout=self._limits.connect)
                made.settimeout(_TICK)
                return made
        raise RefusedError(502, f"{place} can't be reached", request)

    def _exchange(self, client: socket.socket, server: socket.socket, request: Request, rest: bytes) -> None:
        record = Connection(request.name, request.port, allowed=True, outcome="open", address=server.getpeername()[0])
        place = self._record(record)
        body = Body(request)
        if request.is_tunnel:
            self._send(client, b"HTTP/1.1 200 Connection established\r\n\r\n")
        outward = request.head + body.take(rest)
        sent, received, outcome = len(outward), 0, "done"
        try:
            self._spend(len(outward))
            self._send(server, outward)
            idle_since = self._clock()
            while not self._closed.is_set():
                readable = ready([server] if body.complete else [client, server], seconds=_TICK)
                if not readable and self._clock() - idle_since > self._limits.idle:
                    outcome = "idle for too long"
                    break
                for side in readable:
                    part = side.recv(_CHUNK)
                    if not part:
                        return
                    idle_since = self._clock()
                    part = body.take(part) if side is client else part
                    self._spend(len(part))
                    sent += len(part) if side is client else 0
                    received += len(part) if side is server else 0
                    self._send(server if side is client else client, part)
        except RefusedError as spent:
            outcome = spent.reason
        except BadRequestError as bad:
            outcome = f"the body can't be read: {bad}"
        finally:
            self._record(replace(record, sent=sent, received=received, outcome=outcome), place)

    def _spend(self, count: int) -> None:
        with self._lock:
            self._spent += count
            over = self._spent > self._limits.total
        if over:
            raise RefusedError(403, f"the sandbox passed more than {self._limits.total:,} bytes")

    def _record(self, record: Connection, place: int | None = None) -> int | None:
        with self._lock:
            if place is not None:
                self._records[place] = record
            elif len(self._records) < _MOST_RECORDED:
                self._records.append(record)
                return len(self._records) - 1
        return place

    def _refuse(self, client: socket.socket, refused: RefusedError) -> None:
        request = refused.request
        name, port = (request.name, request.port) if request is not None else ("", 0)
        self._record(Connection(name, port, allowed=False, outcome=refused.reason))
        text = f"dionysus sandbox: {refused.reason}\n".encode()
        # Most clients show the line of the status and not the text.
        said = " ".join(refused.reason.encode("ascii", "replace").decode().split())
        head = f"HTTP/1.1 {refused.status} {said}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
        with contextlib.suppress(OSError):
            self._send(client, f"{head}Content-Length: {len(text)}\r\n\r\n".encode() + text)
            client.shutdown(socket.SHUT_WR)

    def _send(self, side: socket.socket, octets: bytes) -> None:
        """Send all, to a side that may be slow but not for ever."""
        left, until = memoryview(octets), self._clock() + _STUCK
        while left:
            try:
                left = left[side.send(left) :]
            except TimeoutError:
                if self._clock() > until:
                    raise


def _addresses(name: str, port: int) -> list[str]:
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))
