"""Long results in pages: each within a budget of tokens, with a cursor to the next one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from dionysus_mcp.errors import MemoryStoreError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from dionysus_mcp.records import ConsciousnessState, Memory, MentalModel

CHARACTERS_PER_TOKEN = 4
_AROUND = 200
"""Characters of a result that are no record of its page."""
_LEAST = 200
"""Characters of a content that a page shows at least, however small the budget."""

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
        raise MemoryStoreError(f"{cursor[:50]!r} is no cursor; give next_cursor of the result before, or leave it out.")
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
    """Memories that fit a budget of tokens; a content that is longer than a page goes on in the next one.

    Args:
        memories: All of them.
        budget: Tokens, at four characters each.
        cursor: Where to begin; None at the first.

    Raises:
        MemoryStoreError: if the cursor is none of these memories'.
    """
    number, offset = place_of(cursor)
    if cursor is not None and number >= len(memories):
        raise MemoryStoreError(f"The cursor {cursor!r} points behind the last of {len(memories)} memories.")
    left = budget * CHARACTERS_PER_TOKEN - _AROUND
    kept: list[Memory] = []
    while number < len(memories):
        memory = memories[number]
        memory = memory.model_copy(update={"content": memory.content[offset:]}) if offset else memory
        size = len(memory.model_dump_json())
        if size <= left:
            kept.append(memory)
            left, number, offset = left - size, number + 1, 0
            continue
        if kept:
            break
        # Escapes make JSON longer than the text; what is over is cut in proportion.
        length = max(_LEAST, int(len(memory.content) * max(0, left - _AROUND) / size))
        if length >= len(memory.content):
            kept.append(memory)
            number, offset = number + 1, 0
            break
        return [memory.model_copy(update={"content": memory.content[:length]})], f"{number}:{offset + length}"
    return kept, str(number) if number < len(memories) else None


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
