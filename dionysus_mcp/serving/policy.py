"""What every call passes on its way to a tool: read-only callers are kept from writing, and the audit log is kept."""

import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from dionysus_mcp.serving.audit import AuditLog
from dionysus_mcp.serving.caller import Caller

if TYPE_CHECKING:
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

_CALL = "tools/call"
_READS = {"resources/read": "uri", "prompts/get": "name"}
"""What else gives away contents, and which of its parameters the audit log names."""
_LIST = "tools/list"


class Policy:
    """An SDK middleware around every message.

    Args:
        reading: Names of the tools that change nothing.
        audit: Told of every tool call, resource and prompt; None keeps no log.
        read_only: Whether nobody may write.
    """

    def __init__(self, reading: Collection[str], audit: AuditLog | None = None, *, read_only: bool = False) -> None:
        self._reading = frozenset(reading)
        self._audit = audit
        self._read_only = read_only

    async def __call__(self, ctx: "ServerRequestContext[Any, Any]", call_next: "CallNext") -> "HandlerResult":
        """Let a message through, refuse it, or shorten its answer."""
        caller = Caller.current()
        refused = self._read_only or caller.read_only
        if ctx.method == _LIST and refused:
            return self._only_reading(await call_next(ctx))
        if ctx.method != _CALL and ctx.method not in _READS:
            return await call_next(ctx)
        tool = str((ctx.params or {}).get(_READS.get(ctx.method, "name")))
        if ctx.method == _CALL and refused and tool not in self._reading:
            self._record(ctx, caller, tool, "refused", 0.0)
            return _refusal(tool, caller)
        started, outcome = time.perf_counter(), "failed"
        try:
            result = await call_next(ctx)
            outcome = "error" if _is_error(result) else "ok"
        finally:
            self._record(ctx, caller, tool, outcome, time.perf_counter() - started)
        return result

    def _only_reading(self, result: "HandlerResult") -> "HandlerResult":
        """The list without what would be refused anyway."""
        if isinstance(result, dict):
            return {**result, "tools": [tool for tool in result["tools"] if tool["name"] in self._reading]}
        tools = [tool for tool in getattr(result, "tools", ()) if tool.name in self._reading]
        return result.model_copy(update={"tools": tools}) if result is not None else None

    def _record(
        self, ctx: "ServerRequestContext[Any, Any]", caller: Caller, tool: str, outcome: str, seconds: float
    ) -> None:
        if self._audit is None:
            return
        scope = {} if caller.scope is None else caller.scope.changes()
        self._audit.record(
            {
                "caller": caller.name,
                "tenant": scope.get("tenant"),
                "project": scope.get("project"),
                "user": scope.get("user"),
                "session": scope.get("session"),
                "tool": tool[:100],
                "outcome": outcome,
                "ms": round(seconds * 1000, 1),
                "request": str(ctx.request_id),
            }
        )


def _refusal(tool: str, caller: Caller) -> "HandlerResult":
    from mcp_types import CallToolResult, TextContent

    whose = f"The token {caller.name!r} may only read" if caller.read_only else "This server only reads"
    text = f"{whose}, and {tool} would change memory. Ask for a token that may write."
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)


def _is_error(result: "HandlerResult") -> bool:
    if isinstance(result, dict):
        return bool(result.get("isError"))
    return bool(getattr(result, "is_error", False))
