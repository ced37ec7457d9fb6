"""Where the body of a request ends: what comes after it would be a second request, which nobody has checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sandbox.network.request import BadRequestError

if TYPE_CHECKING:
    from sandbox.network.request import Request

_LONGEST_LINE: Final = 1_000  # bytes of a chunk's size, or of a trailer
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")
_MOST_DIGITS: Final = 12


class Body:
    """Passes on the bytes of one body and no more.

    Args:
        request: whose body it is; a tunnel's has no end.

    Attributes:
        complete: the last byte has been passed on.
    """

    def __init__(self, request: Request) -> None:
        self._endless, self._chunked = request.is_tunnel, request.chunked
        self._left = request.length  # of the body, or of the chunk with its line end
        self._line = b""
        self._last = False
        self.complete = not (self._endless or self._chunked or self._left)

    def take(self, octets: bytes) -> bytes:
        """What of these bytes belongs to the body.

        Raises:
            BadRequestError: a chunk is none.
        """
        if self._endless:
            return octets
        if not self._chunked:
            part = octets[: self._left]
            self._left -= len(part)
            self.complete = not self._left
            return part
        return self._chunks(octets)

    def _chunks(self, octets: bytes) -> bytes:
        taken, place = bytearray(), 0
        while place < len(octets) and not self.complete:
            if self._left:
                part = octets[place : place + self._left]
                self._left -= len(part)
            else:
                part = self._to_line_end(octets, place)
            place += len(part)
            taken += part
        return bytes(taken)

    def _to_line_end(self, octets: bytes, place: int) -> bytes:
        """The next bytes of a line: a chunk's size, or a trailer."""
        end = octets.find(b"\n", place)
        part = octets[place : end + 1] if end >= 0 else octets[place:]
        self._line += part
        if len(self._line) > _LONGEST_LINE:
            raise BadRequestError("a chunk whose size has no end")
        if end >= 0:
            line, self._line = self._line, b""
            self._read(line)
        return part

    def _read(self, line: bytes) -> None:
        if not line.endswith(b"\r\n"):
            raise BadRequestError("a line that ends in another way than lines end")
        if self._last:
            self.complete = line == b"\r\n"
            return
        size = line[:-2].partition(b";")[0]
        if not size or len(size) > _MOST_DIGITS or not _HEX.issuperset(size):
            raise BadRequestError("a chunk whose size is no number")
        if int(size, 16):
            self._left = int(size, 16) + 2
        else:
            self._last = True
