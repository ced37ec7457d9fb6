"""What clients may read beside the tools: single memories, mental models, the state; and a page of the latest memories.

Ids are completed. Everything is JSON, quoted and labelled as the tools' results are.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.paging import place_of
from dionysus_mcp.quoting import one_line, quoted

if TYPE_CHECKING:
    from mcp.server import MCPServer
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
    from mcp_types import Completion, Resource

    from dionysus_mcp.records import ConsciousnessState, Memory, Record
    from dionysus_mcp.service import Service
    from dionysus_mcp.tools import Tools

JSON = "application/json"
STATE = "state://current"
_AT_A_TIME = 50
_COMPLETED = 100
_TITLE = 60


class Resources:
    """The resources of a server.

    Args:
        service: Gives the service of the caller, waiting for it.
        tools: Give what the resources show.
    """

    def __init__(self, service: "Callable[[], Service]", tools: "Tools") -> None:
        self._service = service
        self._tools = tools

    def register(self, server: "MCPServer[Any]") -> None:
        """Offer them on a server."""
        server.resource(STATE, name="state", title="State of memory", mime_type=JSON)(self.state)
        server.resource("memory://{memory_id}", name="memory", title="One memory", mime_type=JSON)(self.memory)
        server.resource("model://{model_id}", name="model", title="One mental model", mime_type=JSON)(self.model)
        server.completion()(self.complete)
        server.middleware.append(self.listing)

    def state(self) -> str:
        """What is in mind now: memories by type, the latest ones, beliefs, open predictions, readiness."""
        return self._read(self._tools.get_consciousness_state)

    def memory(self, memory_id: str) -> str:
        """One memory, whole or as much as fits the token budget, with its source and times."""
        return self._read(lambda: self._tools.get_memories([memory_id]))

    def model(self, model_id: str) -> str:
        """One mental model with its versions, and how each had fared."""
        return self._read(lambda: self._tools.beliefs.get_mental_model(model_id))

    async def complete(self, ref: Any, argument: Any, _context: Any) -> "Completion | None":
        """Ids that begin as the argument does, the newest first."""
        import anyio.to_thread
        from mcp_types import Completion

        ids = await anyio.to_thread.run_sync(self._ids, argument.name)
        found = [one for one in ids if one.startswith(argument.value)]
        return Completion(values=found[:_COMPLETED], total=len(found), has_more=len(found) > _COMPLETED)

    async def listing(
        self,
        ctx: "ServerRequestContext[Any, Any]",
        call_next: "Callable[[ServerRequestContext[Any, Any]], Awaitable[HandlerResult]] | CallNext",
    ) -> "HandlerResult":
        """An SDK middleware: the list of resources is the state and, page by page, the memories, newest first."""
        if ctx.method != "resources/list":
            return await call_next(ctx)
        import anyio.to_thread
        from mcp.shared.exceptions import MCPError
        from mcp_types import INVALID_PARAMS, ListResourcesResult, Resource

        try:
            start = place_of((ctx.params or {}).get("cursor"))[0]
            memories = await anyio.to_thread.run_sync(self._page, start)
        except MemoryStoreError as error:
            raise MCPError(code=INVALID_PARAMS, message=str(error)) from error
        state = Resource(uri=STATE, name="state", title="State of memory", mime_type=JSON)
        shown = [state] if start == 0 else []
        following = str(start + _AT_A_TIME) if len(memories) > _AT_A_TIME else None
        return ListResourcesResult(resources=[*shown, *map(_listed, memories[:_AT_A_TIME])], next_cursor=following)

    def _page(self, start: int) -> "list[Memory]":
        return self._service().memories.recent(_AT_A_TIME + 1, skip=start)

    def _ids(self, argument: str) -> list[str]:
        service = self._service()
        if argument == "memory_id":
            return [one.id for one in service.memories.recent(10 * _COMPLETED)]
        return [one.id for one in service.models.held(10 * _COMPLETED)] if argument == "model_id" else []

    def _read(self, tool: "Callable[[], Record | ConsciousnessState]") -> str:
        from mcp.server.mcpserver.exceptions import ResourceNotFoundError, ToolError

        try:
            return quoted(tool())
        except ToolError as error:
            raise ResourceNotFoundError(str(error)) from error


def _listed(memory: "Memory") -> "Resource":
    from mcp_types import Resource

    told = " · ".join(filter(None, (memory.memory_type, memory.source, f"{memory.recorded_at:%Y-%m-%d}")))
    return Resource(
        uri=f"memory://{memory.id}",
        name=memory.id,
        title=f"“{one_line(memory.content, _TITLE)}”",
        description=one_line(f"Recorded: {told}", 3 * _TITLE),
        mime_type=JSON,
    )
