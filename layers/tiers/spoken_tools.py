"""Tools for endpoints that know none: told in the prompt, and read from the text of the answer."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, cast

_ASK = """

# Calling tools
Answer with nothing but one JSON object, which calls one of these tools:
{{"name": "the tool's name", "arguments": {{"an argument": "its value"}}}}
The tools:
{tools}"""
_ARGUMENTS = ("arguments", "parameters", "args", "input")
_MOST_ATTEMPTS = 100  # a text of opening brackets would be read again from each of them


def told(messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return messages whose first one says how to call tools by text, and which there are."""
    functions = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    text = _ASK.format(tools=functions)
    first, *rest = [dict(message) for message in messages]
    if first["role"] != "system":
        return [{"role": "system", "content": text.strip()}, first, *rest]
    content = first["content"]
    joined = content + text if isinstance(content, str) else [*content, {"type": "text", "text": text}]
    return [{**first, "content": joined}, *rest]


def spoken_calls(text: str, names: Collection[str]) -> list[tuple[str, dict[str, Any]]]:
    """Return the calls that a text makes as JSON objects, of tools that were offered: names and arguments.

    Models wrap them in fences, `<tool_call>` tags, lists, or prose; all of that is passed over.
    """
    found: list[tuple[str, dict[str, Any]]] = []
    for value in _objects(text):
        call = _call(value, names)
        if call is not None:
            found.append(call)
    return found


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Yield the outermost JSON objects of a text."""
    decoder = json.JSONDecoder()
    start = text.find("{")
    for _ in range(_MOST_ATTEMPTS):
        if start < 0:
            return
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            yield value
        start = text.find("{", end)


def _call(value: dict[str, Any], names: Collection[str]) -> tuple[str, dict[str, Any]] | None:
    inner = value.get("function")
    if isinstance(inner, dict):
        value = cast("dict[str, Any]", inner)
    name = value.get("name")
    if not isinstance(name, str) or name not in names:
        return None
    given: Any = next((value[key] for key in _ARGUMENTS if key in value), {})
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError:
            return None
    return (name, cast("dict[str, Any]", given)) if isinstance(given, dict) else None
