"""The model that agents hold: it reserves from the ledger, calls the tier, settles, and traces the call."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from smolagents.models import ChatMessage, Model
from smolagents.monitoring import TokenUsage

from layers.run.events import EventKind
from layers.run.ledger import Usage
from layers.run.signals import RunStopped, StopReason
from layers.tiers.base import ChatReply, ChatRequest
from observability import Kind, span

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from layers.run.run import Node
    from layers.tiers.base import ChatModel


class TierModel(Model):
    """A tier's model for one agent: every call is reserved, made under the run's lifeline, settled and traced.

    Args:
        node: the agent it is for.
        chat: the tier's model.
    """

    def __init__(self, node: Node, chat: ChatModel) -> None:
        super().__init__(model_id=chat.model_id)
        self._node = node
        self._chat = chat

    def generate(
        self,
        messages: list[ChatMessage],
        stop_sequences: list[str] | None = None,
        response_format: dict[str, str] | None = None,
        tools_to_call_from: list[Any] | None = None,
        **_: Any,
    ) -> ChatMessage:
        """Make one model call and return the assistant's message.

        Raises:
            RunStopped: budget, deadline, cancel, or no deployment could answer.
        """
        node = self._node
        node.run.lifeline.check()
        request = ChatRequest(messages, tuple(stop_sequences or ()), tuple(tools_to_call_from or ()), response_format)
        bound = self._chat.bound(request)
        reservation = node.run.ledger.reserve(node.layer, bound.tokens, bound.usd)
        attributes = {"gen_ai.request.model": self._chat.model_id, "gen_ai.input.messages": _as_json(messages)}
        try:
            with span(node.run.tracer, Kind.CHAT, f"chat {self._chat.model_id}", attributes) as opened:
                reply = self._call(request)
                _describe(opened, reply)
        except BaseException:
            node.run.ledger.release(reservation)
            raise
        usage = Usage(1, reply.input_tokens, reply.output_tokens, reply.usd, estimated=reply.estimated)
        node.run.ledger.settle(reservation, usage)
        node.publish(EventKind.MODEL_CALL, reply.model_id, tokens=usage.tokens, usd=usage.usd, attempts=reply.attempts)
        reply.message.token_usage = TokenUsage(reply.input_tokens, reply.output_tokens)
        return reply.message

    def _call(self, request: ChatRequest) -> ChatReply:
        try:
            return self._chat.chat(request, self._node.run.lifeline)
        except Exception as error:
            # smolagents would feed an outage back to the model as an observation, step after step: end the run.
            detail = (
                f"The tier {self._node.spec.tier!r} ({self._chat.model_id}) failed: {type(error).__name__}: {error}"
            )
            raise RunStopped(StopReason.MODEL, detail) from error


def _describe(opened: Span, reply: ChatReply) -> None:
    opened.set_attributes(
        {
            "gen_ai.response.model": reply.model_id,
            "llm.model_name": reply.model_id,
            "gen_ai.usage.input_tokens": reply.input_tokens,
            "gen_ai.usage.output_tokens": reply.output_tokens,
            "llm.token_count.prompt": reply.input_tokens,
            "llm.token_count.completion": reply.output_tokens,
            "llm.token_count.total": reply.input_tokens + reply.output_tokens,
            "gen_ai.output.messages": _as_json([reply.message]),
        }
    )
    if reply.usd is not None:
        opened.set_attribute("gen_ai.usage.cost", reply.usd)


def _as_json(messages: list[ChatMessage]) -> str:
    return json.dumps([_message(message) for message in messages], ensure_ascii=False, default=str)


def _message(message: ChatMessage) -> dict[str, Any]:
    shown: dict[str, Any] = {"role": str(getattr(message.role, "value", message.role)), "content": message.content}
    if message.tool_calls:
        shown["tool_calls"] = [{"name": c.function.name, "arguments": c.function.arguments} for c in message.tool_calls]
    return shown
