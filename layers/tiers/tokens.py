"""How many tokens a prompt has, without a tokenizer: an upper bound to reserve, an estimate where nobody counted."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# Providers wrap messages and tools in tokens of their own; images cost up to about 5,000 tokens at full size.
_PER_MESSAGE = 12
_PER_PROMPT = 400
_PER_IMAGE = 5000


def most_tokens(text: str) -> int:
    """Return an upper bound of a text's tokens.

    Byte-level tokenizers never make more tokens than bytes. ASCII text, code and JSON included, stays below one token
    for two characters; a byte each is counted for all other text.
    """
    ascii_count, other_bytes = _measure(text)
    return math.ceil(ascii_count / 2) + other_bytes


def likely_tokens(text: str) -> int:
    """Return an estimate of a text's tokens: four ASCII characters, or three bytes of other text, a token."""
    ascii_count, other_bytes = _measure(text)
    return math.ceil(ascii_count / 4 + other_bytes / 3)


def most_prompt_tokens(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> int:
    """Return an upper bound of the tokens of a whole prompt in wire form."""
    frame = _PER_PROMPT + _PER_MESSAGE * len(messages) + _PER_IMAGE * _images(messages)
    return frame + sum(most_tokens(text) for text in _texts(messages, tools))


def likely_prompt_tokens(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> int:
    """Return an estimate of the tokens of a whole prompt in wire form."""
    frame = 4 * len(messages) + _PER_IMAGE // 4 * _images(messages)
    return frame + sum(likely_tokens(text) for text in _texts(messages, tools))


def _measure(text: str) -> tuple[int, int]:
    """Return the number of ASCII characters, and of bytes of all other characters."""
    if text.isascii():
        return len(text), 0
    encoded = text.encode("utf-8", "surrogatepass")
    ascii_count = len(text.encode("ascii", "ignore"))
    return ascii_count, len(encoded) - ascii_count


def _texts(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for message in messages:
        content = message.get("content")
        if isinstance(content, str):
            yield content
        else:
            yield from (part["text"] for part in content or () if part.get("type") == "text")
    yield from (json.dumps(tool) for tool in tools)


def _images(messages: Sequence[Mapping[str, Any]]) -> int:
    parts = (message.get("content") for message in messages)
    return sum(part.get("type") == "image_url" for content in parts if isinstance(content, list) for part in content)
