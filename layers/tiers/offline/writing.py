"""Writes a move down: as short Python for a code layer, as native tool calls for a tool-calling one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pprint import pformat
from typing import TYPE_CHECKING, Any

from layers.tiers.offline.moves import Act, Call, Report

if TYPE_CHECKING:
    from smolagents import ChatMessage

_WIDTH = 110


def as_code(move: Act | Report, layers: Sequence[str]) -> str:
    """Return the text of a step: a line of thought, then the code between its tags."""
    if isinstance(move, Act):
        return f"{_plain(move.thought)}\n<code>\n{_program(move, layers)}\n</code>"
    return f"The report is complete.\n<code>\nreport = {literal(move)}\nfinal_answer(report)\n</code>"


def as_calls(move: Act | Report, step: int) -> ChatMessage:
    """Return the message of a step with native tool calls; ids count up, so that results come back in order."""
    from smolagents.models import (
        ChatMessage,
        ChatMessageToolCall,
        ChatMessageToolCallFunction,
        MessageRole,
    )

    final = not isinstance(move, Act)
    calls = [Call("final_answer", {"answer": move})] if final else move.calls
    thought = "The report is complete." if final else _plain(move.thought)
    return ChatMessage(
        role=MessageRole.ASSISTANT,
        content=thought,
        tool_calls=[
            ChatMessageToolCall(
                id=f"call_{step}_{number:02d}",
                type="function",
                function=ChatMessageToolCallFunction(name=call.name, arguments=dict(call.arguments)),
            )
            for number, call in enumerate(calls)
        ],
    )


def as_json(move: Report) -> str:
    """Return a report as the JSON text that a closing call asks for."""
    return json.dumps(move, ensure_ascii=False)


def literal(value: Any, indent: int = 0) -> str:
    """Return a JSON value as a Python literal that is safe between code tags.

    Text out of memory may hold the tags themselves, or smolagents' own `final_answer`, which it rewrites in code: both
    are spelled with an escape, which the code reads back as the same text.
    """
    text = pformat(value, width=_WIDTH - indent, sort_dicts=False, compact=True)
    text = text.replace("<code>", "<\\x63ode>").replace("</code>", "</\\x63ode>").replace("```", "\\x60``")
    text = text.replace("final_answer", "final\\x5fanswer")
    return text.replace("\n", "\n" + " " * indent)


def _program(act: Act, layers: Sequence[str]) -> str:
    name = act.variable
    return f"import json\n{name} = {_results(act.calls, layers)}\nprint(json.dumps({name}))"


def _results(calls: Sequence[Call], layers: Sequence[str]) -> str:
    if len(calls) > 1 and all(call.name in layers for call in calls):
        orders = [{"layer": call.name, **call.arguments} for call in calls]
        return f"delegate({literal(orders, 9)})"
    varying = _varying(calls)
    if varying:
        fixed = "".join(f", {key}={literal(value)}" for key, value in calls[0].arguments.items() if key != varying)
        values = literal([call.arguments[varying] for call in calls], 4)
        call = f"{calls[0].name}({varying}={_singular(varying)}{fixed})"
        return f"[\n    {call}\n    for {_singular(varying)} in {values}\n]"
    lines = "".join(f"\n    {_call(call)}," for call in calls)
    return f"[{lines}\n]"


def _varying(calls: Sequence[Call]) -> str:
    """Return the one argument in which several calls of one tool differ, `""` where it isn't so."""
    if len(calls) < 2 or len({(call.name, tuple(call.arguments)) for call in calls}) > 1:
        return ""
    first = calls[0].arguments
    differing = [key for key in first if any(call.arguments[key] != first[key] for call in calls)]
    return differing[0] if len(differing) == 1 else ""


def _singular(argument: str) -> str:
    return argument[:-1] if argument.endswith("s") else f"each_{argument}" if argument == "id" else argument


def _call(call: Call) -> str:
    arguments = [f"{key}={literal(value, 8)}" for key, value in call.arguments.items()]
    line = f"{call.name}({', '.join(arguments)})"
    return (
        line
        if len(line) < _WIDTH and "\n" not in line
        else f"{call.name}(\n        " + ",\n        ".join(arguments) + ",\n    )"
    )


def _plain(thought: str) -> str:
    # A line of thought must not open the code's tags, nor hold what ends a completion.
    return thought.replace("<", "‹").replace("Observation:", "Observation").replace("\n", " ")
