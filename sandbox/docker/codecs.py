"""The host's side of arrays, tables and images: only kinds whose package is installed here are taken or sent."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from sandbox.docker.guest.codecs import KINDS, CodecError, Codecs
from sandbox.docker.guest.tags import Coded, TagError, untagged
from sandbox.errors import ValueRefused

if TYPE_CHECKING:
    from collections.abc import Callable

_DEPTH_OF_FRAMES = 16  # levels that tags, and the parts of a table, may add to a value


@cache
def here() -> list[str]:
    """Roots of the packages that are installed here; none of them is imported for that."""
    roots = [package.partition(".")[0] for _, package, *_ in KINDS]
    return [root for root in roots if find_spec(root) is not None]


def reduce(value: Any, room: int, of: Callable[[Any], Any]) -> Any:
    """A value of one of the kinds as what `tagged` takes, for `plain`; NotImplemented when it is of none.

    Raises:
        ValueRefused: it is of such a kind, but can't cross.
    """
    try:
        coded = _codecs().reduce(value, room)
    except CodecError as error:
        raise ValueRefused(str(error)) from None
    if coded is None:
        return NotImplemented
    content = of(coded.content)
    return content if coded.tag is None else Coded(coded.tag, content)


def received(values: Any, depth: int, size: int) -> Any:
    """What a box has sent, checked and rebuilt.

    Args:
        values: what JSON gave of one message.
        depth: `value_depth` of the limits.
        size: bytes that its arrays, tables and images may take together.

    Raises:
        TagError: it is no value, and no code of ours has sent it.
        ValueRefused: an array, table or image that can't be rebuilt, or is none.
    """
    try:
        return untagged(values, depth + _DEPTH_OF_FRAMES, _codecs().makers(size))
    except CodecError as error:
        raise ValueRefused(str(error)) from None


@cache
def _codecs() -> Codecs:
    return Codecs(here(), lambda name: import_module(f"sandbox.docker.guest.{name}"), "the host")


__all__ = ["TagError", "here", "received", "reduce"]
