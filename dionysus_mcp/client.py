"""Clients: of any MCP server, and of memory over MCP.

The layers reach memory through this module alone. It is cheap to import: the MCP SDK is loaded by `McpClient.connect`.
Everything here runs on one event loop, used by many tasks at once; cancelling a task cancels its call only.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dionysus_mcp.errors import (
    DionysusMcpError,
    McpTimeout,
    McpToolError,
    McpToolMissing,
    McpUnavailable,
    MemoryStoreError,
)
from dionysus_mcp.graph.records import Exploration, Relation
from dionysus_mcp.mcp_client import McpClient, ToolInfo
from dionysus_mcp.records import (
    IDS_PER_CALL,
    ConsciousnessState,
    Memory,
    MemoryHealth,
    MemoryHistory,
    MentalModel,
    Prediction,
    Recall,
)
from dionysus_mcp.settings import MemorySettings, as_environment, inherited_python_environment
from dionysus_mcp.targets import HttpServer, StdioServer, Target

if TYPE_CHECKING:
    from dionysus_mcp.consolidation.settings import ConsolidationSettings
    from observability.settings import TraceSettings

__all__ = [
    "MEMORY_TOOLS",
    "DionysusMcpError",
    "HttpServer",
    "McpClient",
    "McpTimeout",
    "McpToolError",
    "McpToolMissing",
    "McpUnavailable",
    "MemoryClient",
    "MemoryStoreError",
    "StdioServer",
    "Target",
    "ToolInfo",
    "memory_server",
]

MEMORY_TOOLS = frozenset(
    {  # those that the layers need; a server may have more
        "semantic_recall",
        "create_memory",
        "get_memories",
        "get_consciousness_state",
        "memory_health",
        "create_mental_model",
        "make_prediction",
        "resolve_prediction",
        "revise_mental_model",
    }
)


class MemoryClient:
    """Memory, as the layers see it: our memory server's tools as typed methods.

    Every method raises as `McpClient.call` does.
    """

    def __init__(self, client: McpClient) -> None:
        self._client = client

    async def recall(
        self,
        query: str,
        top_k: int = 8,
        *,
        threshold: float | None = None,
        memory_types: Sequence[str] | None = None,
        exclude_types: Sequence[str] | None = None,
        session_id: str | None = None,
        token_budget: int | None = None,
        as_of: datetime | None = None,
    ) -> Recall:
        """Find memories by meaning and by words.

        Args:
            query: What is asked, in any words.
            top_k: At most so many hits.
            threshold: Only hits with at least this score, see `records.Hit.score`.
            memory_types: Only these types; all when None.
            exclude_types: None of these types.
            session_id: Only this session's memories; the whole project when None.
            token_budget: Roughly so many tokens of content at most (four characters a token); hits beyond it are left
                out and `notice` says so.
            as_of: What memory held at that moment (aware), rather than now.
        """
        arguments = {
            "query": query,
            "top_k": top_k,
            "threshold": threshold,
            "memory_types": _listed(memory_types),
            "exclude_types": _listed(exclude_types),
            "session_id": session_id,
            "token_budget": token_budget,
            "as_of": as_of.isoformat() if as_of else None,
        }
        return Recall.model_validate(await self._client.call("semantic_recall", _given(arguments)))

    async def create(
        self,
        content: str,
        *,
        memory_type: str = "episodic",
        importance: float = 0.5,
        metadata: Mapping[str, Any] | None = None,
        session_id: str | None = None,
        occurred_at: datetime | None = None,
        source: str | None = None,
    ) -> Memory:
        """Store a memory; the same one again gives the one that is there.

        Args:
            content: Text, as it should be quoted.
            memory_type: See `records.Memory`.
            importance: From 0 to 1.
            metadata: JSON values.
            session_id: The conversation it belongs to.
            occurred_at: When what it tells happened (aware); unknown when None.
            source: Where it comes from.
        """
        arguments = {
            "content": content,
            "memory_type": memory_type,
            "importance": importance,
            "metadata": dict(metadata) if metadata else None,
            "session_id": session_id,
            "occurred_at": occurred_at.isoformat() if occurred_at else None,
            "source": source,
        }
        return Memory.model_validate(await self._client.call("create_memory", _given(arguments)))

    async def get(self, ids: Sequence[str]) -> list[Memory]:
        """The memories with these ids, whole, in this order, superseded ones too; an unknown id is a McpToolError."""
        memories: list[Memory] = []
        for start in range(0, len(ids), IDS_PER_CALL):
            part = {"ids": list(ids[start : start + IDS_PER_CALL])}
            memories.extend((await self._pages("get_memories", part, "memories"))[0])
        return memories

    async def _pages(
        self, tool: str, arguments: Mapping[str, Any], field: str
    ) -> tuple[list[Memory], Mapping[str, Any]]:
        """All memories of a result that comes in pages, with what was cut put together again, and the last answer."""
        memories: list[Memory] = []
        cursor: str | None = None
        while True:
            answer = await self._client.call(tool, _given({**arguments, "cursor": cursor}))
            found = [Memory.model_validate(memory) for memory in answer[field]]
            if cursor is not None and ":" in cursor and found:
                found[0] = _joined(memories.pop(), found[0])
            memories += found
            cursor = answer.get("next_cursor")
            if cursor is None:
                return [_whole(one) for one in memories], answer

    async def update(
        self,
        memory_id: str,
        reason: str,
        *,
        content: str | None = None,
        importance: float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Memory:
        """Supersede a memory by a changed version, which is returned; what is None stays as it is."""
        arguments = {
            "memory_id": memory_id,
            "reason": reason,
            "content": content,
            "importance": importance,
            "metadata": None if metadata is None else dict(metadata),
        }
        return Memory.model_validate(await self._client.call("update_memory", _given(arguments)))

    async def forget(self, memory_id: str, reason: str) -> Memory:
        """Close a memory: it is not recalled any more, but stays in its history, and `restore` brings it back."""
        answer = await self._client.call("forget_memory", {"memory_id": memory_id, "reason": reason})
        return Memory.model_validate(answer)

    async def restore(self, memory_id: str) -> Memory:
        """Believe a forgotten memory again; returns its new version."""
        return Memory.model_validate(await self._client.call("restore_memory", {"memory_id": memory_id}))

    async def history(self, memory_id: str) -> MemoryHistory:
        """All versions of a memory, by the id of any of them."""
        versions, answer = await self._pages("memory_history", {"memory_id": memory_id}, "versions")
        current = next((one.id for one in versions if one.superseded_at is None), None)
        return MemoryHistory(versions=versions, current=current, drawn_from=answer.get("drawn_from", []))

    async def relate(
        self,
        subject: str,
        relation: str,
        object_: str,
        *,
        holds: bool = True,
        reason: str | None = None,
        memory_id: str | None = None,
        confidence: float = 1.0,
        valid_from: datetime | None = None,
        valid_to: datetime | None = None,
    ) -> Relation:
        """Tell that something holds between two entities, or, with `holds=False`, no longer does.

        Args:
            subject: Name of an entity.
            relation: From subject to object, such as `works_at`; `alias_of` makes two names one entity.
            object_: Name of another.
            holds: Whether it is believed from now on.
            reason: Why it no longer is.
            memory_id: The memory that tells it; the relation ends with that one.
            confidence: From 0 to 1.
            valid_from: Since when it holds in the world (aware).
            valid_to: Until when it held.
        """
        arguments = {
            "subject": subject,
            "relation": relation,
            "object": object_,
            "holds": holds,
            "reason": reason,
            "memory_id": memory_id,
            "confidence": confidence,
            "valid_from": valid_from.isoformat() if valid_from else None,
            "valid_to": valid_to.isoformat() if valid_to else None,
        }
        return Relation.model_validate(await self._client.call("relate", _given(arguments)))

    async def explore(
        self,
        entity: str | None = None,
        *,
        memory_id: str | None = None,
        depth: int = 1,
        types: Sequence[str] | None = None,
        limit: int = 20,
        as_of: datetime | None = None,
        token_budget: int | None = None,
    ) -> Exploration:
        """What is known around an entity, or around all that a memory mentions; give one of both.

        Args:
            entity: Name, as memories write it.
            memory_id: Of a memory.
            depth: 1 or 2 steps.
            types: Only these relations; `mentioned_with` is being in the same memories.
            limit: Most entities beside the first.
            as_of: What was believed at that moment (aware), rather than now.
            token_budget: Roughly so many tokens at most.
        """
        arguments = {
            "entity": entity,
            "memory_id": memory_id,
            "depth": depth,
            "types": _listed(types),
            "limit": limit,
            "as_of": as_of.isoformat() if as_of else None,
            "token_budget": token_budget,
        }
        return Exploration.model_validate(await self._client.call("explore_graph", _given(arguments)))

    async def state(
        self, *, session_id: str | None = None, memory_types: Sequence[str] | None = None, recent: int = 10
    ) -> ConsciousnessState:
        """What is in mind now: counts, the latest memories, beliefs, open predictions.

        Args:
            session_id: List only this session's memories as recent.
            memory_types: List only these types as recent.
            recent: How many recent memories to list, newest first.
        """
        arguments = {"session_id": session_id, "memory_types": _listed(memory_types), "recent": recent}
        return ConsciousnessState.model_validate(await self._client.call("get_consciousness_state", _given(arguments)))

    async def ready(self, timeout: float = 30.0) -> MemoryHealth:  # noqa: ASYNC109 -- the server waits, in one call
        """Wait until the embedder is there, at most `timeout` seconds, and tell how things are then.

        Keyword recall works from the start; a `MemoryHealth.embedder` other than "ready" says why it stays so.
        """
        answer = await self._client.call("memory_health", {"wait": timeout}, timeout=timeout + 10.0)
        return MemoryHealth.model_validate(answer)

    async def create_mental_model(
        self,
        domain: str,
        statement: str,
        *,
        concepts: Sequence[str] = (),
        prediction_templates: Sequence[str] = (),
    ) -> MentalModel:
        """Hold a belief about "user", "self", "world" or "task"; the same one again gives the one that is held."""
        arguments = {
            "domain": domain,
            "statement": statement,
            "concepts": list(concepts),
            "prediction_templates": list(prediction_templates),
        }
        return MentalModel.model_validate(await self._client.call("create_mental_model", arguments))

    async def make_prediction(
        self,
        model_id: str,
        statement: str,
        probability: float,
        *,
        context: str | None = None,
        rule: str | None = None,
        expires_at: datetime | None = None,
    ) -> Prediction:
        """Predict from a mental model; see `records.Prediction` for the rule that judges a text observation."""
        arguments = {
            "model_id": model_id,
            "statement": statement,
            "probability": probability,
            "context": context,
            "rule": rule,
            "expires_at": expires_at.isoformat() if expires_at else None,
        }
        return Prediction.model_validate(await self._client.call("make_prediction", _given(arguments)))

    async def resolve_prediction(self, prediction_id: str, observation: bool | str | Mapping[str, Any]) -> Prediction:
        """Score a prediction by what was observed: true or false, `{"outcome": ...}`, or a text where it has a rule."""
        seen = observation if isinstance(observation, bool | str) else dict(observation)
        arguments = {"prediction_id": prediction_id, "observation": seen}
        return Prediction.model_validate(await self._client.call("resolve_prediction", arguments))

    async def revise_mental_model(self, model_id: str, statement: str, reason: str) -> MentalModel:
        """Give a mental model a new version; the old one stays in its history with how it had fared."""
        arguments = {"model_id": model_id, "statement": statement, "reason": reason}
        return MentalModel.model_validate(await self._client.call("revise_mental_model", arguments))


def memory_server(
    settings: MemorySettings,
    trace: "TraceSettings | None" = None,
    consolidation: "ConsolidationSettings | None" = None,
) -> StdioServer:
    """How to start our memory server with these settings; its spans go to the trace store of `trace`."""
    environment = inherited_python_environment() | as_environment(settings)
    for further in (trace, consolidation):
        environment |= {} if further is None else as_environment(further)
    # -P: a user's own folder `sandbox` or `layers` in the working directory must not be imported instead of ours.
    return StdioServer(command=sys.executable, args=("-P", "-m", "dionysus_mcp.server"), env=environment)


def _listed(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else list(values)


def _joined(one: Memory, more: Memory) -> Memory:
    """A memory with what the next page had of it."""
    part = None if more.metadata_part is None else (one.metadata_part or "") + more.metadata_part
    return more.model_copy(update={"content": one.content + more.content, "metadata_part": part})


def _whole(one: Memory) -> Memory:
    """A memory with its metadata as they are, where they came as text."""
    if one.metadata_part is None:
        return one
    return one.model_copy(update={"metadata": json.loads(one.metadata_part), "metadata_part": None})


def _given(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in arguments.items() if value is not None}
