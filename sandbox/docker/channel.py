"""The host's end of a box's stdio, over the engine's attach stream. Every byte that comes out of it is hostile."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from sandbox.docker.guest.wire import LOST, NETWORK, SEEN, Frames, WireError, frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.docker.tunnel import Tunnel

_ENGINE_HEADER: Final = struct.Struct(">BxxxI")  # the engine's own multiplexing of stdout and stderr
_STDOUT: Final = 1
TICK: Final = 0.05
"""Seconds after which a reader looks up from an empty stream."""
_SEND_TIMEOUT: Final = 20.0  # seconds an engine may take no byte from us
_CHUNK: Final = 1 << 18  # bytes that are sent at once
_BUFFER: Final = (
    1 << 16
)  # bytes that are read at once; made once, as one of this size costs more than most steps' frames
_ENGINE_CHUNK: Final = 1 << 24  # bytes; engines send at most some ten thousand at a time
_COMPLAINT: Final = 4000  # bytes of stderr that are kept, for diagnosis


class ChannelClosedError(ConnectionError):
    """The box, or the engine, has closed the stream; or this side has."""


class Channel:
    """Frames to and from the supervisor. One thread at a time reads; `send` and `close` may come from any.

    Args:
        stream: what the Docker SDK gave for the attached stdio.
        limit: bytes of the largest frame that is taken.
        clock: the moment, in seconds.

    Attributes:
        tunnel: gets the frames of the box's network, where it has one; ends with the channel.
    """

    def __init__(self, stream: Any, limit: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._socket: Any = getattr(stream, "_sock", stream)
        self._socket.settimeout(TICK)
        self._outward = self._socket
        self._frames = Frames(limit)
        self._raw = bytearray()
        self._buffer = memoryview(bytearray(_BUFFER))
        self._complaint = bytearray()
        self._pid = os.getpid()
        self._closed = False
        self._sending = threading.Lock()
        self.tunnel: Tunnel | None = None

    @property
    def complaint(self) -> str:
        """The last of what the supervisor wrote to stderr."""
        return self._complaint.decode("utf-8", "replace").strip()

    def send(self, kind: int, payload: bytes) -> None:
        """Send one frame.

        Raises:
            ChannelClosedError: nobody takes it.
        """
        self.send_raw(frame(kind, payload))

    def send_raw(self, octets: bytes) -> None:
        """Send bytes that are no frame: what a box boots from."""
        with self._sending:
            self._send_all(memoryview(octets))

    def _send_all(self, left: memoryview) -> None:
        until = self._clock() + _SEND_TIMEOUT
        while left:
            self._check()
            try:
                sent = self._outward.send(left[:_CHUNK])
            except (TimeoutError, BlockingIOError) as full:
                if self._clock() >= until:
                    raise ChannelClosedError("nobody takes more input") from None
                if isinstance(full, BlockingIOError):  # else it has waited already
                    _wait(self._outward, select.POLLOUT, TICK)
                continue
            except OSError as error:
                raise ChannelClosedError(str(error)) from None
            left = left[sent:]
            until = self._clock() + _SEND_TIMEOUT

    def settle(self) -> bool:
        """The box has sent its first frame, and all others go the same way.

        Returns:
            Whether that is past the engine.
        """
        return False

    def receive(self) -> tuple[int, bytes] | None:
        """The next frame, or None when none came for a moment.

        Raises:
            ChannelClosedError: there will be none any more.
            WireError: what came is no frame.
        """
        if (held := self._next()) is not None:
            return held
        self._check()
        self._fill()
        return self._next()

    def _fill(self) -> None:
        """Read what is there, or wait for it for a moment."""
        try:
            octets = self._octets()
        except TimeoutError:
            return
        except OSError as error:
            raise ChannelClosedError(str(error)) from None
        if not octets:
            raise ChannelClosedError("the stream has ended")
        self._raw += octets
        self._unwrap()

    def _octets(self) -> bytes | memoryview:
        """What the engine sent."""
        if isinstance(self._socket, socket.socket):
            return self._buffer[: self._socket.recv_into(self._buffer)]
        return self._socket.recv(_BUFFER)  # of ssh://, which looks like a socket and is none

    def heed(self) -> None:
        """Between two steps: see what came that is no frame. Here frames and the end of them come one way.

        Raises:
            ChannelClosedError: box or engine is gone.
        """

    def peek(self) -> bool:
        """Whether the other side is there; a box that waits has nothing to say.

        Raises:
            ChannelClosedError: it is not.
        """
        self._check()
        return not _wait(self._socket, select.POLLIN, 0)

    def close(self) -> bool:
        """Let go of the box: its supervisor sees the end of its stdin and ends. A reader is woken.

        Returns:
            Whether it was open until now.
        """
        if self._closed:
            return False
        self._closed = True
        if self.tunnel is not None:
            self.tunnel.close()
        self._let_go()
        return True

    def _let_go(self) -> None:
        if os.getpid() != self._pid and not isinstance(self._socket, socket.socket):
            _forget_ssh(self._socket)
            return
        self._cut(self._socket)
        for owner in (getattr(self._stream, "_response", None), self._stream, self._socket):
            if owner is not None:
                with contextlib.suppress(OSError):
                    owner.close()

    def _cut(self, connection: Any) -> None:
        with contextlib.suppress(OSError):
            if os.getpid() == self._pid:
                connection.shutdown(socket.SHUT_RDWR)
            else:
                os.close(connection.detach())  # this copy alone; libraries hold references that would keep it open

    def _next(self) -> tuple[int, bytes] | None:
        while (received := self._frames.next()) is not None:
            if received[0] == NETWORK and self.tunnel is not None:
                self.tunnel.received(received[1])
                continue
            if received[0] == LOST:
                self.send(
                    SEEN, b""
                )  # until then whatever we sent was for the worker that is gone, and is dropped there
            return received
        return None

    def _check(self) -> None:
        if self._closed or os.getpid() != self._pid:
            raise ChannelClosedError("this side is closed")

    def _unwrap(self) -> None:
        """Take the engine's headers off."""
        raw = self._raw
        start = 0
        while len(raw) - start >= _ENGINE_HEADER.size:
            source, size = _ENGINE_HEADER.unpack_from(raw, start)
            if size > _ENGINE_CHUNK:
                raise WireError(f"the engine announced {size:,} bytes at once")
            end = start + _ENGINE_HEADER.size + size
            if len(raw) < end:
                break
            octets = bytes(raw[start + _ENGINE_HEADER.size : end])
            if source == _STDOUT:
                self._frames.feed(octets)
            else:
                self._complaint = (self._complaint + octets)[-_COMPLAINT:]
            start = end
        del raw[:start]


def _forget_ssh(channel: Any) -> None:
    """In a forked child: close its copy of the connection, and say nothing on what is its parent's."""
    transport = channel.transport
    transport.active = False
    if isinstance(transport.sock, socket.socket):
        os.close(transport.sock.detach())


def _wait(connection: Any, event: int, seconds: float) -> bool:
    """Wait for an event on a socket, also one with a number that `select` doesn't take; return whether it came.

    Raises:
        ChannelClosedError: another thread has closed it.
    """
    poll = select.poll()
    try:
        poll.register(connection, event)
    except ValueError:
        raise ChannelClosedError("this side is closed") from None
    return bool(poll.poll(seconds * 1000))
