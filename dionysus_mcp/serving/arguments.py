"""Arguments that a tool doesn't have: they are told, where the SDK drops them without a word.

They aren't refused, since some clients send fields of their own with every call. But `session` in place of `session_id`
recalls all sessions, and whoever asked should hear of it.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
    from mcp_types import Tool

_MOST = 10
"""Arguments that are named at most."""
_LONGEST = 50
"""Characters of a name that are shown."""


class Arguments:
    """An SDK middleware that adds a text to the result of a call with arguments the tool doesn't have.

    Args:
        tools: Lists the server's tools; asked once.
    """

    def __init__(self, tools: Callable[[], Awaitable[Sequence["Tool"]]]) -> None:
        self._tools = tools
        self._known: Mapping[str, list[str]] | None = None

    async def __call__(self, ctx: "ServerRequestContext[Any, Any]", call_next: "CallNext") -> "HandlerResult":
        """Let a call through, and say after it what was ignored."""
        result = await call_next(ctx)
        params = ctx.params or {}
        given = params.get("arguments")
        if ctx.method != "tools/call" or result is None or not isinstance(given, Mapping):
            return result
        if self._known is None:
            self._known = {tool.name: list(tool.input_schema.get("properties", {})) for tool in await self._tools()}
        tool = str(params.get("name"))
        known = self._known.get(tool)
        ignored = [] if known is None else [str(name) for name in given if name not in known]
        return _with(result, _told(tool, ignored, known or [])) if ignored else result


def _told(tool: str, ignored: list[str], known: list[str]) -> str:
    names = ", ".join(repr(name[:_LONGEST]) for name in ignored[:_MOST])
    more = f" and {len(ignored) - _MOST} more" if len(ignored) > _MOST else ""
    return f"Ignored, since {tool} has no such argument: {names}{more}. It has: {', '.join(known) or 'none'}."


def _with(result: Any, text: str) -> "HandlerResult":
    """The result with one more block of text at its end."""
    from mcp_types import TextContent

    block = TextContent(type="text", text=text)
    if isinstance(result, dict):
        return {
            **result,
            "content": [
                *(result.get("content") or []),
                block.model_dump(mode="json", by_alias=True, exclude_none=True),
            ],
        }
    return result.model_copy(update={"content": [*result.content, block]})
