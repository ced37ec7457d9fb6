"""Host functions as agents see them: smolagents tools that check, time, trace and report every call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from smolagents.tools import Tool

from layers.errors import LayerError
from layers.run.events import EventKind
from observability import Kind, span

if TYPE_CHECKING:
    from layers.run.run import Node
    from layers.toolbox import ToolDefinition


class HostTool(Tool):
    """A tool whose body runs on the host, called by a layer's model or by its code in the sandbox.

    Args:
        node: the agent it is for.
        definition: what it is and does.
        as_text: whether results are JSON text (for native tool calls) rather than JSON values (for code).
    """

    # Signature and source belong to a class written by hand; ours come from a definition.
    skip_forward_signature_validation = True

    def __init__(self, node: Node, definition: ToolDefinition, *, as_text: bool) -> None:
        self.name = definition.name
        self.description = definition.description
        self.inputs = {name: dict(schema) for name, schema in definition.inputs.items()}
        self.output_type = "string" if as_text else "any"
        self._node = node
        self._definition = definition
        self._as_text = as_text
        super().__init__()

    def __call__(self, *args: Any, sanitize_inputs_outputs: bool = False, **kwargs: Any) -> Any:
        """Call the host function; arguments are checked against the tool's schema first.

        Raises:
            LayerError: the arguments don't fit; the layer's model sees the message.
            RunStopped: the run has been stopped.
        """
        del sanitize_inputs_outputs  # results are JSON in both cases
        node = self._node
        node.run.lifeline.check()
        arguments = check_arguments(self._definition, args, kwargs)
        shown = json.dumps(arguments, ensure_ascii=False, default=str)
        attributes = {"gen_ai.tool.name": self.name, "input.value": shown}
        node.publish(EventKind.TOOL_CALL, f"{self.name}({shown[:120]})", tool=self.name)
        with span(node.run.tracer, Kind.TOOL, f"execute_tool {self.name}", attributes) as opened:
            result = self._definition.call(node, arguments)
            text = json.dumps(result, ensure_ascii=False, default=str)
            opened.set_attribute("output.value", text)
        node.run.lifeline.check()
        return text if self._as_text else result

    forward = __call__


def check_arguments(tool: ToolDefinition, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
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


def _bind(tool: ToolDefinition, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
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
