"""Plain values, the only ones that cross the boundary between host and sandbox.

Every value is copied and checked on its way, in both directions: neither side is trusted, and a live object of the host
must never be reachable from generated code.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sandbox.errors import ValueRefused

if TYPE_CHECKING:
    from sandbox.settings import Limits

# CPython turns an int of more digits into text only on request, so neither a log nor a wire could show it.
_MAX_INT_BITS = 14_000
_ITEM_BYTES = 8
_BITS_A_DIGIT = 3

Unwrap = Mapping[type, Callable[[Any], Any]]
Reduce = Callable[[Any, int, Callable[[Any], Any]], Any]


def plain(value: Any, limits: Limits, *, unwrap: Unwrap | None = None, reduce: Reduce | None = None) -> Any:
    """Copy a value into None, bool, int, float, str, bytes, list, tuple, set, frozenset and dict.

    A pydantic model becomes what `model_dump(mode="json")` gives, a dataclass a dict, an Enum its value; dates, times,
    paths, UUIDs and Decimals become text. Lone surrogates in text become U+FFFD. NaN and infinities stay floats.
    smolagents' `AgentText`, `AgentImage` and `AgentAudio` become what they hold.

    Args:
        value: anything.
        limits: `value_depth` and `value_limit` bound the copy; a cyclic value is one that is nested too deep.
        unwrap: more types, each with a function that gives a plain value for it.
        reduce: for kinds that only some backends take: gets a value, the bytes that are left, and this copying for what
            is inside of it; gives NotImplemented for any other kind.

    Raises:
        ValueRefused: a type, depth or size that can't cross; the text names it.
    """
    return _Copy(limits, unwrap or {}, reduce).of(value, 0)


def described(value: Any, limits: Limits, *, unwrap: Unwrap | None = None) -> Any:
    """The plain value, or a short text about it where there is none. For results that are only shown."""
    try:
        return plain(value, limits, unwrap=unwrap)
    except ValueRefused as refused:
        return f"<{type(value).__name__}: {refused}>"


class _Copy:
    """One crossing: what is left of the size, and the copying itself. Recursion is bounded by `value_depth`."""

    def __init__(self, limits: Limits, unwrap: Unwrap, reduce: Reduce | None) -> None:
        self._limits = limits
        self._reduce = reduce
        self._left = limits.value_limit
        self._unwrap = unwrap

    def of(self, value: Any, depth: int) -> Any:
        if depth > self._limits.value_depth:
            raise ValueRefused(f"the value is cyclic or nested more than {self._limits.value_depth} deep")
        self._charge(_ITEM_BYTES)
        if value is None or isinstance(value, bool):
            return value
        if type(value) not in _BUILTIN:
            special = self._special(value, depth)
            if special is not NotImplemented:
                return special
        for kinds, copy in _COPIES:
            if isinstance(value, kinds):
                return copy(self, value, depth)
        return self._unwrapped(value, depth)

    def _special(self, value: Any, depth: int) -> Any:
        """What must be seen before the types that it is derived from: an image may be a text, a moment a date."""
        held = _held_by_agent_type(value)
        if held is not value:
            return self.of(held, depth + 1)
        if self._reduce is None:
            return NotImplemented
        return self._reduce(value, self._left, lambda content: self.of(content, depth + 1))

    def _unwrapped(self, value: Any, depth: int) -> Any:
        if type(value) in self._unwrap:
            return self.of(self._unwrap[type(value)](value), depth + 1)
        if isinstance(value, type):
            raise ValueRefused(f"the class {value.__name__} can't cross the sandbox's boundary, {_ONLY_PLAIN}")
        if callable(getattr(value, "model_dump", None)):
            return self.of(value.model_dump(mode="json"), depth + 1)
        if dataclasses.is_dataclass(value):
            fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
            return self.of(fields, depth + 1)
        raise ValueRefused(f"a value of type {type(value).__name__} can't cross the sandbox's boundary, {_ONLY_PLAIN}")

    def _charge(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise ValueRefused(f"the value is larger than {self._limits.value_limit:,} bytes")

    def text(self, value: str, depth: int) -> str:
        self._charge(len(value))
        # str.__str__: a subclass of the host must not cross as itself, nor run its own __str__.
        return str.__str__(value).encode("utf-8", "surrogatepass").decode("utf-8", "replace")

    def integer(self, value: int, depth: int) -> int:
        if int.bit_length(value) > _MAX_INT_BITS:
            raise ValueRefused(f"an int of {int.bit_length(value):,} bits is too large to cross the sandbox's boundary")
        self._charge(int.bit_length(value) // _BITS_A_DIGIT)
        return int.__int__(value)

    def real(self, value: float, depth: int) -> float:
        return float.__float__(value)

    def octets(self, value: bytes | bytearray, depth: int) -> bytes:
        self._charge(len(value))
        return bytes(value)

    def mapping(self, value: Mapping[Any, Any], depth: int) -> dict[Any, Any]:
        self._charge(_ITEM_BYTES * len(value))
        try:
            return {self.of(key, depth + 1): self.of(item, depth + 1) for key, item in value.items()}
        except TypeError as unhashable:
            raise ValueRefused(f"a key of the dict can't cross the sandbox's boundary: {unhashable}") from None

    def sequence(self, value: Any, depth: int) -> Any:
        # Charged before the first copy: forty million items must be refused at once, not after a minute.
        self._charge(_ITEM_BYTES * len(value))
        kind = next(kind for kind in (list, tuple, frozenset, set) if isinstance(value, kind))
        return kind(self.of(item, depth + 1) for item in value)

    def as_text(self, value: Any, depth: int) -> str:
        return self.text(str(value), depth)

    def iso(self, value: date | time, depth: int) -> str:
        return self.text(value.isoformat(), depth)

    def member(self, value: Enum, depth: int) -> Any:
        return self.of(value.value, depth + 1)


def _held_by_agent_type(value: Any) -> Any:
    """What smolagents' wrapper holds; the value itself when it is none. No wrapper is there before its module is."""
    loaded = sys.modules.get("smolagents.agent_types")
    if loaded is None or not isinstance(value, loaded.AgentType):
        return value
    held = value.to_raw()
    # Audio is a tensor of torch, which no container has.
    return held.detach().cpu().numpy() if type(held).__module__ == "torch" else held


_BUILTIN = frozenset((int, float, str, bytes, list, tuple, dict, set, frozenset))
_ONLY_PLAIN = (
    "only None, bool, int, float, str, bytes, list, tuple, set and dict can, and in a container numpy arrays, pandas "
    "tables and PIL images: turn it into one of these first"
)

# In this order: an Enum may also be an int or a str, a named tuple is a tuple.
_COPIES: tuple[tuple[tuple[type, ...], Callable[[_Copy, Any, int], Any]], ...] = (
    ((Enum,), _Copy.member),
    ((str,), _Copy.text),
    ((int,), _Copy.integer),
    ((float,), _Copy.real),
    ((bytes, bytearray), _Copy.octets),
    ((Mapping,), _Copy.mapping),
    ((list, tuple, set, frozenset), _Copy.sequence),
    ((datetime, date, time), _Copy.iso),
    ((PurePath, UUID, Decimal), _Copy.as_text),
)
