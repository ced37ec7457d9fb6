"""Any value as JSON: what models, code and tools give is made fit to be sent, stored and shown, in one place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

MAX_DEPTH = 64


def json_value(value: Any, depth: int = 0) -> Any:
    """Return a copy of a value that every JSON writer takes.

    Half characters (lone surrogates) become U+FFFD; bytes, NaN and infinities text; tuples and sets lists; pydantic models
    objects; anything else its text. What is nested more than 64 deep, a cycle for example, is cut to "…".

    Args:
        value: anything.
        depth: how deep it lies already.
    """
    if depth > MAX_DEPTH:
        return "…"
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return whole_text(value)
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, Mapping):
        return {whole_text(str(key)): json_value(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [json_value(item, depth + 1) for item in value]
    return _other(value, depth)


def whole_text(text: str) -> str:
    """Return a text without half characters, which no UTF-8 can carry."""
    return str.__str__(text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _number(value: float) -> Any:
    # Python refuses to write an integer of more than 4,300 digits.
    finite = value.bit_length() < 14_000 if isinstance(value, int) else math.isfinite(value)
    return value if finite else str(value) if isinstance(value, float) else "a number too large to write"


def _other(value: Any, depth: int) -> Any:
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "replace")
    if callable(dump := getattr(value, "model_dump", None)) and not isinstance(value, type):
        return json_value(dump(mode="json"), depth + 1)
    return whole_text(str(value))
