"""What JSON's numbers can't hold in JavaScript."""

from __future__ import annotations

from typing import Any, Final

from sandbox.docker.guest.tags import TAG

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
