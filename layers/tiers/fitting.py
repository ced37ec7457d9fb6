"""Prompts that fit into a small context: the middles of long texts are left out, of the newest least.

`layers.compaction` bounds prompts for the models that most people use. What a local server takes may be a tenth of it,
and is known only from its refusal (`layers.tiers.abilities`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

FEWEST_CHARACTERS = 2000
"""A prompt that must be shorter than this says too little to go on with."""

_FAVOURED = 4  # times the room of the others: what tells the task, and what was seen last
_NEWEST = 2
_NOTE = "\n[… {} characters left out, since the model's context is small …]\n"


def characters_of(messages: Sequence[Mapping[str, Any]]) -> int:
    """Return how many characters of text messages in wire form have."""
    return sum(len(text) for message in messages for text in _texts(message))


def fitted(messages: Sequence[Mapping[str, Any]], characters: int) -> list[dict[str, Any]]:
    """Return the messages with about so many characters at most; as they are where they have no more.

    The roles stay, since chat templates want them in turns. The first two messages, which tell how to work and at what,
    and the newest ones have more room than those between.
    """
    if characters_of(messages) <= characters:
        return [dict(message) for message in messages]
    weights = _weights(messages)
    sizes = [len(text) for message in messages for text in _texts(message)]
    room = iter(_rooms(sizes, weights, characters))
    return [_shortened(message, room) for message in messages]


def _weights(messages: Sequence[Mapping[str, Any]]) -> list[int]:
    last = len(messages) - _NEWEST
    return [
        _FAVOURED if place < 2 or place >= last else 1
        for place, message in enumerate(messages)
        for _ in _texts(message)
    ]


def _rooms(sizes: Sequence[int], weights: Sequence[int], characters: int) -> list[int]:
    """Share the characters out by weight; what short texts leave of theirs goes to the longer ones."""
    rooms = [0] * len(sizes)
    waiting, left = set(range(len(sizes))), characters
    while waiting:
        unit = left / sum(weights[index] for index in waiting)
        content = {index for index in waiting if sizes[index] <= unit * weights[index]}
        if not content:
            for index in waiting:
                rooms[index] = int(unit * weights[index])
            break
        for index in content:
            rooms[index] = sizes[index]
            left -= sizes[index]
        waiting -= content
    return rooms


def _shortened(message: Mapping[str, Any], room: Any) -> dict[str, Any]:
    content = message.get("content")
    if isinstance(content, str):
        return {**message, "content": _cut(content, next(room))}
    parts = cast("list[dict[str, Any]]", content or [])
    short = [{**part, "text": _cut(part["text"], next(room))} if part.get("type") == "text" else part for part in parts]
    return {**message, "content": short}


def _cut(text: str, room: int) -> str:
    if len(text) <= room:
        return text
    note = _NOTE.format(len(text) - room)
    half = max(0, room - len(note)) // 2
    return text[:half] + note + text[len(text) - half :]


def _texts(message: Mapping[str, Any]) -> list[str]:
    content = message.get("content")
    if isinstance(content, str):
        return [content]
    parts = cast("list[dict[str, Any]]", content or [])
    return [part["text"] for part in parts if part.get("type") == "text"]
