"""What an endpoint takes: OpenAI-compatible servers leave things out, and tell it in errors of their own wording.

A call starts with all that it wants. A refusal that speaks of one thing is answered by the same call without it; what
worked is remembered for the endpoint's later calls (`layers.tiers.endpoint`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from layers.tiers.fitting import FEWEST_CHARACTERS

_CONTEXT = re.compile(
    r"maximum context length is (\d[\d,]*)|context (?:length|window) (?:of|is) (?:only )?(\d[\d,]*)", re.I
)
_TOO_LONG = re.compile(
    r"context[ _]?(?:length|window|size)|maximum context|(?:prompt|input) is too long|too many (?:input )?tokens"
    r"|reduce the length|input token count|maximum model length|max_new_tokens`? must be <=",
    re.I,
)
_FEWEST_TOKENS = 256
_SMALLEST_CONTEXT = 512  # tokens; a number below is none of tokens: "128K", "1M"
_CHARACTERS_A_TOKEN = 2.2  # of three quarters of a context, the rest being the answer's: about three a token


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
        characters: most characters of a prompt that fit into it; likewise.
    """

    streams: bool = True
    counts_streams: bool = True
    tools: ToolUse = ToolUse.REQUIRED
    schemas: bool = True
    stops: bool = True
    temperature: bool = True
    system: bool = True
    max_tokens: int | None = None
    characters: int | None = None


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
    for pattern, name in _COMPLAINTS:
        if getattr(used, name) and pattern.search(complaint):
            return replace(abilities, **{name: False})
    if used.tools is not ToolUse.TEXT and _TOOLS.search(complaint):
        milder = used.tools is ToolUse.REQUIRED and _TOOL_CHOICE.search(complaint)
        return replace(abilities, tools=ToolUse.AUTO if milder else ToolUse.TEXT)
    return None


def speaks_of_length(complaint: str) -> bool:
    """Whether a refusal says that prompt and answer don't fit into the model's context."""
    return _TOO_LONG.search(complaint) is not None


def shorter(abilities: Abilities, characters: int, complaint: str) -> Abilities | None:
    """Return what to try after a refusal that speaks of length; `None` if nothing sensible is left.

    First an answer of a quarter of the context, since small local models refuse what doesn't fit beside the prompt;
    then a shorter prompt.

    Args:
        abilities: what the endpoint was taken to have.
        characters: of the prompt that was refused.
        complaint: the words of the refusal.
    """
    context = _context(complaint)
    if context is not None and abilities.max_tokens is None and context // 4 >= _FEWEST_TOKENS:
        return replace(abilities, max_tokens=context // 4)
    fewer = characters * 2 // 3
    if context is not None:
        fewer = min(fewer, int(context * _CHARACTERS_A_TOKEN))
    return replace(abilities, characters=fewer) if fewer >= FEWEST_CHARACTERS else None


def _context(complaint: str) -> int | None:
    """Return the tokens of the context that a refusal names."""
    found = _CONTEXT.search(complaint)
    tokens = int((found[1] or found[2])[:12].replace(",", "")) if found else 0
    return tokens if tokens >= _SMALLEST_CONTEXT else None
