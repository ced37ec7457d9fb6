"""Long results in pages: each within a budget of tokens, with a cursor to the next one."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from dionysus_mcp.errors import MemoryStoreError, named

if TYPE_CHECKING:
    from pydantic import BaseModel

    from dionysus_mcp.records import ConsciousnessState, Memory, MentalModel

CHARACTERS_PER_TOKEN = 4
_AROUND = 200
"""Characters of a result that are no record of its page."""
_LEAST = 200
"""Characters of a content that a page shows at least, however small the budget."""
_METADATA_SHARE = 4
"""Metadata that would take more than this part of a page come as text, in as many pages as they need."""

T = TypeVar("T", bound="BaseModel")


def place_of(cursor: str | None) -> tuple[int, int]:
    """The record, and the character within its content, where a page begins.

    Raises:
        MemoryStoreError: if the cursor isn't one of ours.
    """
    if cursor is None:
        return 0, 0
    first, colon, second = cursor.partition(":")
    numbers = (first, second if colon else "0")
    if not all(one.isascii() and one.isdigit() and len(one) < 10 for one in numbers):
        raise MemoryStoreError(f"{named(cursor)} is no cursor; give next_cursor of the result before, or leave it out.")
    return int(numbers[0]), int(numbers[1])


def page(records: Sequence[T], budget: int, start: int = 0) -> tuple[list[T], str | None]:
    """The records from `start` on that fit a budget of tokens, at least one, and the cursor to those after them."""
    left = budget * CHARACTERS_PER_TOKEN - _AROUND
    kept: list[T] = []
    for record in records[start:]:
        left -= len(record.model_dump_json())
        if kept and left < 0:
            return kept, str(start + len(kept))
        kept.append(record)
    return kept, None


def pages_of_memories(
    memories: "Sequence[Memory]", budget: int, cursor: str | None
) -> "tuple[list[Memory], str | None]":
    """Memories that fit a budget of tokens; what is longer than a page goes on in the next one, under the same id.

    Metadata that would take more than a quarter of a page are text after the content, see `Memory.metadata_part`.

    Args:
        memories: All of them.
        budget: Tokens, at four characters each.
        cursor: Where to begin; None at the first.

    Raises:
        MemoryStoreError: if the cursor is none of these memories'.
    """
    number, offset = place_of(cursor)
    if cursor is not None and number >= len(memories):
        raise MemoryStoreError(f"The cursor {named(cursor)} points behind the last of {len(memories)} memories.")
    left = budget * CHARACTERS_PER_TOKEN - _AROUND
    kept: list[Memory] = []
    while number < len(memories):
        memory = _from(memories[number], offset, budget)
        size = len(memory.model_dump_json())
        if size > left and kept:
            break
        cut, length = _cut(memory, left) if size > left else (memory, None)
        kept.append(cut)
        if length is not None:
            return kept, f"{number}:{offset + length}"
        left, number, offset = left - size, number + 1, 0
    return kept, str(number) if number < len(memories) else None


def metadata_beginning(metadata: Mapping[str, Any], budget: int) -> str | None:
    """The beginning of metadata as JSON where they would take more than a quarter of a budget of tokens, else None."""
    told = _as_json(metadata)
    return told[:_LEAST] if len(told) > budget * CHARACTERS_PER_TOKEN // _METADATA_SHARE else None


def _as_json(metadata: Mapping[str, Any]) -> str:
    return json.dumps(dict(metadata), ensure_ascii=False)


def _from(memory: "Memory", offset: int, budget: int) -> "Memory":
    """A memory from a character of what it holds on: its content, and then its metadata if they are too long."""
    update: dict[str, Any] = {"content": memory.content[offset:]} if offset else {}
    if metadata_beginning(memory.metadata, budget) is not None:
        told = _as_json(memory.metadata)
        update |= {"metadata": {}, "metadata_part": told[max(0, offset - len(memory.content)) :]}
    return memory.model_copy(update=update) if update else memory


def _cut(memory: "Memory", left: int) -> "tuple[Memory, int | None]":
    """As much of a memory as fits so many characters, and how much that is; None for all of it, if it is that short."""
    part = memory.metadata_part or ""
    whole = length = len(memory.content) + len(part)
    cut = memory
    # Escapes make JSON longer than the text, and not everywhere alike: what is over is cut in proportion, till it fits.
    while length > _LEAST and (size := len(cut.model_dump_json())) > left:
        length = max(_LEAST, min(length - 1, int(length * max(0, left - _AROUND) / size)))
        rest = None if memory.metadata_part is None else part[: max(0, length - len(memory.content))]
        cut = memory.model_copy(update={"content": memory.content[:length], "metadata_part": rest})
    return cut, None if length >= whole else length


def beginning(memory: "Memory", budget: int) -> "Memory":
    """A memory with as much of its content as fits a budget; `get_memories` gives the rest."""
    return pages_of_memories([memory], budget, None)[0][0]


def versions_within(model: "MentalModel", budget: int, cursor: str | None = None) -> "MentalModel":
    """A mental model with those of its versions that fit a budget, and the cursor to the later ones."""
    kept, following = page(model.history, budget - budget // 4, place_of(cursor)[0])
    return model.model_copy(update={"history": kept, "next_cursor": following})


def within_budget(state: "ConsciousnessState", budget: int) -> "ConsciousnessState":
    """A state whose lists fit a budget: half of it for memories, a quarter each for beliefs and predictions."""
    recent, more = pages_of_memories(state.recent, budget // 2, None)
    models, more_models = page(state.models, budget // 4)
    predictions, more_predictions = page(state.predictions, budget // 4)
    notice = None
    if more or more_models or more_predictions:
        notice = (
            f"Shortened to fit {budget} tokens: {len(recent)} of {len(state.recent)} recent memories, "
            f"{len(models)} of {len(state.models)} beliefs, {len(predictions)} of {len(state.predictions)} "
            "predictions. get_memories and list_mental_models give them whole."
        )
    update = {"recent": recent, "models": models, "predictions": predictions, "notice": notice}
    return state.model_copy(update=update)
