"""Values of Python that JavaScript has otherwise: large integers, arrays, tables and images."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any, Final

from sandbox.docker.guest.tags import TAG
from sandbox.errors import ValueRefused

if TYPE_CHECKING:
    from collections.abc import Callable

_SAFE: Final = 2**53 - 1  # above it JavaScript's numbers skip integers


def with_big_integers(value: Any) -> Any:
    """A tagged value in which each int that a number would round has a tag, so that it becomes a BigInt."""
    kind = type(value)
    if kind is int:
        return value if -_SAFE <= value <= _SAFE else {TAG: "int", "v": str(value)}
    if kind is list:
        return [with_big_integers(item) for item in value]
    if kind is dict:
        return {key: with_big_integers(item) for key, item in value.items()}
    return value


def reduce(value: Any, room: int, of: Callable[[Any], Any]) -> Any:
    """An array as nested lists, a table as a list of its rows, an image as the bytes of a PNG; else NotImplemented.

    Args:
        value: anything; nothing is imported to look at it.
        room: bytes that it may take.
        of: makes a plain value of what is inside.

    Raises:
        ValueRefused: it takes more than that.
    """
    for module, kind, size, content in _KINDS:
        loaded = getattr(sys.modules.get(module), kind, None)
        if loaded is not None and isinstance(value, loaded):
            if size(value) > room:
                raise ValueRefused(f"the {type(value).__name__} is larger than {room:,} bytes")
            return of(content(value))
    return NotImplemented


def _png(image: Any) -> bytes:
    octets = io.BytesIO()
    image.save(octets, "PNG")
    return octets.getvalue()


_KINDS: Final[tuple[tuple[str, str, Callable[[Any], int], Callable[[Any], Any]], ...]] = (
    ("numpy", "ndarray", lambda value: value.nbytes, lambda value: value.tolist()),
    ("numpy", "generic", lambda value: value.nbytes, lambda value: value.item()),
    ("pandas", "DataFrame", lambda value: value.size, lambda value: value.to_dict("records")),
    ("pandas", "Series", lambda value: value.size, lambda value: value.tolist()),
    ("PIL.Image", "Image", lambda value: value.width * value.height, _png),
)
