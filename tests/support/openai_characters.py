"""Characters for `OpenAIServer`: scripts that play a whole agent, whatever layer asks.

They read the request as a model would: tools offered natively are called, a prompt that speaks of code blocks gets
one in the tags that it names, and the prompt that closes a run out of steps gets a plain answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from tests.support.openai_server import Action, Request, Say, ToolCall, Usage

USUAL = Usage()

# How our own closing prompt begins, and that of plain smolagents agents.
CLOSING = re.compile(r"Your steps are used up|got stuck and failed")


def is_closing(request: Request) -> bool:
    """Whether the request is the closing call of an agent that ran out of steps."""
    return not request.tools and bool(CLOSING.search(request.text))


def is_planning(request: Request) -> bool:
    """Whether the request asks for a plan and not for an action; some models take no stop sequence."""
    asked = "<end_plan>" in (request.body.get("stop") or ()) or "<end_plan>" in "".join(request.texts[-1:])
    return asked and not request.tools


def code(request: Request, source: str) -> str:
    """Return Python in the tags that the request's prompt asks for."""
    system = request.texts[0] if request.texts else ""
    if "<code>" in system or "<code>" in request.text:
        return f"Thought: this is the next action.\n<code>\n{source}\n</code>"
    return f"Thought: this is the next action.\n```python\n{source}\n```"


def act(request: Request, tool: str, arguments: dict[str, Any], source: str, usage: Usage | None) -> Say:
    """Take one action: a native call of `tool` where tools are offered, else code."""
    if request.tools:
        return Say(calls=[ToolCall(tool, arguments)], usage=usage)
    return Say(code(request, source), usage=usage)


def obedient(answer: Any = "The answer is 42.", usage: Usage | None = USUAL) -> Callable[[Request], Action]:
    """A sensible agent: it finishes at its first chance, with `answer` (text or JSON)."""

    def play(request: Request) -> Action:
        if is_planning(request):
            return Say("1. Give the answer.\n<end_plan>", usage=usage)
        if is_closing(request):
            return Say(answer if isinstance(answer, str) else json.dumps(answer), usage=usage)
        return act(request, "final_answer", {"answer": answer}, f"final_answer({answer!r})", usage)

    return play


def never_finishing(closing: str = "I ran out of steps.", usage: Usage | None = USUAL) -> Callable[[Request], Action]:
    """An agent that always takes one more harmless action, and answers `closing` when it is told to close.

    Each action differs from the one before, so that a guard against repetition doesn't end it. With tools it calls
    the first one that isn't `final_answer`, every string argument being the number of the request.
    """

    def play(request: Request) -> Action:
        if is_closing(request):
            return Say(closing, usage=usage)
        if is_planning(request):
            return Say("1. Go on.\n<end_plan>", usage=usage)
        name, arguments = _harmless(request)
        return act(request, name, arguments, f"print('still thinking', {request.number})", usage)

    return play


def _harmless(request: Request) -> tuple[str, dict[str, Any]]:
    for tool in request.body.get("tools") or ():
        function = tool["function"]
        if function["name"] != "final_answer":
            parameters = function["parameters"]
            required = parameters.get("required", ())
            kinds = {name: parameters["properties"][name].get("type") for name in required}
            return function["name"], {name: _value(kind, request.number) for name, kind in kinds.items()}
    return "think", {}


def _value(kind: Any, number: int) -> Any:
    values = {"integer": 1, "number": 1.0, "boolean": False, "array": [], "object": {}}
    return values.get(str(kind), f"thought {number}")


def garbage(text: str = "Well, it depends.", usage: Usage | None = USUAL) -> Callable[[Request], Action]:
    """A model that talks, but never gives code or a tool call."""
    return lambda _request: Say(text, usage=usage)


def costly(tokens: int, script: Callable[[Request], Action] | None = None) -> Callable[[Request], Action]:
    """The character `script` (by default `obedient()`), billing `tokens` completion tokens a call."""
    played = script or obedient()

    def play(request: Request) -> Action:
        action = played(request)
        if not isinstance(action, Say):
            return action
        return Say(action.text, action.calls, Usage(prompt=len(request.text) // 4, completion=tokens))

    return play
