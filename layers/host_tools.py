"""Host functions as agents see them: smolagents tools that check, time, trace and report every call."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from smolagents.tools import Tool

from layers.errors import LayerError
from layers.json_values import json_value
from layers.run.apart import TookTooLong, apart
from layers.run.events import EventKind
from layers.run.signals import RunStopped
from observability import Kind, conventions, span

if TYPE_CHECKING:
    from layers.guards import Guard
    from layers.run.run import Node
    from layers.toolbox import ToolDefinition


MAX_SHOWN = 200_000
"""Characters of one result that a model, and the trace, get to see."""


class HostTool(Tool):
    """A tool whose body runs on the host, called by a layer's model or by its code in the sandbox.

    Args:
        node: the agent it is for.
        definition: what it is and does.
        as_text: whether results are JSON text (for native tool calls) rather than JSON values (for code).
        guard: decides whether a call may happen; `None` lets every one.
    """

    # Signature and source belong to a class written by hand; ours come from a definition.
    skip_forward_signature_validation = True

    def __init__(self, node: Node, definition: ToolDefinition, *, as_text: bool, guard: Guard | None = None) -> None:
        self.name = definition.name
        self.description = definition.description
        self.inputs = {name: dict(schema) for name, schema in definition.inputs.items()}
        self.output_type = "string" if as_text else "any"
        self._node = node
        self._definition = definition
        self._as_text = as_text
        self._guard = guard
        super().__init__()

    def __call__(self, *args: Any, sanitize_inputs_outputs: bool = False, **kwargs: Any) -> Any:
        """Call the host function; arguments are checked against the tool's schema first.

        Raises:
            LayerError: the arguments don't fit, or the tool left in another way than by an `Exception`, or in none; the
                layer's model sees the message.
            ToolDenied: the call may not happen; the layer's model sees why.
            Exception: what the tool raised; the layer's model sees that too.
            RunStopped: the run has been stopped.
        """
        del sanitize_inputs_outputs  # results are JSON in both cases
        node = self._node
        node.run.lifeline.check()
        hide = node.run.secrets.hide_in  # code that got hold of one must not carry it out by a tool
        arguments = check_arguments(self._definition, hide(json_value(args)), hide(json_value(kwargs)))
        shown = _shown(arguments)
        attributes = {conventions.GEN_AI_TOOL_NAME: self.name, conventions.INPUT: shown}
        node.publish(EventKind.TOOL_CALL, f"{self.name}({shown[:120]})", tool=self.name)
        with span(node.run.tracer, Kind.TOOL, f"execute_tool {self.name}", attributes) as opened:
            try:
                if self._guard is not None:
                    self._guard.check(node, self._definition, arguments, opened)
                result = hide(self._called(arguments))
            except Exception as error:
                node.publish(EventKind.TOOL_RESULT, f"{self.name} failed: {error}"[:160], tool=self.name, failed=True)
                raise
            text = _shown(result)
            node.publish(EventKind.TOOL_RESULT, text[:160], tool=self.name, failed=False)
            opened.set_attribute(conventions.OUTPUT, text)
        node.run.lifeline.check()
        return text if self._as_text else result

    forward = __call__

    def _called(self, arguments: dict[str, Any]) -> Any:
        """Call the host function; a tool may fail, but not end the process."""
        try:
            return self._called_apart(arguments) if self._definition.foreign else self._call(arguments)
        except RunStopped:
            raise
        except BaseException as error:
            if isinstance(error, Exception) and _can_be_told(error):
                self._node.run.secrets.scrub(error)
                if not self._node.run.secrets.redact(str(error))[1]:
                    raise
            raise LayerError(f"The tool {self.name} ended with {type(error).__name__}.") from error

    def _called_apart(self, arguments: dict[str, Any]) -> Any:
        """Call somebody else's code on a thread of its own: a stop, or the time limit, leaves it behind there."""
        limit = self._node.spec.tool_timeout
        try:
            return apart(self._node.run.lifeline, f"tool-{self.name}", self._call, arguments, limit=limit)
        except TookTooLong as error:
            raise LayerError(
                f"The tool {self.name} gave no result within {limit:g} s; it may still be at work."
            ) from error

    def _call(self, arguments: dict[str, Any]) -> Any:
        return self._definition.call(self._node, arguments)


def check_arguments(tool: ToolDefinition, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Bind positional and keyword arguments to a tool's inputs, and check presence, names and JSON types.

    Raises:
        LayerError: too many, unknown, missing or wrongly typed arguments.
    """
    bound = _bind(tool, args, kwargs)
    for name, schema in tool.inputs.items():
        if bound.get(name) is None:
            bound.pop(name, None)
            if not schema.get("nullable"):
                raise LayerError(f"{tool.name} needs the argument {name!r}: {schema.get('description', '')}")
        elif not _fits(bound[name], str(schema.get("type", "any"))):
            raise LayerError(f"{tool.name}: {name} must be of type {schema['type']}, not {type(bound[name]).__name__}.")
    return bound


def _bind(tool: ToolDefinition, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    names = list(tool.inputs)
    if len(args) > len(names):
        raise LayerError(f"{tool.name} takes {len(names)} arguments ({', '.join(names)}), not {len(args)}.")
    bound = dict(zip(names, args, strict=False))
    for name, value in kwargs.items():
        if name not in tool.inputs:
            raise LayerError(f"{tool.name} has no argument {name!r}; it takes: {', '.join(names)}.")
        if name in bound:
            raise LayerError(f"{tool.name} was given {name!r} twice.")
        bound[name] = value
    return bound


def _fits(value: Any, kind: str) -> bool:
    if kind in ("integer", "number") and isinstance(value, bool):
        return False
    expected: dict[str, type | tuple[type, ...]] = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "array": (list, tuple),
        "object": dict,
    }
    return isinstance(value, expected.get(kind, object))


def _shown(value: Any) -> str:
    text = json.dumps(json_value(value), ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]} … (cut: {len(text):,} characters in all)"


def _can_be_told(error: Exception) -> bool:
    try:
        return bool(str(error) or True)
    except Exception:  # noqa: BLE001 - a stranger's error; its text is what every agent reads of it
        return False
