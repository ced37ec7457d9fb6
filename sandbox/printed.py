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
        self.write_octets(text.encode("utf-8", "replace"))

    def write_octets(self, octets: bytes) -> None:
        """Add UTF-8 as it came; what doesn't fit is counted and dropped."""
        self._size += len(octets)
        room = self._limit - len(self._kept)
        if room > 0:
            self._kept += octets[:room]

    def drop(self, size: int) -> None:
        """Count bytes that were dropped before they came here."""
        self._size += size

    def cut(self, text: str) -> None:
        """Forget everything from the last place of this text on, if it is there."""
        place = self._kept.rfind(text.encode())
        if place >= 0:
            del self._kept[place:]
            self._size = place

    @property
    def text(self) -> str:
        """The kept text, and how much more there was."""
        dropped = self._size - len(self._kept)
        # A character that was cut in two is left out; bytes that were never text are shown as such.
        kept = self._kept.decode("utf-8", "ignore" if dropped else "replace")
        return kept if not dropped else f"{kept}\n… {dropped:,} more bytes were not kept"
