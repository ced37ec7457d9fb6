"""Frames: length, kind, payload. The only format between host, supervisor and worker, and the same file on both sides.

Knows nothing of what the payloads mean. A length is checked before a byte of the payload is kept.
"""

from __future__ import annotations

import struct

HEADER = struct.Struct(">IB")

# From the host.
EXECUTE, ANSWER, END, INTERRUPT, KILL, FILE, SEEN, PROGRAM, PATIENCE = b"xaeikfspt"
# From the worker, passed on by the supervisor; HELLO only once, from a worker that is another program, before all else.
CALL, DONE, HELLO = b"cdh"
# From the supervisor itself.
READY, PRINTED, DROPPED, LOST, FILED = b"ronlF"
# In both directions, for the connections of a box that has a network.
NETWORK = ord("N")

# Exit statuses of a worker that gives up.
HARNESS_FAILED, OUT_OF_MEMORY, NO_PROGRAM = 70, 71, 72


class WireError(Exception):
    """The other side does not keep to the format."""


def frame(kind: int, payload: bytes) -> bytes:
    """One frame, ready to be sent."""
    return HEADER.pack(len(payload), kind) + payload


class Frames:
    """Cuts a stream of bytes into frames.

    Args:
        limit: bytes of the largest payload that is taken.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = bytearray()

    def feed(self, octets: bytes | memoryview) -> None:
        """Take in what arrived."""
        self._held += octets

    def next(self) -> tuple[int, bytes] | None:
        """The next whole frame as `(kind, payload)`, or None until more arrives.

        Raises:
            WireError: the frame is larger than the limit.
        """
        if len(self._held) < HEADER.size:
            return None
        size, kind = HEADER.unpack_from(self._held)
        if size > self._limit:
            raise WireError(f"a frame of {size:,} bytes; {self._limit:,} are allowed")
        end = HEADER.size + size
        if len(self._held) < end:
            return None
        payload = bytes(self._held[HEADER.size : end])
        del self._held[:end]
        return kind, payload

    @property
    def pending(self) -> int:
        """Bytes held that are no whole frame yet, or were not asked for."""
        return len(self._held)
