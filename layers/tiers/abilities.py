"""What an endpoint takes: OpenAI-compatible servers leave things out, and tell it in errors of their own wording.

A call starts with all that it wants. A refusal that speaks of one thing is answered by the same call without it; what
worked is remembered for the endpoint's later calls (`layers.tiers.endpoint`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

_CONTEXT = re.compile(r"maximum context length is (\d+)|context (?:length|window) (?:of|is) (?:only )?(\d+)", re.I)
_FEWEST_TOKENS = 256


class ToolUse(StrEnum):
    """How a model is asked to call tools, from the strictest form to the one that every endpoint takes."""

    REQUIRED = "required"
    AUTO = "auto"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a call to an endpoint may use.

    Attributes:
        streams: answers come in pieces.
        counts_streams: streams end with token counts (`stream_options`).
        tools: how tools are called.
        schemas: `response_format`.
        stops: stop sequences.
        temperature: a sampling temperature.
        system: messages of the role `system`.
        max_tokens: most completion tokens that fit into the model's context; `None` where nobody complained.
    """

    streams: bool = True
    counts_streams: bool = True
    tools: ToolUse = ToolUse.REQUIRED
    schemas: bool = True
    stops: bool = True
    temperature: bool = True
    system: bool = True
    max_tokens: int | None = None


# In this order: `stream_options` speaks of streams too, and `tool_choice` of tools.
_COMPLAINTS = (
    (re.compile(r"stream_options|include_usage", re.I), "counts_streams"),
    (re.compile(r"\bstream(?:ing|ed|s)?\b", re.I), "streams"),
    (re.compile(r"response_format|json_schema|guided|grammar", re.I), "schemas"),
    (re.compile(r"system (?:role|message|prompt)", re.I), "system"),
    (re.compile(r"temperature", re.I), "temperature"),
    (re.compile(r"\bstop\b", re.I), "stops"),
)
_TOOL_CHOICE = re.compile(r"tool[_ ]choice", re.I)
_TOOLS = re.compile(r"\btools?\b|function[_ ]?call", re.I)


def lesser(abilities: Abilities, used: Abilities, complaint: str) -> Abilities | None:
    """Return what to try after a refusal; `None` if the complaint speaks of nothing that could be left out.

    Args:
        abilities: what the endpoint was taken to have.
        used: what the refused call used of it.
        complaint: the words of the refusal.
    """
    smaller = _smaller_answer(abilities, complaint)
    if smaller is not None:
        return smaller
    for pattern, name in _COMPLAINTS:
        if getattr(used, name) and pattern.search(complaint):
            return replace(abilities, **{name: False})
    if used.tools is not ToolUse.TEXT and _TOOLS.search(complaint):
        milder = used.tools is ToolUse.REQUIRED and _TOOL_CHOICE.search(complaint)
        return replace(abilities, tools=ToolUse.AUTO if milder else ToolUse.TEXT)
    return None


def _smaller_answer(abilities: Abilities, complaint: str) -> Abilities | None:
    """Ask for an answer of a quarter of the context: small local models refuse what doesn't fit beside the prompt."""
    found = _CONTEXT.search(complaint)
    if found is None or abilities.max_tokens is not None:
        return None
    quarter = int(found[1] or found[2]) // 4
    return replace(abilities, max_tokens=quarter) if quarter >= _FEWEST_TOKENS else None
