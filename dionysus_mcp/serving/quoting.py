"""What the text of a tool's result looks like: JSON in which nothing is hidden and nothing passes for a role's mark.

The structured content is the same as it was stored, for programs; the text is what most clients show a model.
"""

from typing import TYPE_CHECKING, Any

from dionysus_mcp.quoting import shown

if TYPE_CHECKING:
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext


async def quote(ctx: "ServerRequestContext[Any, Any]", call_next: "CallNext") -> "HandlerResult":
    """An SDK middleware: escape what a reader can't see, in results and in error messages that repeat input."""
    result = await call_next(ctx)
    if ctx.method != "tools/call" or result is None:
        return result
    if isinstance(result, dict):
        blocks = result.get("content") or []
        return {**result, "content": [_shown_block(one) for one in blocks]}
    blocks = getattr(result, "content", None) or []
    return result.model_copy(update={"content": [_shown(one) for one in blocks]})


def _shown_block(block: dict[str, Any]) -> dict[str, Any]:
    return {**block, "text": shown(block["text"])} if isinstance(block.get("text"), str) else block


def _shown(block: Any) -> Any:
    text = getattr(block, "text", None)
    return block.model_copy(update={"text": shown(text)}) if isinstance(text, str) else block
