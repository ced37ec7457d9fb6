"""Any value as JSON: what models, code and tools give is made fit to be sent, stored and shown, in one place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

MAX_DEPTH = 64
MAX_ITEMS = 1_000_000
_CUT = "…"


def json_value(value: Any) -> Any:
    """Return a copy of a value that every JSON writer takes.

    Half characters (lone surrogates) become U+FFFD; bytes, NaN and infinities text; tuples and sets lists; pydantic
    models objects; anything else its text. What is nested more than 64 deep, a cycle for example, and what follows a
    million items is cut to "…".
    """
    return _Copy().of(value, 0)


def whole_text(text: str) -> str:
    """Return a text without half characters, which no UTF-8 can carry."""
    return str.__str__(text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class _Copy:
    """One copy under way; it counts its items, since a cycle may double with every level."""

    def __init__(self) -> None:
        self._left = MAX_ITEMS

    def of(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if depth > MAX_DEPTH or self._left < 0:
            return _CUT
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return whole_text(value)
        if isinstance(value, int | float):
            return _number(value)
        if isinstance(value, Mapping):
            return {whole_text(str(key)): self.of(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.of(item, depth + 1) for item in value]
        return self._other(value, depth)

    def _other(self, value: Any, depth: int) -> Any:
        if isinstance(value, bytes | bytearray):
            return bytes(value).decode("utf-8", "replace")
        if callable(dump := getattr(value, "model_dump", None)) and not isinstance(value, type):
            return self.of(dump(mode="json"), depth + 1)
        return whole_text(str(value))


def _number(value: float) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    # Python refuses to write an integer of more than 4,300 digits.
    return value if value.bit_length() < 14_000 else f"(a whole number of {value.bit_length()} bits)"
