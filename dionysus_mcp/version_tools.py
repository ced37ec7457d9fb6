"""Tools that change what is remembered without losing what was: update, forget, restore, and the history of it all."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from dionysus_mcp.paging import beginning, pages_of_memories
from dionysus_mcp.quoting import ABOUT
from dionysus_mcp.records import Memory, MemoryHistory, Probability
from observability import Kind, conventions

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from dionysus_mcp.service import Service

MemoryId = Annotated[str, Field(min_length=1, description="Id from recall.")]
Reason = Annotated[str, Field(min_length=1, description="Why, in a sentence; it is kept in the history.")]


class VersionTools:
    """The tools that work on versions of memories.

    Args:
        traced: Gives the service and the span of one call, as `Tools` does for its own.
    """

    def __init__(self, traced: "Callable[..., AbstractContextManager[tuple[Service, Span]]]") -> None:
        self._traced = traced

    def update_memory(
        self,
        memory_id: MemoryId,
        reason: Reason,
        content: Annotated[str | None, Field(description="The whole new text; as it was when left out.")] = None,
        importance: Annotated[Probability | None, Field(description="As it was when left out.")] = None,
        metadata: Annotated[dict[str, Any] | None, Field(description="Replaces all; as it was when left out.")] = None,
    ) -> Memory:
        """Supersede a memory by a changed version, which has a new id. The old one stays in its history."""
        from dionysus_mcp.store.versions import Change

        attributes = {conventions.INPUT: content or reason, conventions.MEMORY_IDS: [memory_id]}
        with self._traced(Kind.MEMORY, "update_memory", attributes) as (service, _):
            change = Change(reason, content, importance, metadata)
            updated = service.versions.update(memory_id, change, limit=service.settings.max_content)
            service.embedder.follow()
            service.graph.follow()
            return beginning(updated, service.settings.token_budget)

    def forget_memory(self, memory_id: MemoryId, reason: Reason) -> Memory:
        """Stop recalling a memory. It stays in its history, and restore_memory brings it back."""
        with self._traced(Kind.MEMORY, "forget_memory", {conventions.MEMORY_IDS: [memory_id]}) as (service, _):
            forgotten = service.versions.forget(memory_id, reason)
            service.graph.follow()
            return beginning(forgotten, service.settings.token_budget)

    def restore_memory(self, memory_id: MemoryId) -> Memory:
        """Believe a forgotten memory again, as a new version with a new id."""
        with self._traced(Kind.MEMORY, "restore_memory", {conventions.MEMORY_IDS: [memory_id]}) as (service, _):
            restored = service.versions.restore(memory_id)
            service.embedder.follow()
            service.graph.follow()
            return beginning(restored, service.settings.token_budget)

    def memory_history(
        self,
        memory_id: MemoryId,
        cursor: Annotated[str | None, Field(description="next_cursor of the result before.")] = None,
    ) -> MemoryHistory:
        """All versions of a memory, by the id of any of them: when each was believed, how it ended and why."""
        attributes = {conventions.MEMORY_IDS: [memory_id]}
        with self._traced(Kind.RETRIEVAL, "memory_history", attributes) as (service, _):
            versions = service.versions.history(memory_id)
            current = next((one.id for one in versions if one.superseded_at is None), None)
            kept, following = pages_of_memories(versions, service.settings.token_budget, cursor)
            drawn = service.versions.sources(memory_id)
            return MemoryHistory(about=ABOUT, versions=kept, current=current, drawn_from=drawn, next_cursor=following)
