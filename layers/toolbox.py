"""The tools that layers may name: built-in ones, those of MCP servers, and the user's own."""

from __future__ import annotations

import difflib
import inspect
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from layers.errors import LayerError, UnknownTool

if TYPE_CHECKING:
    from dionysus_mcp.client import McpClient, ToolInfo
    from layers.run.loop import LoopThread
    from layers.run.run import Node

Call = Callable[["Node", dict[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """One tool, before it is bound to an agent.

    Attributes:
        name: a Python identifier, what models and code call.
        description: what it does and returns, for the model.
        inputs: per argument a JSON schema with `type`, `description` and, where it may be left out, `nullable`.
        call: the host function; gets the calling node and the checked arguments, returns a JSON value.
        foreign: whether it is somebody else's code, which may hang: it gets a thread of its own and a time limit.
        also_known_as: what the settings call it where that is another name: `github.search_issues`.
    """

    name: str
    description: str
    inputs: Mapping[str, Mapping[str, Any]]
    call: Call
    foreign: bool = False
    also_known_as: tuple[str, ...] = ()


class Toolbox:
    """Every tool that a layer of one `Mind` may name.

    Args:
        builtin: the tools over memory, by name.
        servers: other MCP servers, by the name under which their tools are called (`github.search_issues`).
        own: the user's tools, by name.
        loop: where MCP calls run.
    """

    def __init__(
        self,
        builtin: Mapping[str, ToolDefinition],
        servers: Mapping[str, McpClient],
        own: Mapping[str, ToolDefinition],
        loop: LoopThread,
    ) -> None:
        self._tools = {**builtin, **own}
        self.own = tuple(own)
        for name, client in servers.items():
            for info in loop.submit(client.tools()).result():
                self._tools[f"{name}.{info.name}"] = _of_server(name, client, info, loop)

    def __getitem__(self, name: str) -> ToolDefinition:
        """Return the tool of that name.

        Raises:
            UnknownTool: there is none; the message has the nearest right name.
        """
        try:
            return self._tools[name]
        except KeyError:
            near = difflib.get_close_matches(name, self._tools, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(sorted(self._tools))}."
            raise UnknownTool(
                f"There is no tool {name!r}. {hint} "
                "Tools of another MCP server need its table [mcp.NAME] in the settings."
            ) from None

    def check(self, names: Iterable[str]) -> None:
        """Raise `UnknownTool` for the first name that isn't there."""
        for name in names:
            self[name]


def own_tools(tools: Iterable[Any], builtin: Collection[str]) -> dict[str, ToolDefinition]:
    """Return the user's own tools by name.

    Raises:
        LayerError: one can't be a tool, or has the name of another one or of a built-in one.
    """
    own: dict[str, ToolDefinition] = {}
    for made in map(own_tool, tools):
        if made.name in builtin or made.name in own:
            kind = "a built-in tool" if made.name in builtin else "another of your tools"
            raise LayerError(f"The tool {made.name!r} has the name of {kind}: give it another one.")
        own[made.name] = made
    return own


def own_tool(tool: Any) -> ToolDefinition:
    """Turn a plain function, or a smolagents `Tool`, of the user's into a definition.

    A plain function gives its signature, type hints and docstring (Google style) to the model.
    """
    from smolagents.tools import Tool
    from smolagents.tools import tool as from_function

    made: Any = tool if isinstance(tool, Tool) else _described(tool, from_function)
    return ToolDefinition(
        made.name,
        made.description,
        {name: dict(schema) for name, schema in made.inputs.items()},
        lambda _node, arguments: made(**arguments),
        foreign=True,
    )


def _described(function: Callable[..., Any], from_function: Callable[..., Any]) -> Any:
    if not callable(function) or not getattr(function, "__name__", "").isidentifier():
        raise UnknownTool(f"{function!r} is not a tool: give a named function with type hints, or a smolagents Tool.")
    try:
        return from_function(function)
    except Exception as error:  # smolagents raises several kinds, some of them private
        raise UnknownTool(
            f"The function {function.__name__!r} can't be a tool: {error} Give every argument a type hint and a line "
            f"under 'Args:' in its docstring ({inspect.getsourcefile(function)})."
        ) from error


def _of_server(server: str, client: McpClient, info: ToolInfo, loop: LoopThread) -> ToolDefinition:
    schema = info.input_schema
    required = set(schema.get("required", ()))
    inputs = {
        name: {
            "type": _kind(definition),
            "description": str(definition.get("description", "")),
            "nullable": name not in required,
        }
        for name, definition in schema.get("properties", {}).items()
    }

    # MCP's structured output is an object: a server wraps a plain value, and declares it so.
    wrapped = set((info.output_schema or {}).get("properties", ())) == {"result"}

    def call(node: Node, arguments: dict[str, Any]) -> Any:
        result = _value(node.run.lifeline.wait(loop.submit(client.call(info.name, arguments))))
        return result["result"] if wrapped and isinstance(result, dict) and set(result) == {"result"} else result

    setting = f"{server}.{info.name}"
    return ToolDefinition(
        re.sub(r"\W", "_", setting), info.description or info.name, inputs, call, also_known_as=(setting,)
    )


def _value(result: Any) -> Any:
    """Read JSON text as the value it is: many servers send objects as text."""
    if isinstance(result, str) and result.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(result)
        except ValueError:
            return result
    return result


def _kind(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, str) and kind != "null":
        return kind
    return "any"
