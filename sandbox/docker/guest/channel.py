"""The worker's end of its channel to the supervisor, for steps and for the calls of tools that their code makes."""

from __future__ import annotations

import json
import os

from sandbox.docker.guest.wire import HEADER, frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CHUNK = 1 << 16  # bytes that are read at once: most frames, and their headers with them
_MOST = 1 << 20  # the same of a large one


class TooLargeError(ValueError):
    """What is to be said is more than the supervisor would pass on. Nothing of it was sent."""


class Channel:
    """Whole frames in, whole frames out.

    Holds its own references to what it calls, so that code which replaces `os.read` only breaks its own use of it.

    Args:
        descriptor: of this end.
        limit: bytes of the largest message that may be sent.
    """

    def __init__(self, descriptor: int, limit: int) -> None:
        self._descriptor, self._limit = descriptor, limit
        self._held = b""
        self._read, self._write = os.read, os.write
        self._loads, self._dumps = json.loads, json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

    def receive(self) -> tuple[int, Any]:
        """Wait for the next frame: its kind and what its JSON says."""
        size, kind = HEADER.unpack(self._exactly(HEADER.size))
        return kind, self._loads(self._exactly(size))

    def send(self, kind: int, message: Any) -> None:
        """Send one frame.

        Raises:
            TooLargeError: each value in it is within its limit, but written, and together, they are too much.
        """
        payload = self._dumps(message).encode("utf-8", "replace")
        if len(payload) > self._limit:
            raise TooLargeError(f"it takes {len(payload):,} bytes on its way, and {self._limit:,} may pass at once")
        octets = memoryview(frame(kind, payload))
        while octets:
            octets = octets[self._write(self._descriptor, octets) :]

    def _exactly(self, size: int) -> bytes:
        held = self._held
        if len(held) < size:
            parts, missing = [held], size - len(held)
            while missing > 0:
                part = self._read(self._descriptor, min(max(missing, _CHUNK), _MOST))
                if not part:
                    os._exit(0)
                parts.append(part)
                missing -= len(part)
            held = b"".join(parts)
        self._held = held[size:]
        return held[:size]
