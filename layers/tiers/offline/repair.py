"""Brings an answer into the form of a schema: the one repair that a typed output gets."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from layers.analysis import parts, sentences
from layers.tiers.offline.filling import filled
from layers.tiers.offline.moves import NOTE, Act, Report, report

if TYPE_CHECKING:
    from layers.tiers.offline.conversation import Conversation


def think(conversation: Conversation) -> Generator[Act, list[Any], Report]:
    """Return the answer under `answer` in the context as an object for the `schema` beside it."""
    answer, schema = conversation.context.get("answer"), conversation.context.get("schema")
    text = (
        answer if isinstance(answer, str) else " ".join(map(str, answer.values())) if isinstance(answer, dict) else ""
    )
    quotes = [{"quote": sentence} for sentence in sentences(text)]
    value = filled(schema, parts(conversation.task), quotes) if isinstance(schema, dict) else answer
    return report(value, note=NOTE)
    yield Act("")  # makes this a policy that needs no step
