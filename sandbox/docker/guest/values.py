"""Any value of the user's code as a plain one with tags, or a refusal that names its type.

Values may fight back, so types are asked for with `type` and never with `isinstance`, which believes `__class__`.
"""

from __future__ import annotations

import sys

from sandbox.docker.guest.codecs import CodecError
from sandbox.docker.guest.tags import tagged, untagged

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sandbox.docker.guest.codecs import Codecs

_MAX_INT_BITS = 14_000
_ITEM_BYTES = 8
_BITS_A_DIGIT = 3
_ANY_DEPTH = 10_000  # the host's values were checked by the host
_SHOWN = 10_000  # characters of a repr that stands for a value
_ONLY_PLAIN = (
    "only None, bool, int, float, complex, str, bytes, list, tuple, set and dict can, and numpy arrays, pandas tables "
    "and PIL images where both sides have the package: turn it into one of these first, or write it to a file"
)
_SCALARS = frozenset((type(None), bool))


class RefusedError(TypeError):
    """A value can't cross the boundary; the text names its type, depth or size."""


def packed(value: Any, settings: dict[str, Any], codecs: Codecs) -> Any:
    """The value as JSON with tags.

    Args:
        value: anything.
        settings: what the host sent at boot.
        codecs: for the kinds that JSON has no word for.

    Raises:
        RefusedError: a type, depth or size that can't cross.
    """
    return _Packing(settings, codecs).of(value, 0)


def shown(value: Any, settings: dict[str, Any], codecs: Codecs) -> Any:
    """The value as JSON with tags, or a text about it where there is none."""
    try:
        return packed(value, settings, codecs)
    except RefusedError as refused:
        try:
            text = repr(value)
        except Exception:  # noqa: BLE001 - a repr may raise anything
            return f"<{type(value).__name__}: {refused}>"
        if len(text) <= _SHOWN:
            return clean(text)
        return clean(
            f"{text[:_SHOWN]}… ({len(text) - _SHOWN:,} more characters of a {type(value).__name__}; {refused})"
        )


def unpacked(value: Any, codecs: Codecs, settings: dict[str, Any]) -> Any:
    """The value that the host has sent. The host has checked it, so only the size of its kinds can be too much.

    Raises:
        CodecError: it is of a kind that this side hasn't got.
    """
    return untagged(value, _ANY_DEPTH, codecs.makers(settings["unpacked_limit"]))


def clean(text: str) -> str:
    """Text without lone surrogates, which UTF-8 can't carry."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


class _Packing:
    def __init__(self, settings: dict[str, Any], codecs: Codecs) -> None:
        self._depth, self._limit = settings["value_depth"], settings["value_limit"]
        self._left = self._limit
        self._codecs = codecs

    def of(self, value: Any, depth: int) -> Any:
        if depth > self._depth:
            raise RefusedError(f"the value is cyclic or nested more than {self._depth} deep")
        self._charge(_ITEM_BYTES)
        kind = type(value)
        if kind in _SCALARS:
            return value
        for parent, pack in _PACKS:
            if issubclass(kind, parent):
                return pack(self, value, depth)
        return self._other(value, kind, depth)

    def _charge(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise RefusedError(f"the value is too large, more than {self._limit:,} bytes")

    def text(self, value: str, depth: int) -> str:
        self._charge(str.__len__(value))
        return clean(str.__str__(value))

    def integer(self, value: int, depth: int) -> int:
        if int.bit_length(value) > _MAX_INT_BITS:
            raise RefusedError(f"an int of {int.bit_length(value):,} bits is too large to cross the sandbox's boundary")
        self._charge(int.bit_length(value) // _BITS_A_DIGIT)
        return int.__int__(value)

    def real(self, value: float, depth: int) -> Any:
        return tagged(float.__float__(value))

    def octets(self, value: Any, depth: int) -> Any:
        self._charge(len(value))
        return tagged(bytes(value))

    def sequence(self, value: Any, depth: int) -> Any:
        kind = next(kind for kind in (list, tuple, set, frozenset) if issubclass(type(value), kind))
        self._charge(_ITEM_BYTES * kind.__len__(value))
        items = [self.of(item, depth + 1) for item in kind.__iter__(value)]
        return items if kind is list else {"$": kind.__name__, "v": items}

    def mapping(self, value: dict[Any, Any], depth: int) -> Any:
        self._charge(_ITEM_BYTES * dict.__len__(value))
        pairs = [(key, item) for key, item in dict.items(value)]
        if all(type(key) is str and key != "$" for key, _ in pairs):
            return {self.text(key, depth): self.of(item, depth + 1) for key, item in pairs}
        return {"$": "dict", "v": [[self.of(key, depth + 1), self.of(item, depth + 1)] for key, item in pairs]}

    def _other(self, value: Any, kind: type, depth: int) -> Any:
        """Types that are only there when their module is, and instances of the code's own classes."""
        try:
            coded = self._codecs.reduce(value, self._left)
        except CodecError as error:
            raise RefusedError(str(error)) from None
        if coded is not None:
            content = self.of(coded.content, depth + 1)
            return content if coded.tag is None else {"$": coded.tag, "v": content}
        for module, names, plain in _LATE:
            loaded = sys.modules.get(module)
            if loaded is not None and any(issubclass(kind, getattr(loaded, name)) for name in names):
                return self.of(_guarded(plain, value, kind), depth + 1)
        if kind.__module__ == "__main__" and (held := getattr(value, "__dict__", None)).__class__ is dict:
            return self.of(held, depth + 1)
        if issubclass(kind, type):
            raise RefusedError(f"the class {value.__name__} can't cross the sandbox's boundary, {_ONLY_PLAIN}")
        raise RefusedError(f"a value of type {kind.__name__} can't cross the sandbox's boundary, {_ONLY_PLAIN}")


def _guarded(plain: Callable[[Any], Any], value: Any, kind: type) -> Any:
    try:
        return plain(value)
    except Exception as error:  # noqa: BLE001 - the value may fight back
        raise RefusedError(f"a value of type {kind.__name__} can't cross: {type(error).__name__}") from None


_PACKS: tuple[tuple[type, Callable[[_Packing, Any, int], Any]], ...] = (
    (str, _Packing.text),
    (int, _Packing.integer),
    (float, _Packing.real),
    (bytes, _Packing.octets),
    (bytearray, _Packing.octets),
    (dict, _Packing.mapping),
    (list, _Packing.sequence),
    (tuple, _Packing.sequence),
    (set, _Packing.sequence),
    (frozenset, _Packing.sequence),
)
_LATE: tuple[tuple[str, tuple[str, ...], Callable[[Any], Any]], ...] = (
    ("enum", ("Enum",), lambda value: value.value),
    ("datetime", ("date", "time"), lambda value: value.isoformat()),
    ("pathlib", ("PurePath",), str),
    ("uuid", ("UUID",), str),
    ("decimal", ("Decimal",), str),
)
