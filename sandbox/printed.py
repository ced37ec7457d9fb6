"""What a step printed: the first bytes are kept, the rest is counted."""

from __future__ import annotations


class Printed:
    """Collects text up to a limit.

    Args:
        limit: bytes of UTF-8 that are kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept = bytearray()
        self._size = 0

    def write(self, text: str) -> None:
        """Add text; what doesn't fit is counted and dropped."""
        octets = text.encode("utf-8", "replace")
        self._size += len(octets)
        room = self._limit - len(self._kept)
        if room > 0:
            self._kept += octets[:room]

    @property
    def text(self) -> str:
        """The kept text, and how much more there was."""
        kept = self._kept.decode("utf-8", "ignore")
        dropped = self._size - len(self._kept)
        return kept if not dropped else f"{kept}\n… {dropped:,} more bytes were not kept"
