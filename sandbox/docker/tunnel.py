"""The host's end of a box's network: each connection becomes a socket that the proxy serves in a thread of its own.

The bytes travel over the box's one stream, in frames, with a window for each connection: whatever code downloads, the
frames of its step are never far behind. One thread moves the bytes; it lives while there are connections.
"""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Final

from sandbox.docker.guest.tunnel import BYTES, CHUNK, CLOSE, COUNT, MOST, OPEN, PART, TAKEN, WINDOW
from sandbox.docker.guest.wire import NETWORK, WireError
from sandbox.network.waiting import ready

if TYPE_CHECKING:
    from collections.abc import Callable

_TICK: Final = 1.0  # seconds


class _Stream:
    """One connection: `inner` is this side's end of a pair, whose other end the proxy has."""

    def __init__(self, inner: socket.socket) -> None:
        self.inner = inner
        self.credit = WINDOW  # bytes that the box still takes
        self.outward = bytearray()  # from the box, not yet taken by the proxy
        self.ending = False


class Tunnel:
    """Moves bytes between a box and the proxy.

    Args:
        send: sends one frame to the box; from any thread.
        serve: serves one connection to its end.
    """

    def __init__(self, send: Callable[[int, bytes], None], serve: Callable[[socket.socket], None]) -> None:
        self._send, self._serve = send, serve
        self._lock = threading.Lock()
        self._streams: dict[int, _Stream] = {}
        self._newest = 0
        self._wake, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._mover: threading.Thread | None = None
        self._closed = False

    def received(self, payload: bytes) -> None:
        """Take one payload of the box.

        Raises:
            WireError: it doesn't fit: the supervisor wouldn't send it.
        """
        if len(payload) < PART.size or len(payload) > PART.size + CHUNK:
            raise WireError("a part of a connection of another size")
        number, operation = PART.unpack_from(payload)
        with self._lock:
            if self._closed:
                return
            if operation == OPEN:
                self._open(number)
            elif number in self._streams:
                self._take(self._streams[number], operation, payload[PART.size :])
            elif number > self._newest:
                raise WireError("a part of a connection that was never made")
        self._poke()

    def close(self) -> None:
        """End every connection. May be called again."""
        with self._lock:
            closed, self._closed = self._closed, True
            mover = self._mover
        if closed:
            return
        self._poke()
        if mover is None:
            self._wake.close()
            self._waker.close()

    def _open(self, number: int) -> None:
        if number != self._newest + 1 or len(self._streams) >= 2 * MOST:
            raise WireError("a connection that can't be")
        self._newest = number
        inner, outer = socket.socketpair()
        inner.setblocking(False)
        self._streams[number] = _Stream(inner)
        threading.Thread(target=self._serve, args=(outer,), name="sandbox-connection", daemon=True).start()
        if self._mover is None:
            self._mover = threading.Thread(target=self._move, name="sandbox-network", daemon=True)
            self._mover.start()

    def _take(self, stream: _Stream, operation: int, octets: bytes) -> None:
        if operation == BYTES:
            stream.outward += octets
            if len(stream.outward) > WINDOW:
                raise WireError("more bytes of a connection than were asked for")
        elif operation == TAKEN and len(octets) == COUNT.size:
            stream.credit += COUNT.unpack(octets)[0]
            if stream.credit > WINDOW:
                raise WireError("more bytes of a connection taken than were sent")
        elif operation == CLOSE:
            stream.ending = True
        else:
            raise WireError("an operation that is none")

    def _poke(self) -> None:
        try:
            self._waker.send(b".")
        except OSError:
            return  # it is awake already, or gone

    def _move(self) -> None:
        try:
            while not self._closed:
                self._turn()
        except ConnectionError:
            pass  # the box is gone; its session finds out by itself
        finally:
            with self._lock:
                self._closed = True
                for stream in self._streams.values():
                    stream.inner.close()
                self._streams.clear()
                self._wake.close()
                self._waker.close()

    def _turn(self) -> None:
        with self._lock:
            streams = dict(self._streams)
        readable = [self._wake, *(each.inner for each in streams.values() if each.credit and not each.ending)]
        writable = [each.inner for each in streams.values() if each.outward]
        events = ready(readable, writable, seconds=_TICK)
        if self._wake in events:
            self._wake.recv(4096)
        for number, stream in streams.items():
            if stream.outward and stream.inner in events:
                self._push(number, stream)
            if stream.ending and not stream.outward:
                self._end(number, tell=False)
            elif stream.inner in events and stream.credit:
                self._pull(number, stream)

    def _push(self, number: int, stream: _Stream) -> None:
        """From the box to the proxy."""
        with self._lock:
            try:
                count = stream.inner.send(memoryview(bytes(stream.outward[:CHUNK])))
            except BlockingIOError:
                return
            except OSError:  # the proxy is done with it: what still comes is nobody's
                count = len(stream.outward)
            del stream.outward[:count]
        self._send(NETWORK, PART.pack(number, TAKEN) + COUNT.pack(count))

    def _pull(self, number: int, stream: _Stream) -> None:
        """From the proxy to the box."""
        try:
            octets = stream.inner.recv(min(CHUNK, stream.credit))
        except BlockingIOError:
            return
        except OSError:
            octets = b""
        if not octets:
            self._end(number, tell=True)
            return
        with self._lock:
            stream.credit -= len(octets)
        self._send(NETWORK, PART.pack(number, BYTES) + octets)

    def _end(self, number: int, *, tell: bool) -> None:
        with self._lock:
            stream = self._streams.pop(number)
        stream.inner.close()
        if tell:
            self._send(NETWORK, PART.pack(number, CLOSE))
