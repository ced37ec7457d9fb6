"""A model that plays a script inside the process: a real `ChatModel`, for tests of what happens around models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smolagents.models import ChatMessage, ChatMessageToolCall, ChatMessageToolCallFunction, MessageRole

from layers.run import Lifeline
from layers.tiers.base import Bound, ChatReply, ChatRequest

Answer = str | ChatMessage


class ScriptedModel:
    """Answers each request by calling `play(request)`; counts one token a word."""

    def __init__(self, play: Callable[[ChatRequest], Answer], usd: float | None = 0.0, tokens: int = 10) -> None:
        self.model_id = "scripted"
        self.requests: list[ChatRequest] = []
        self._play = play
        self._usd = usd
        self._tokens = tokens

    def bound(self, request: ChatRequest) -> Bound:
        return Bound(2 * self._tokens, self._usd)

    def chat(self, request: ChatRequest, lifeline: Lifeline) -> ChatReply:
        lifeline.check()
        self.requests.append(request)
        answer = self._play(request)
        message = answer if isinstance(answer, ChatMessage) else ChatMessage(MessageRole.ASSISTANT, content=answer)
        return ChatReply(message, self.model_id, self._tokens, self._tokens, self._usd)


def code(text: str) -> str:
    """A thought and a block of code, as a CodeAgent's model writes them."""
    return f"I act.\n<code>\n{text}\n</code>"


def calls(*tools: tuple[str, dict[str, Any]]) -> ChatMessage:
    """Native tool calls, as a ToolCallingAgent's model makes them."""
    made = [
        ChatMessageToolCall(
            ChatMessageToolCallFunction(name=name, arguments=arguments), id=f"call_{n}", type="function"
        )
        for n, (name, arguments) in enumerate(tools)
    ]
    return ChatMessage(MessageRole.ASSISTANT, content="", tool_calls=made)


def layer_of(request: ChatRequest) -> str:
    """The layer that asks, from the first line of its system prompt."""
    return text_of(request, 0).partition("You are the ")[2].partition(" layer")[0]


def text_of(request: ChatRequest, index: int) -> str:
    """The text of one message of a request."""
    content = request.messages[index].content
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content or ())


def conversation(request: ChatRequest) -> str:
    """All messages of a request as one text."""
    return "\n".join(text_of(request, index) for index in range(len(request.messages)))


def is_closing(request: ChatRequest) -> bool:
    """Whether this is the closing call after the steps ran out."""
    return "Your steps are used up" in conversation(request)


def report(answer: Any, **more: Any) -> str:
    """Code that ends with a report."""
    return code(f"final_answer({ {'answer': answer, **more}!r})")
