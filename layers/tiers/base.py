"""What a tier's model is to the rest of the house: one blocking call that a lifeline can end.

`layers.tiers.model.TierModel` is the smolagents `Model` that agents hold; it reserves, calls a `ChatModel` and
settles. A `ChatModel` knows nothing of layers, budgets or spans.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from layers.tiers.meter import Meter

if TYPE_CHECKING:
    from smolagents import ChatMessage
    from smolagents.tools import Tool

    from layers.run.lifeline import Lifeline


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One call of a model.

    Attributes:
        messages: smolagents messages, system prompt first.
        stop: sequences at which the completion ends.
        tools: tools the model may call natively (a ToolCallingAgent), empty for a CodeAgent.
        response_format: an OpenAI `response_format`, or `None`.
        on_token: gets the answer's text piece by piece as it comes, where the endpoint streams; never what a model
            reasons before its answer, nor arguments of tool calls. It is called on another thread and must return at
            once. When an endpoint breaks off in mid-answer, the next one's answer follows its pieces.
        meter: tells, also while the call is under way, what calls have used that gave no whole answer.
    """

    messages: Sequence[ChatMessage]
    stop: Sequence[str] = ()
    tools: Sequence[Tool] = ()
    response_format: Mapping[str, Any] | None = None
    on_token: Callable[[str], object] | None = None
    meter: Meter = field(default_factory=Meter, compare=False)


@dataclass(frozen=True, slots=True)
class ChatReply:
    """What a model answered.

    Attributes:
        message: the assistant's message, with native tool calls if it made some.
        model_id: the deployment that answered in the end, `openai/gpt-5-mini`.
        input_tokens: as the provider counted, or estimated.
        output_tokens: as the provider counted, or estimated.
        usd: cost of the call in USD; `None` when the price is not known.
        estimated: whether the token counts are our estimate because the provider sent none.
        attempts: deployments that failed before, one line each.
        cached_tokens: how many of `input_tokens` the provider read from its prompt cache.
        finish: why the answer ended, as the provider says: `stop`, `tool_calls`, `length`; empty if it doesn't.
    """

    message: ChatMessage
    model_id: str
    input_tokens: int
    output_tokens: int
    usd: float | None
    estimated: bool = False
    attempts: tuple[str, ...] = ()
    cached_tokens: int = 0
    finish: str = ""


@dataclass(frozen=True, slots=True)
class Bound:
    """Upper bound of one call: tokens of prompt and completion together, USD (`None`: price not known)."""

    tokens: int
    usd: float | None


class ChatModel(Protocol):
    """A tier's model: LiteLLM's Router, the offline policy, or a user's own smolagents `Model`."""

    @property
    def model_id(self) -> str:
        """The first deployment's id, for spans and messages."""
        ...

    def bound(self, request: ChatRequest) -> Bound:
        """Return the most that `chat(request)` can use."""
        ...

    def chat(self, request: ChatRequest, lifeline: Lifeline) -> ChatReply:
        """Call the model and wait for its whole answer; ends within a second once the lifeline is stopped.

        Raises:
            RunStopped: the run was stopped meanwhile; or, with reason MODEL, every deployment failed (the message
                has each one's reason); or, with reason CONFIGURATION, the provider refused the key or the model.
        """
        ...
