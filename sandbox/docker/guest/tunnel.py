"""The box's end of its network: a listener on its own loopback, whose connections travel over the host's pipe.

Knows nothing of names and rules, those are the host's matter. A payload is an id, an operation and bytes. Neither side
sends more of one connection than the other has acknowledged and a window on top, so that no buffer grows without end.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PORT = 3128
PART = struct.Struct(">IB")
OPEN, BYTES, TAKEN, CLOSE = b"obtc"
COUNT = struct.Struct(">I")
WINDOW = 256 * 1024  # bytes of one connection and direction that may be on their way
MOST = 32  # connections at the same time
CHUNK = 16 * 1024


class _Stream:
    """One connection of the box's code."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.credit = WINDOW  # bytes that the host still takes
        self.inward = bytearray()
        self.ending = False


class Tunnel:
    """Accepts connections and passes their bytes on.

    Args:
        send: queues one payload for the host.
    """

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", PORT))
        self._listener.listen(MOST)
        self._listener.setblocking(False)
        self._streams: dict[int, _Stream] = {}
        self._ids: dict[int, int] = {}  # of streams, by descriptor
        self._count = 0

    def register(self, poll: select.poll, *, outward: bool) -> None:
        """Ask for the events that matter now.

        Args:
            poll: gets them.
            outward: more bytes may be queued for the host.
        """
        if outward and len(self._streams) < MOST:
            poll.register(self._listener, select.POLLIN)
        for stream in self._streams.values():
            events = select.POLLIN if outward and stream.credit and not stream.ending else 0
            events |= select.POLLOUT if stream.inward else 0
            if events:
                poll.register(stream.client, events)

    def handle(self, descriptor: int) -> None:
        """Do what an event of `register` asks for."""
        if descriptor == self._listener.fileno():
            self._accept()
        elif descriptor in self._ids:
            number = self._ids[descriptor]
            self._push(number)
            self._pull(number)

    def from_host(self, payload: bytes) -> None:
        """Take one payload of the host, which is trusted; a stream may have ended meanwhile."""
        number, operation = PART.unpack_from(payload)
        stream = self._streams.get(number)
        if stream is None:
            return
        if operation == BYTES:
            stream.inward += payload[PART.size :]
            self._push(number)
        elif operation == TAKEN:
            stream.credit += COUNT.unpack_from(payload, PART.size)[0]
        elif operation == CLOSE:
            stream.ending = True
            self._push(number)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            client, _ = self._listener.accept()
            client.setblocking(False)
            self._count += 1
            self._streams[self._count] = _Stream(client)
            self._ids[client.fileno()] = self._count
            self._send(PART.pack(self._count, OPEN))

    def _pull(self, number: int) -> None:
        stream = self._streams.get(number)
        if stream is None or not stream.credit or stream.ending:
            return
        try:
            octets = stream.client.recv(min(CHUNK, stream.credit))
        except BlockingIOError:
            return
        except OSError:
            octets = b""
        if octets:
            stream.credit -= len(octets)
            self._send(PART.pack(number, BYTES) + octets)
        else:
            self._drop(number, tell=True)

    def _push(self, number: int) -> None:
        stream = self._streams[number]
        written = 0
        try:
            while stream.inward:
                count = stream.client.send(memoryview(stream.inward)[:CHUNK])
                del stream.inward[:count]
                written += count
        except BlockingIOError:
            pass
        except OSError:
            return self._drop(number, tell=not stream.ending)
        if written and not stream.ending:
            self._send(PART.pack(number, TAKEN) + COUNT.pack(written))
        if stream.ending and not stream.inward:
            self._drop(number, tell=False)
        return None

    def _drop(self, number: int, *, tell: bool) -> None:
        stream = self._streams.pop(number)
        del self._ids[stream.client.fileno()]
        stream.client.close()
        if tell:
            self._send(PART.pack(number, CLOSE))
