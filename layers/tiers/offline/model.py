"""The offline tier's model: reads a conversation, asks the layer's policy for its next move, writes it down."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from layers.tiers.base import Bound, ChatReply
from layers.tiers.offline import (
    abstract,
    closing,
    conceptual,
    consciousness,
    generic,
    metacognitive,
    perceptual,
    repair,
)
from layers.tiers.offline.conversation import Conversation, Wanted
from layers.tiers.offline.moves import Policy, play
from layers.tiers.offline.writing import as_calls, as_code, as_json

if TYPE_CHECKING:
    from smolagents import ChatMessage

    from layers.run.lifeline import Lifeline
    from layers.tiers.base import ChatRequest

NOTICE = (
    "The offline tier is at work: a deterministic policy that finds, joins and checks what memory holds. It is not a "
    "language model. Set a key (see `dionysus doctor`) for layers that reason."
)
_PIECES = re.compile(r"\w{1,6}|[^\w\s]")
_POLICIES: dict[str, Callable[[Conversation], Policy]] = {
    "perceptual": perceptual.think,
    "conceptual": conceptual.think,
    "abstract": abstract.think,
    "metacognitive": metacognitive.think,
    "consciousness": consciousness.think,
    "repair": repair.think,
}


class OfflineModel:
    """A `ChatModel` without a model: the same messages always get the same reply, in milliseconds, for nothing.

    Stateless, so one instance serves every layer, side by side too. Tokens are its own count, of word pieces of up to
    six letters and single marks: near what language models count, and exact as far as this tier goes.
    """

    @property
    def model_id(self) -> str:
        """The name in spans and messages."""
        return "dionysus/offline"

    def bound(self, request: ChatRequest) -> Bound:
        """Return exactly what `chat` will use, which a deterministic policy can know."""
        return Bound(_input_tokens(request) + _output_tokens(_reply(request)), 0.0)

    def chat(self, request: ChatRequest, lifeline: Lifeline) -> ChatReply:
        """Return the policy's next move.

        Raises:
            RunStopped: the run was stopped.
        """
        lifeline.check()
        message = _reply(request)
        return ChatReply(message, self.model_id, _input_tokens(request), _output_tokens(message), 0.0)


def _reply(request: ChatRequest) -> ChatMessage:
    from smolagents.models import ChatMessage, MessageRole

    conversation = Conversation.read(request)
    if conversation.wanted is Wanted.PLAN:
        return ChatMessage(role=MessageRole.ASSISTANT, content=closing.plan(conversation))
    if conversation.wanted is Wanted.CLOSING:
        return ChatMessage(role=MessageRole.ASSISTANT, content=as_json(closing.report_of(conversation)))
    think = _POLICIES.get(conversation.layer, generic.think)
    move = play(think(conversation), conversation.observed)
    if conversation.code:
        return ChatMessage(role=MessageRole.ASSISTANT, content=as_code(move, conversation.layers))
    return as_calls(move, len(conversation.observed) + 1)


def _input_tokens(request: ChatRequest) -> int:
    return sum(_pieces(message.content) for message in request.messages)


def _output_tokens(message: ChatMessage) -> int:
    calls = [(call.function.name, call.function.arguments) for call in message.tool_calls or ()]
    return _pieces(message.content) + _pieces(str(calls) if calls else "")


def _pieces(content: Any) -> int:
    if isinstance(content, str):
        return len(_PIECES.findall(content))
    return sum(_pieces(str(part.get("text", ""))) for part in content or ())
