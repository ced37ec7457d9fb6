"""What the messages of one call say: which layer is asked, for what, with which callables, and what happened so far."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smolagents import ChatMessage

    from layers.tiers.base import ChatRequest

_LAYER = re.compile(r"You are the (\w+) layer of Dionysus")
_SIGNATURE = re.compile(r'^def (\w+)\(([^\n]*)\):\n    """([^\n]*)', re.MULTILINE)
_CONTEXT = re.compile(r"\s*<context>\n(.*)\n</context>\s*$", re.DOTALL)
_TASK = "New task:\n"
_OBSERVATION = "Observation:\n"
_CLOSING = "Your steps are used up."
_PLAN = "Write a short plan"
_REPLAN = "These are the steps so far"


class Wanted(Enum):
    """What a call of the model is for."""

    ACTION = auto()
    PLAN = auto()
    CLOSING = auto()


@dataclass(frozen=True, slots=True)
class Callable_:  # noqa: N801 - `Callable` is Python's own
    """Something the layer may call: a tool, or another layer where it takes a task and a context."""

    name: str
    description: str
    is_layer: bool


@dataclass(frozen=True, slots=True)
class Conversation:
    """One call's messages, read.

    Attributes:
        wanted: an action, a plan, or the closing report.
        layer: the layer's name; `""` where the messages don't say it (plans and closing calls).
        task: the task without its context.
        context: the task's context.
        may_call: tools and layers by name.
        code: whether actions are code rather than native tool calls.
        observed: per action made so far, the JSON values it brought to light; empty where it failed.
    """

    wanted: Wanted
    layer: str
    task: str
    context: Mapping[str, Any]
    may_call: Mapping[str, Callable_] = field(default_factory=dict[str, Callable_])
    code: bool = True
    observed: Sequence[list[Any]] = ()

    @classmethod
    def read(cls, request: ChatRequest) -> Conversation:
        """Read the messages of a request."""
        texts = [_text(message) for message in request.messages]
        opening = texts[0] if texts else ""
        layer = _LAYER.match(opening)
        native = [_native(tool) for tool in request.tools]
        named = native or list(_signatures(opening)) if layer else []
        task, context = _task(texts)
        return cls(
            wanted=_wanted(opening),
            layer=layer.group(1) if layer else "",
            task=task,
            context=context,
            may_call={each.name: each for each in named},
            code=not native,
            observed=tuple(_observed(texts)),
        )

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers that may be called."""
        return tuple(each.name for each in self.may_call.values() if each.is_layer)


def json_values(text: str) -> list[Any]:
    """Return the JSON objects and arrays that stand one after the other in a text, whatever is between them."""
    decoder, values, place = json.JSONDecoder(), list[Any](), 0
    while (start := _next(text, place)) >= 0:
        try:
            value, place = decoder.raw_decode(text, start)
            values.append(value)
        except ValueError:
            place = start + 1
    return values


def _next(text: str, place: int) -> int:
    # Only the beginning of a line can begin a value: brackets inside printed prose are no JSON.
    match = re.compile(r"^[ \t]*(?=[{\[])", re.MULTILINE).search(text, place)
    return match.end() if match else -1


def _text(message: ChatMessage | Mapping[str, Any]) -> str:
    content = message["content"] if isinstance(message, Mapping) else message.content
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text", "")) for part in content or () if isinstance(part, Mapping))


def _wanted(opening: str) -> Wanted:
    if opening.startswith(_CLOSING):
        return Wanted.CLOSING
    return Wanted.PLAN if opening.startswith((_PLAN, _REPLAN)) else Wanted.ACTION


def _native(tool: Any) -> Callable_:
    return Callable_(tool.name, tool.description, {"task", "context"} <= set(tool.inputs))


def _signatures(prompt: str) -> Iterable[Callable_]:
    for match in _SIGNATURE.finditer(prompt):
        name, arguments, description = match.groups()
        yield Callable_(name, description, arguments.startswith("task: str, context:"))


def _task(texts: Iterable[str]) -> tuple[str, Mapping[str, Any]]:
    # The newest task counts: an agent that is run again has the earlier ones before it.
    whole = next((text[len(_TASK) :] for text in reversed(list(texts)) if text.startswith(_TASK)), "")
    found = _CONTEXT.search(whole)
    if not found:
        return whole.strip(), {}
    try:
        context = json.loads(found.group(1))
    except ValueError:
        context = None
    return whole[: found.start()].strip(), context if isinstance(context, dict) else {}


def _observed(texts: Sequence[str]) -> Iterable[list[Any]]:
    """Yield what each action brought to light; an action is a call announced, what follows it its outcome."""
    outcome: list[Any] | None = None
    for text in texts:
        if text.startswith("Calling tools:"):
            if outcome is not None:
                yield outcome
            outcome = []
        elif outcome is not None and text.startswith(_OBSERVATION):
            outcome += json_values(text[len(_OBSERVATION) :])
    if outcome is not None:
        yield outcome
