"""The built-in tools: what layers may do with memory, over MCP, through the one memory client of a `Mind`."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from layers import analysis
from layers.errors import LayerError
from layers.run.events import EventKind
from layers.run.signals import RunStopped, StopReason
from layers.toolbox import ToolDefinition

if TYPE_CHECKING:
    from dionysus_mcp.client import MemoryClient
    from dionysus_mcp.records import Hit, Prediction, Recall
    from layers.run.loop import LoopThread
    from layers.run.run import Node

T = TypeVar("T")
ANSWER = "answer"
MAX_HITS = 50


class MemoryTools:
    """The tools over one memory.

    Args:
        memory: the client of the memory server.
        loop: where its calls run.
    """

    def __init__(self, memory: MemoryClient, loop: LoopThread) -> None:
        self._memory = memory
        self._loop = loop

    def definitions(self) -> Mapping[str, ToolDefinition]:
        """Return the built-in tools by name."""
        listed = [self._recall(), self._synthesize(), self._reflect(), self._predict(), self._resolve()]
        listed += [self._revise_model(), self._remember()]
        return {tool.name: tool for tool in listed}

    def search(self, node: Node, query: str, top_k: int) -> Recall:
        """Recall for a layer: answers of earlier runs are left out, since they are no evidence."""
        recall = self._ask(node, self._memory.recall(query, top_k, exclude_types=[ANSWER]))
        node.run.trail.seen.update({hit.id: hit.content for hit in recall.hits})
        scores = [round(hit.score, 3) for hit in recall.hits]
        node.publish(
            EventKind.MEMORY_HITS,
            f"{len(scores)} memories on {query!r}",
            query=query,
            scores=scores,
            ids=[hit.id for hit in recall.hits],
        )
        return recall

    def _ask(self, node: Node, call: Coroutine[Any, Any, T]) -> T:
        from dionysus_mcp.client import McpUnavailable

        try:
            return node.run.lifeline.wait(self._loop.submit(call))
        except McpUnavailable as error:
            raise RunStopped(StopReason.MEMORY, str(error)) from error

    def _recall(self) -> ToolDefinition:
        def call(node: Node, arguments: dict[str, Any]) -> Any:
            recall = self.search(node, arguments["query"], min(max(arguments.get("top_k", 8), 1), MAX_HITS))
            found: dict[str, Any] = {
                "hits": [_hit(hit) for hit in recall.hits],
                "missing_terms": list(recall.missing_terms),
            }
            return {**found, "notice": recall.notice} if recall.notice else found

        return ToolDefinition(
            "recall",
            "Search long-term memory. Returns hits (id, content, score, when, source, metadata, and of a long one the "
            "passages nearest to the query), best first, and "
            "missing_terms: rare words of the query that no hit covers.",
            {
                "query": _string("What to look for, in plain words."),
                "top_k": {"type": "integer", "description": "Most hits, 1 to 50; 8 by default.", "nullable": True},
            },
            call,
        )

    def _synthesize(self) -> ToolDefinition:
        def call(node: Node, arguments: dict[str, Any]) -> Any:
            memories = self._ask(node, self._memory.get([str(each) for each in arguments["memory_ids"]]))
            node.run.trail.seen.update({memory.id: memory.content for memory in memories})
            return analysis.synthesize(memories, arguments["question"])

        return ToolDefinition(
            "synthesize",
            "Join memories to claims on a question. Returns claims with their supporting ids in order of time, "
            "conflicts between them (numbers, dates, negation), and what is missing.",
            {"memory_ids": _array("Ids of memories, as recall returned them."), "question": _string("The question.")},
            call,
        )

    def _reflect(self) -> ToolDefinition:
        def call(node: Node, arguments: dict[str, Any]) -> Any:
            claims = [str(claim) for claim in arguments["claims"]]
            return analysis.reflect(claims, {claim: self.search(node, claim, 5).hits for claim in claims})

        return ToolDefinition(
            "reflect",
            "Check claims against memory. Returns per claim a verdict (supported, contradicted, unsupported) with the "
            "quote and its id, coverage from 0 to 1, and mental models to revise.",
            {"claims": _array("Sentences to check.")},
            call,
        )

    def _predict(self) -> ToolDefinition:
        async def predict(arguments: dict[str, Any]) -> Prediction:
            domain = arguments.get("domain") or "task"
            # A prediction is scored on a mental model; without one of its own it counts for the layers' foresight.
            model_id = arguments.get("model_id")
            if model_id is None:
                model = await self._memory.create_mental_model(
                    domain, f"What the layers foresee of the {domain} holds."
                )
                model_id = model.id
            return await self._memory.make_prediction(model_id, arguments["statement"], arguments["probability"])

        return ToolDefinition(
            "predict",
            "Write down a prediction before testing it. Returns it with its id.",
            {
                "statement": _string("What will be seen, so that it can turn out true or false."),
                "probability": {"type": "number", "description": "How likely, 0 to 1."},
                "domain": {"type": "string", "description": "user, self, world or task (default).", "nullable": True},
                "model_id": {"type": "string", "description": "The mental model it follows from.", "nullable": True},
            },
            lambda node, arguments: _told(node, self._ask(node, predict(arguments))),
        )

    def _resolve(self) -> ToolDefinition:
        def call(node: Node, arguments: dict[str, Any]) -> Any:
            resolved = self._memory.resolve_prediction(arguments["prediction_id"], arguments["observation"])
            return _told(node, self._ask(node, resolved))

        return ToolDefinition(
            "resolve",
            "Say what was observed on a prediction; it is scored. Returns its outcome and scores.",
            {
                "prediction_id": _string("Its id, as predict returned it."),
                "observation": {"type": "any", "description": "true, false, or a text with what was seen."},
            },
            call,
        )

    def _revise_model(self) -> ToolDefinition:
        def call(node: Node, arguments: dict[str, Any]) -> Any:
            revised = self._memory.revise_mental_model(
                arguments["model_id"], statement=arguments["statement"], reason=arguments["reason"]
            )
            return self._ask(node, revised).model_dump(mode="json")

        return ToolDefinition(
            "revise_model",
            "Replace a mental model's statement by a better one; the old one stays in its history.",
            {
                "model_id": _string("Its id."),
                "statement": _string("The new statement."),
                "reason": _string("Why it is revised."),
            },
            call,
        )

    def _remember(self) -> ToolDefinition:
        def call(node: Node, arguments: dict[str, Any]) -> Any:
            evidence = [str(each) for each in arguments.get("evidence") or ()]
            if unseen := [each for each in evidence if each not in node.run.trail.seen]:
                raise LayerError(f"These ids were never recalled in this run: {', '.join(unseen)}.")
            created = self._memory.create(
                arguments["content"],
                memory_type="semantic",
                importance=min(max(arguments.get("importance", 0.5), 0.0), 1.0),
                metadata={"evidence": evidence, "run_id": node.run.id, "layer": node.layer},
                session_id=node.run.session_id,
            )
            return {"id": self._ask(node, created).id}

        return ToolDefinition(
            "remember",
            "Store something worth keeping in long-term memory. Returns its id.",
            {
                "content": _string("What to keep, one fact in a full sentence."),
                "importance": {"type": "number", "description": "0 to 1; 0.5 by default.", "nullable": True},
                "evidence": {**_array("Ids of memories it rests on."), "nullable": True},
            },
            call,
        )


def _told(node: Node, prediction: Prediction) -> dict[str, Any]:
    """Publish a prediction that was made or resolved, and return it as JSON values."""
    came = "" if prediction.outcome is None else f", and it came {'true' if prediction.outcome else 'false'}"
    node.publish(
        EventKind.PREDICTION,
        f"{prediction.probability:.0%}{came}: {prediction.statement}",
        id=prediction.id,
        probability=prediction.probability,
        status=prediction.status,
        outcome=prediction.outcome,
    )
    return prediction.model_dump(mode="json")


def _hit(hit: Hit) -> dict[str, Any]:
    when = hit.occurred_at.isoformat() if hit.occurred_at else None
    similarity = None if hit.similarity is None else round(hit.similarity, 4)
    shown: dict[str, Any] = {"id": hit.id, "content": hit.content, "score": round(hit.score, 4)}
    shown |= {"similarity": similarity, "when": when, "source": hit.source, "speaker": hit.speaker}
    if hit.passages:
        shown["passages"] = [piece.model_dump() for piece in hit.passages]
    shown["metadata"] = dict(hit.metadata)
    if hit.metadata_part is not None:
        shown["metadata_part"] = hit.metadata_part
    return shown


def _string(description: str) -> dict[str, Any]:
    return {"type": "string", "description": description}


def _array(description: str) -> dict[str, Any]:
    return {"type": "array", "description": description}
