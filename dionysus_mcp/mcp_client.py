"""A client of any MCP server that survives the server's death; `client` offers it to other packages.

The MCP SDK is loaded by `McpClient.connect`, not by importing this module.
"""

import asyncio
import contextlib
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from dionysus_mcp.connection import Connection, ConnectionLost
from dionysus_mcp.encodable import encodable_json
from dionysus_mcp.errors import McpTimeout, McpToolError, McpUnavailable
from dionysus_mcp.targets import Target

if TYPE_CHECKING:
    from mcp_types import CallToolResult, Tool
    from opentelemetry.trace import Tracer


class ToolInfo(BaseModel):
    """A tool that a server offers; the schemas are JSON Schema, the annotations as in the MCP specification."""

    model_config = ConfigDict(frozen=True)

    name: str
    description: str = ""
    input_schema: dict[str, Any] = Field(default_factory=dict)
    output_schema: dict[str, Any] | None = None
    annotations: dict[str, Any] = Field(default_factory=dict)


class McpClient:
    """A client of one MCP server that survives the server's death.

    When the server is gone, the first call that notices connects once more (with the required tools checked again).
    The call is then repeated if that can do no harm: it was not sent yet, or the tool says that it is read-only or
    idempotent. Otherwise `McpUnavailable` says that the call may or may not have taken effect.

    Args:
        name: What messages and spans call the server.
        target: Where it is.
        tracer: Records a span `tools/call TOOL` for each call; None records nothing.
        connect_timeout: Seconds until the server must have answered the handshake.
        call_timeout: Seconds until a tool must have answered, unless the call says otherwise.
        only: The tools that are offered and may be called, each of which must be there; None for all.
    """

    def __init__(
        self,
        name: str,
        target: Target,
        *,
        tracer: "Tracer | None" = None,
        connect_timeout: float = 30.0,
        call_timeout: float = 60.0,
        only: Collection[str] | None = None,
    ) -> None:
        self.name = name
        self.target = target
        self._tracer = tracer
        self._connect_timeout = connect_timeout
        self._call_timeout = call_timeout
        self._only = None if only is None else frozenset(only)
        self._required: frozenset[str] = frozenset()
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()

    async def connect(self, required: Collection[str] = ()) -> None:
        """Connect, unless connected, and check that the required tools are there.

        Raises:
            McpToolMissing: naming the missing tools.
            McpUnavailable: if the server can't be started or reached; quotes the end of its stderr.
        """
        self._required = frozenset(required) | (self._only or frozenset())
        await self._replace(self._connection if self._connection and self._connection.lost else None)

    async def tools(self) -> list[ToolInfo]:
        """The tools that the server offered when the connection was made, as far as they may be called."""
        connection = await self._live()
        return [_tool_info(tool) for tool in connection.tools if self._may_call(tool.name)]

    async def call(self, tool: str, arguments: Mapping[str, Any] | None = None, *, timeout: float | None = None) -> Any:  # noqa: ASYNC109 -- part of the fixed interface; the SDK tells the server when it elapses
        """Call a tool.

        Args:
            tool: Its name on the server.
            arguments: JSON values by parameter name.
            timeout: Seconds to wait for the answer; the client's `call_timeout` when None.

        Returns:
            The structured content where the tool gives any, else its text.

        Raises:
            McpToolError: if the tool reports an error or refuses its arguments, or is not one of those to be called.
            McpTimeout: if it doesn't answer in time.
            McpUnavailable: if the server is gone and one reconnect didn't bring an answer.
        """
        if not self._may_call(tool):
            raise McpToolError(f"{tool} is not among the tools to be used.", server=self.name, tool=tool)
        with self._span(tool):
            connection = await self._live()
            seconds = self._call_timeout if timeout is None else timeout
            already_lost = connection.lost
            try:
                return await self._ask(connection, tool, arguments or {}, seconds)
            except ConnectionLost:
                repeatable = already_lost or _harmless_twice(connection, tool)
            connection = await self._replace(connection)
            if not repeatable:
                raise McpUnavailable(
                    f"MCP server {self.name!r} went away while {tool} ran. It is connected again, but the call was not "
                    "repeated: it may have taken effect. Look before you call it again."
                )
            try:
                return await self._ask(connection, tool, arguments or {}, seconds)
            except ConnectionLost as lost:
                raise await connection.gone(f"went away during {tool}, and again after a reconnect") from lost

    def _may_call(self, tool: str) -> bool:
        return self._only is None or tool in self._only

    async def close(self) -> None:
        """Leave the connection; no process of it stays behind. A later call connects again."""
        async with self._connecting:
            connection, self._connection = self._connection, None
            if connection is not None:
                await connection.close()

    async def __aenter__(self) -> "McpClient":
        await self.connect(self._required)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _live(self) -> Connection:
        return self._connection or await self._replace(None)

    async def _replace(self, lost: Connection | None) -> Connection:
        """The live connection; a new one where `lost` is still the current one (many tasks may notice at once)."""
        async with self._connecting:
            if self._connection is not None and self._connection is not lost:
                return self._connection
            self._connection = None
            if lost is not None:
                await lost.close()
            fresh = Connection(self.name, self.target, connect_timeout=self._connect_timeout)
            await fresh.open(self._required)
            self._connection = fresh
            return fresh

    async def _ask(self, connection: Connection, tool: str, arguments: Mapping[str, Any], seconds: float) -> Any:
        import anyio
        from mcp import MCPError
        from mcp_types import CONNECTION_CLOSED, REQUEST_TIMEOUT

        try:
            result = await connection.client.call_tool(
                tool, encodable_json(dict(arguments)), read_timeout_seconds=seconds
            )
        except MCPError as error:
            if error.code == CONNECTION_CLOSED or error.message == "Session terminated":
                connection.lost = True
                raise ConnectionLost(error.message) from error
            if error.code == REQUEST_TIMEOUT:
                message = f"{tool} of MCP server {self.name!r} did not answer within {seconds:g} s."
                raise McpTimeout(message) from error
            raise McpToolError(error.message, server=self.name, tool=tool) from error
        except (anyio.ClosedResourceError, anyio.BrokenResourceError) as error:
            connection.lost = True
            raise ConnectionLost(str(error)) from error
        except RuntimeError as error:  # the SDK's word for a result that breaks the tool's own output schema
            raise McpToolError(str(error), server=self.name, tool=tool) from error
        if result.is_error:
            words = _text(result).removeprefix(f"Error executing tool {tool}: ")  # put before them by the SDK
            raise McpToolError(words or f"{tool} failed without a word.", server=self.name, tool=tool)
        return result.structured_content if result.structured_content is not None else _text(result)

    def _span(self, tool: str) -> contextlib.AbstractContextManager[Any]:
        if self._tracer is None:
            return contextlib.nullcontext()
        from observability import Kind, span

        attributes = {"mcp.method.name": "tools/call", "gen_ai.tool.name": tool, "dionysus.mcp.server": self.name}
        return span(self._tracer, Kind.MCP, f"tools/call {tool}", attributes)


def _harmless_twice(connection: Connection, tool: str) -> bool:
    for offered in connection.tools:
        if offered.name == tool and offered.annotations is not None:
            return bool(offered.annotations.read_only_hint or offered.annotations.idempotent_hint)
    return False


def _tool_info(tool: "Tool") -> ToolInfo:
    return ToolInfo(
        name=tool.name,
        description=tool.description or "",
        input_schema=tool.input_schema,
        output_schema=tool.output_schema,
        annotations=tool.annotations.model_dump(by_alias=True, exclude_none=True) if tool.annotations else {},
    )


def _text(result: "CallToolResult") -> str:
    """The text of a result; what is not text is named in its place."""
    return "\n".join(block.text if block.type == "text" else f"[{block.type}]" for block in result.content)
